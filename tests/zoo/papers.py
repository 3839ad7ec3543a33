"""Plain versions of cells as their papers print them, for those that no package ships in that form.

Each is one step: parameters by our names of the weights, the input [B, D], the states [B, H]; it gives the
output and the new states. Written from the paper, not from the `.cell` file, and on torch alone.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, relu, sigmoid, tanh

P = Mapping[str, Tensor]


def lem(p: P, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    """Rusch et al. 2022, equation (4): the second update reads the z of this step. dt = 1."""
    step_z = sigmoid(y @ p["dt_z.y"] + x @ p["dt_z.x"] + p["dt_z.bias"])
    step_y = sigmoid(y @ p["dt_y.y"] + x @ p["dt_y.x"] + p["dt_y.bias"])
    z = z - step_z * z + step_z * tanh(y @ p["z_new.y"] + x @ p["z_new.x"] + p["z_new.bias"])
    y = y - step_y * y + step_y * tanh(z @ p["y_new.z_new"] + x @ p["y_new.x"] + p["y_new.bias"])
    return y, y, z


def nascell(p: P, x: Tensor, m: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Zoph & Le 2017, the cell of their appendix in the form of TensorFlow: a tree over eight pairs of projections,
    the fourth of which is multiplied."""
    brackets = ("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7")
    of_x = [x @ p[f"{b}_1.x" if b == "a3" else f"{b}.x"] for b in brackets]
    of_m = [m @ p[f"{b}_2.h" if b == "a3" else f"{b}.h"] for b in brackets]
    functions = (sigmoid, relu, sigmoid, relu, tanh, sigmoid, tanh, sigmoid)
    leaves = [
        f(a * b if k == 3 else a + b) for k, (f, a, b) in enumerate(zip(functions, of_x, of_m, strict=True))
    ]
    injected = tanh(tanh(leaves[0] * leaves[1]) + c)
    c = injected * tanh(leaves[2] + leaves[3])
    right = tanh(tanh(leaves[4] * leaves[5]) + sigmoid(leaves[6] + leaves[7]))
    m = tanh(c * right)
    return m, m, c


def original_lstm(p: P, x: Tensor, y: Tensor, s: Tensor) -> tuple[Tensor, ...]:
    """Hochreiter & Schmidhuber 1997, appendix A.1: f in (0, 1), h in (-1, 1), g in (-2, 2)."""

    def net(name: str) -> Tensor:
        return x @ p[f"{name}.x"] + y @ p[f"{name}.h"] + p[f"{name}.bias"]

    def logistic(a: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-a))

    s = s + logistic(net("i")) * (4 / (1 + torch.exp(-net("g"))) - 2)
    y = logistic(net("o")) * (2 / (1 + torch.exp(-s)) - 1)
    return y, y, s


def rhn(p: P, x: Tensor, s: Tensor) -> tuple[Tensor, ...]:
    """Zilly et al. 2017, equations (6) to (9), with depth 3 and the carry gate 1 - t."""
    for depth, name in ((1, "s"), (2, "s1"), (3, "s2")):
        h, t = s @ p[f"h{depth}.{name}"], s @ p[f"t{depth}.{name}"]
        if depth == 1:
            h, t = h + x @ p["h1.x"], t + x @ p["t1.x"]
        h, t = tanh(h + p[f"h{depth}.bias"]), sigmoid(t + p[f"t{depth}.bias"])
        s = (h - s) * t + s
    return s, s


def scrn(p: P, x: Tensor, h: Tensor, s: Tensor) -> tuple[Tensor, ...]:
    """Mikolov et al. 2014, equations of section 3: s with B, h with P, A and R, y with U and V. alpha = 0.95."""
    s = 0.05 * (x @ p["s_new.x"]) + 0.95 * s
    h = sigmoid(s @ p["h_new.s_new"] + x @ p["h_new.x"] + h @ p["h_new.h"])
    return h @ p["y.h_new"] + s @ p["y.s_new"], h, s
