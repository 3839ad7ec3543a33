"""Cells that look at the layer below, as plain steps of one layer; a row is a stack, bottom first.

`now.below` are the new states of the layer below, None at the bottom, where the papers' cells see nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, exp, sigmoid, tanh
from zoo.plain import Now, Step, Weights, affine

Result = tuple[Tensor, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Row:
    """`cell` on top of itself, or of `bottom` where the lowest layer is another cell. `idle`: the gate that has
    nothing to let through at the bottom."""

    cell: str
    step: Step
    bottom: str = ""
    bottom_step: Step | None = None
    idle: str = "d"
    against: str = "paper"

    def stack(self, layers: int) -> tuple[list[str], list[Step]]:
        names, steps = [self.cell] * layers, [self.step] * layers
        if self.bottom:
            assert self.bottom_step
            names[0], steps[0] = self.bottom, self.bottom_step
        return names, steps


def depth_gated(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    """Yao et al. (2015), as printed."""
    i = sigmoid(affine(p, "i", x=now.x, h=h) + p["i.c"] * c)
    f = sigmoid(affine(p, "f", x=now.x, h=h) + p["f.c"] * c)
    new = f * c + i * tanh(affine(p, "g", x=now.x, h=h))
    if now.below is not None:
        lower = now.below[1]
        d = sigmoid(affine(p, "d", x=now.x) + p["d.c"] * c + p["d.below_c"] * lower)
        new = new + d * lower
    o = sigmoid(affine(p, "o", x=now.x, h=h) + p["o.c_new"] * new)
    h = o * tanh(new)
    return h, (h, new)


def depth_gated_code(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    """The first author's code, any layer: `in_stb` is the layer's input times exp(stab)."""
    in_stb = exp(p["s.bias"]) * now.x
    i = sigmoid(in_stb @ p["i_1.x"] + affine(p, "i_2", h=h, c=c))
    write = tanh(in_stb @ p["g_1.x"] + affine(p, "g_2", h=h))
    k = in_stb @ p["d_1.x"] + p["d_2.bias"] + p["d_2.c"] * c
    if now.below is None:
        lower = now.x @ p["lower.x"]
    else:
        lower = now.below[1]
        k = k + p["d_2.below_c"] * lower
    c = (1 - i) * c + i * write + sigmoid(k) * lower
    o = sigmoid(in_stb @ p["o_1.x"] + affine(p, "o_2", h=h, c_new=c))
    h = o * tanh(c)
    return h, (h, c)


def highway(p: Weights, now: Now, r: Tensor, c: Tensor) -> Result:
    """Zhang et al. (2016)."""
    lower = torch.zeros_like(c) if now.below is None else now.below[1]
    i = sigmoid(affine(p, "i", x=now.x, r=r) + p["i.c"] * c)
    f = sigmoid(affine(p, "f", x=now.x, r=r) + p["f.c"] * c)
    d = sigmoid(affine(p, "d", x=now.x) + p["d.c"] * c + p["d.below_c"] * lower)
    c = d * lower + f * c + i * tanh(affine(p, "g", x=now.x, r=r))
    m = sigmoid(affine(p, "o", x=now.x, r=r) + p["o.c_new"] * c) * tanh(c)
    r = m @ (p["r_new.m_down"] @ p["r_new.m_up"])
    return r, (r, c)


def grid(p: Weights, now: Now, h: Tensor, m: Tensor, k: Tensor, n: Tensor) -> Result:
    """Kalchbrenner et al. (2016): one LSTM per dimension, both over H = [h of the depth, h of the time]."""

    def lstm(memory: Tensor, suffix: str) -> tuple[Tensor, Tensor]:
        i, f, o, g = (affine(p, name + suffix, x=now.x, k=k) for name in "ifog")
        memory = sigmoid(f) * memory + sigmoid(i) * tanh(g)
        return tanh(sigmoid(o) * memory), memory

    deep, deep_memory = lstm(torch.zeros_like(m) if now.below is None else now.below[1], "")
    late, late_memory = lstm(n, "_time")
    return deep, (deep, deep_memory, late, late_memory)


ROWS = (
    Row("depth_gated_lstm", depth_gated),
    Row("depth_gated_lstm_code", depth_gated_code, "depth_gated_lstm_bottom", depth_gated_code, idle=""),
    Row("highway_lstm", highway),
    Row("grid_lstm", grid, idle="f"),
)
