"""Cells with a diagonal recurrence: in complex numbers, or with plain sums of exponentials, as in the papers."""

import torch
from torch import Tensor, complex, exp, maximum, sigmoid
from torch.nn.functional import layer_norm, silu
from zoo.plain import Now, Row, Weights, affine

Result = tuple[Tensor, tuple[Tensor, ...]]


def lru(p: Weights, now: Now, re: Tensor, im: Tensor) -> Result:
    decay = exp(complex(-exp(p["nu.bias"]), exp(p["theta.bias"])))
    b = complex(p["u_re.x"], p["u_im.x"]) * exp(p["gamma.bias"])
    c = complex(p["y.re_new"], -p["y.im_new"])
    state = decay * complex(re, im) + now.x.to(b.dtype) @ b
    return (state @ c).real + p["y.x"] * now.x, (state.real, state.imag)


def hgrn(p: Weights, now: Now, re: Tensor, im: Tensor) -> Result:
    bound = sigmoid(p["low.bias"])
    share = bound + (1 - bound) * sigmoid(affine(p, "f", x=now.x))
    turn = complex(p["theta.bias"].cos(), p["theta.bias"].sin())
    new = complex(silu(affine(p, "c_re", x=now.x)), silu(affine(p, "c_im", x=now.x)))
    state = share * turn * complex(re, im) + (1 - share) * new
    gate = sigmoid(torch.cat([affine(p, "o_re", x=now.x), affine(p, "o_im", x=now.x)], -1))
    feature = torch.cat([state.real, state.imag], -1) * gate
    gain, shift = (torch.cat([p[f"n_re_{k}.bias"], p[f"n_im_{k}.bias"]]) for k in (1, 2))
    feature = layer_norm(feature, feature.shape[-1:], gain, shift)
    return feature @ torch.cat([p["y.n_re"], p["y.n_im"]]) + p["y.bias"], (state.real, state.imag)


def rwkv4(p: Weights, now: Now, a: Tensor, b: Tensor, top: Tensor) -> Result:
    """With the sums of the paper's equations themselves, which nothing keeps from overflow."""

    def shifted(name: str) -> Tensor:
        share = p[f"share_{name}.bias"]
        return (share * now.x + (1 - share) * now.before) @ p[f"{name}.x_{name}"]

    r, k, v = (shifted(name) for name in "rkv")
    sum_a, sum_b = a * exp(top), b * exp(top)
    bonus = exp(p["now.bias"] + k)
    wkv = (sum_a + bonus * v) / (sum_b + bonus)
    decay = exp(p["w.bias"])
    sum_a, sum_b = exp(-decay) * sum_a + exp(k) * v, exp(-decay) * sum_b + exp(k)
    top = maximum(top - decay, k)
    return (sigmoid(r) * wkv) @ p["y.rwkv"], (sum_a / exp(top), sum_b / exp(top), top)


ROWS = (
    Row("lru", lru, lambda d, h: 2 * d * h + 2 * h * h + h + 3 * h),
    Row("hgrn", hgrn, lambda d, h: 5 * (d * h + h) + 2 * h + 4 * h + 2 * h * h + h),
    Row("rwkv4", rwkv4, lambda d, h: 4 * h * h + 5 * h, positive=("b",)),
)
