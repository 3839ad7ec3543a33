"""Cells that are normalised over several brackets together, with torch's own layer norm over all of them."""

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn.functional import layer_norm
from zoo.plain import Now, Row, Step, Weights, affine

Result = tuple[Tensor, tuple[Tensor, ...]]


def together(values: list[Tensor], gains: list[Tensor], epsilon: float = 1e-5) -> Tensor:
    """The values side by side, normalised as one vector, each with its gain."""
    whole = torch.cat(values, -1)
    return layer_norm(whole, whole.shape[-1:], torch.cat(gains), eps=epsilon)


def layernorm_lstm(keeps_normalised: bool) -> Step:
    """As printed in Ba et al. (2016), or as in LayerNormLSTMCell of pytorch/benchmarks/fastrnns."""

    def step(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
        gates = together([now.x @ p[f"x{k}.x"] for k in "ifgo"], [p[f"{k}_1.bias"] for k in "ifgo"])
        gates = gates + together([h @ p[f"h{k}.h"] for k in "ifgo"], [p[f"{k}_2.bias"] for k in "ifgo"])
        i, f, g, o = (gates + torch.cat([p[f"{k}_3.bias"] for k in "ifgo"])).chunk(4, -1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        at = "c_new" if keeps_normalised else "h_new"
        normalised = layer_norm(c, c.shape[-1:], p[f"{at}_1.bias"], p[f"{at}_2.bias"])
        h = sigmoid(o) * tanh(normalised)
        return h, (h, normalised if keeps_normalised else c)

    return step


def dreamer_gru(p: Weights, now: Now, h: Tensor) -> Result:
    """As GRUCell of danijar/dreamerv2, whose update bias of -1 is part of a weight here."""
    parts = [affine(p, f"a{k}", x=now.x, h=h) for k in "rnz"]
    normalised = together(parts, [p["r_1.bias"], p["n_1.bias"], p["z_1.bias"]], 1e-3)
    beta = torch.cat([p["r_2.bias"], p["n_2.bias"], p["z_2.bias"] + 1])
    reset, candidate, update = (normalised + beta).chunk(3, -1)
    update = sigmoid(update - 1)
    h = update * tanh(sigmoid(reset) * candidate) + (1 - update) * h
    return h, (h,)


ROWS = (
    Row("layernorm_lstm_2016", layernorm_lstm(False), lambda d, h: 4 * (d * h + h * h + 3 * h) + 2 * h),
    Row("layernorm_lstm_torch", layernorm_lstm(True), lambda d, h: 4 * (d * h + h * h + 3 * h) + 2 * h),
    Row("dreamer_gru", dreamer_gru, lambda d, h: 3 * (d * h + h * h + 3 * h)),
)
