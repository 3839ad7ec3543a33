"""Cells whose point is where their biases start: the same equations once the weights are given."""

import torch
from torch import Tensor, sigmoid, tanh
from zoo.plain import Now, Row, Weights, affine

Result = tuple[Tensor, tuple[Tensor, ...]]


def chrono_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    """Eq. 5 to 9 of Tallec and Ollivier (2018): an LSTM."""
    i, f, g, o = (affine(p, gate, x=now.x, h=h) for gate in "ifgo")
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def ur_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    """Eq. 8 to 13 of Gu et al. (2020)."""
    forget = affine(p, "f", bias=False, x=now.x, h=h) + p["b.bias"]
    refine = affine(p, "r", bias=False, x=now.x, h=h) - p["b.bias"]
    f, r = sigmoid(forget), sigmoid(refine)
    effective = torch.lerp(f.square(), 1 - (1 - f).square(), r)
    c = effective * c + (1 - effective) * tanh(affine(p, "g", x=now.x, h=h))
    h = sigmoid(affine(p, "o", x=now.x, h=h)) * tanh(c)
    return h, (h, c)


ROWS = (
    Row("chrono_lstm", chrono_lstm, lambda d, h: 4 * (d * h + h * h + h)),
    Row("ur_lstm", ur_lstm, lambda d, h: 4 * (d * h + h * h) + 3 * h),
)
