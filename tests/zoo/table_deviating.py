"""Plain versions of cells that torchrecurrent computes in another way than their papers, or not at all (RHN)."""

import torch
from torch import Tensor, relu, sigmoid, tanh
from zoo.plain import Now, Row, Weights, affine

Stepped = tuple[Tensor, tuple[Tensor, ...]]


def lem(p: Weights, now: Now, y: Tensor, z: Tensor) -> Stepped:
    """Rusch et al. 2022: the update of y reads the z of this step. dt = 1."""
    step_z = sigmoid(affine(p, "dt_z", y=y, x=now.x))
    step_y = sigmoid(affine(p, "dt_y", y=y, x=now.x))
    z = z - step_z * z + step_z * tanh(affine(p, "z_new", y=y, x=now.x))
    y = y - step_y * y + step_y * tanh(affine(p, "y_new", z_new=z, x=now.x))
    return y, (y, z)


def nascell(p: Weights, now: Now, m: Tensor, c: Tensor) -> Stepped:
    """Zoph & Le 2017, in the form of TensorFlow's NASCell: a tree over eight pairs of projections, of which the
    fourth pair is multiplied and the others are added."""
    functions = (sigmoid, relu, sigmoid, relu, tanh, sigmoid, tanh, sigmoid)
    leaves = []
    for k, function in enumerate(functions):
        of_x, of_m = p["a3_1.x" if k == 3 else f"a{k}.x"], p["a3_2.h" if k == 3 else f"a{k}.h"]
        of_x, of_m = now.x @ of_x, m @ of_m
        leaves.append(function(of_x * of_m if k == 3 else of_x + of_m))
    injected = tanh(tanh(leaves[0] * leaves[1]) + c)
    c = injected * tanh(leaves[2] + leaves[3])
    right = tanh(tanh(leaves[4] * leaves[5]) + sigmoid(leaves[6] + leaves[7]))
    m = tanh(c * right)
    return m, (m, c)


def original_lstm(p: Weights, now: Now, y: Tensor, s: Tensor) -> Stepped:
    """Hochreiter & Schmidhuber 1997: the gates lie in (0, 1), h in (-1, 1) and g in (-2, 2)."""

    def logistic(a: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-a))

    s = s + logistic(affine(p, "i", x=now.x, h=y)) * (4 / (1 + torch.exp(-affine(p, "g", x=now.x, h=y))) - 2)
    y = logistic(affine(p, "o", x=now.x, h=y)) * (2 / (1 + torch.exp(-s)) - 1)
    return y, (y, s)


def rhn(p: Weights, now: Now, s: Tensor) -> Stepped:
    """Zilly et al. 2017, with depth 3 and the carry gate 1 - t, as the authors' code writes it."""
    for depth, name in ((1, "s"), (2, "s1"), (3, "s2")):
        seen = {name: s, "x": now.x} if depth == 1 else {name: s}
        s = (tanh(affine(p, f"h{depth}", **seen)) - s) * sigmoid(affine(p, f"t{depth}", **seen)) + s
    return s, (s,)


def scrn(p: Weights, now: Now, h: Tensor, s: Tensor) -> Stepped:
    """Mikolov et al. 2014, with alpha = 0.95 and without biases."""
    s = 0.05 * affine(p, "s_new", False, x=now.x) + 0.95 * s
    h = sigmoid(affine(p, "h_new", False, s_new=s, x=now.x, h=h))
    return affine(p, "y", False, h_new=h, s_new=s), (h, s)


ROWS = (
    Row("lem", lem, lambda d, h: 4 * (d * h + h * h + h)),
    Row("nascell", nascell, lambda d, h: 8 * (d * h + h * h)),
    Row("original_lstm", original_lstm, lambda d, h: 3 * (d * h + h * h + h)),
    Row("rhn", rhn, lambda d, h: 2 * d * h + 3 * 2 * (h * h + h)),
    Row("scrn", scrn, lambda d, h: d * h + (d * h + 2 * h * h) + 2 * h * h),
)
