"""Other cells of the literature, as plain steps from the papers' equations (where code is named in the cell's
comment, from that code). Brackets without a name of their own in an equation are called by position: `i_2.h`.
"""

import torch
from torch import Tensor, exp, relu, sigmoid, tanh
from torch.nn.functional import logsigmoid, softmax, softplus
from zoo.plain import Now, Row, Step, Weights, affine

Result = tuple[Tensor, tuple[Tensor, ...]]


def gate(d: int, h: int) -> int:
    return d * h + h * h + h


def lstm(p: Weights, names: str, c: Tensor, **values: Tensor) -> tuple[Tensor, Tensor]:
    """The LSTM of four brackets, named in the order i f g o, that hear `values`."""
    i, f, g, o = names.split()
    c = sigmoid(affine(p, f, **values)) * c + sigmoid(affine(p, i, **values)) * tanh(affine(p, g, **values))
    return sigmoid(affine(p, o, **values)) * tanh(c), c


def slstm(p: Weights, now: Now, h: Tensor, c: Tensor, n: Tensor, m: Tensor) -> Result:
    """As in the vanilla code of NX-AI/xlstm, with four heads: the recurrent matrices act within a head."""
    mask = block_mask(h.shape[1], h.shape[1], 4)
    raw = {g: now.x @ p[f"{g}.x"] + h @ (p[f"{g}.h"] * mask) + p[f"{g}.bias"] for g in "ifzo"}
    kept = m + logsigmoid(raw["f"])
    m_new = raw["i"] if bool((n == 0).all()) else torch.max(raw["i"], kept)
    i, f = exp(raw["i"] - m_new), exp(kept - m_new)
    c, n = f * c + i * tanh(raw["z"]), f * n + i
    h = sigmoid(raw["o"]) * c / n
    return h, (h, c, n, m_new)


def block_mask(rows: int, columns: int, parts: int) -> Tensor:
    """Ones on `parts` diagonal blocks, of which the first are larger by one where they do not divide."""

    def block(size: int) -> list[int]:
        return [k for k in range(parts) for _ in range(size // parts + (k < size % parts))]

    return torch.tensor([[float(a == b) for b in block(columns)] for a in block(rows)], dtype=torch.float64)


def positive(a: Tensor) -> Tensor:
    """g of the minimal cells."""
    return torch.where(a >= 0, a + 0.5, sigmoid(a))


def min_gru(p: Weights, now: Now, h: Tensor) -> Result:
    z = sigmoid(affine(p, "z", x=now.x))
    h = (1 - z) * h + z * positive(affine(p, "n", x=now.x))
    return h, (h,)


def min_lstm(p: Weights, now: Now, h: Tensor) -> Result:
    """In log space, as it is trained: log f' = -softplus(softplus(-f) - softplus(-i))."""
    f, i = affine(p, "f", x=now.x), affine(p, "i", x=now.x)
    difference = softplus(-f) - softplus(-i)
    f, i = exp(-softplus(difference)), exp(-softplus(-difference))
    h = f * h + i * positive(affine(p, "n", x=now.x))
    return h, (h,)


def qrnn(p: Weights, now: Now, c: Tensor) -> Result:
    z, f, o = (affine(p, name, x=now.x, before_x=now.before) for name in "zfo")
    c = sigmoid(f) * c + (1 - sigmoid(f)) * tanh(z)
    return sigmoid(o) * c, (c,)


def sru(p: Weights, now: Now, c: Tensor) -> Result:
    u = now.x @ p["u.x"]
    f, r = (sigmoid(affine(p, name, x=now.x) + p[f"{name}.c"] * c) for name in "fr")
    c = u + (c - u) * f
    return now.x + (c - now.x) * r, (c,)


def mogrifier(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    x, names = now.x, {0: "x", 1: "h"}
    values = [h, x]  # the one that scales, the one that is scaled
    source = "h"
    for round_ in range(1, 6):
        target = f"{names[(round_ + 1) % 2]}{round_}"
        scales, scaled = values
        values = [2 * sigmoid(scales @ p[f"{target}.{source}"]) * scaled, scales]
        source = target
    x, h = values
    h, c = lstm(p, "i f g o", c, x5=x, h4=h)
    return h, (h, c)


def layer_norm(a: Tensor) -> Tensor:
    centred = a - a.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()


def layernorm_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    def normalised(name: str) -> Tensor:
        of_h = p[f"{name}_1.bias"] * layer_norm(h @ p[f"{name}_2.h"])
        of_x = p[f"{name}_3.bias"] * layer_norm(now.x @ p[f"{name}_4.x"])
        return of_h + of_x + p[f"{name}_5.bias"]

    i, f, g, o = (normalised(name) for name in "ifgo")
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(p["h_new_1.bias"] * layer_norm(c) + p["h_new_2.bias"])
    return h, (h, c)


def on_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    """As in yikangshen/Ordered-Neurons with chunks of one unit."""
    forget = softmax(affine(p, "mf", x=now.x, h=h), -1).cumsum(-1)
    take = 1 - softmax(affine(p, "mi", x=now.x, h=h), -1).cumsum(-1)
    overlap = forget * take
    i, f, g, o = (affine(p, name, x=now.x, h=h) for name in "ifgo")
    f = sigmoid(f) * overlap + (forget - overlap)
    i = sigmoid(i) * overlap + (take - overlap)
    c = f * c + i * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def lstmp(p: Weights, now: Now, r: Tensor, c: Tensor) -> Result:
    i = sigmoid(affine(p, "i", x=now.x, r=r) + p["i.c"] * c)
    f = sigmoid(affine(p, "f", x=now.x, r=r) + p["f.c"] * c)
    c = f * c + i * tanh(affine(p, "g", x=now.x, r=r))
    o = sigmoid(affine(p, "o", x=now.x, r=r) + p["o.c_new"] * c)
    r = (o * tanh(c)) @ p["r_new.m_down"] @ p["r_new.m_up"]
    return r, (r, c)


def low_rank_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    def product(name: str) -> Tensor:
        of_x = now.x @ p[f"{name}.x_down"] @ p[f"{name}.x_up"]
        return of_x + h @ p[f"{name}.h_down"] @ p[f"{name}.h_up"] + p[f"{name}.bias"]

    i, f, g, o = (product(name) for name in "ifgo")
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def group_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    """Two LSTMs side by side, each on its half."""
    d, n = (now.x.shape[1] + 1) // 2, (h.shape[1] + 1) // 2
    halves = []
    for rows, units in ((slice(None, d), slice(None, n)), (slice(d, None), slice(n, None))):
        i, f, g, o = (
            now.x[:, rows] @ p[f"{name}.x"][rows, units]
            + h[:, units] @ p[f"{name}.h"][units, units]
            + p[f"{name}.bias"][units]
            for name in "ifgo"
        )
        cell = sigmoid(f) * c[:, units] + sigmoid(i) * tanh(g)
        halves.append((sigmoid(o) * tanh(cell), cell))
    h, c = (torch.cat(v, -1) for v in zip(*halves, strict=True))
    return h, (h, c)


def jordan(p: Weights, now: Now, y: Tensor, s: Tensor) -> Result:
    s = s / 2 + y
    y = sigmoid(affine(p, "y_new", h=sigmoid(affine(p, "h", x=now.x, s_new=s))))
    return y, (y, s)


def irnn(p: Weights, now: Now, h: Tensor) -> Result:
    h = relu(affine(p, "h_new", x=now.x, h=h))
    return h, (h,)


def integrated(p: Weights, name: str, wx: Tensor, uh: Tensor) -> Tensor:
    alpha, beta1, beta2, b = (p[f"{name}_{k}.bias"] for k in range(1, 5))
    return alpha * wx * uh + beta1 * uh + beta2 * wx + b


def mi_rnn(p: Weights, now: Now, h: Tensor) -> Result:
    h = tanh(integrated(p, "h_new", now.x @ p["wx.x"], h @ p["uh.h"]))
    return h, (h,)


def mi_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    i, f, g, o = (integrated(p, n, now.x @ p[f"x{n}.x"], h @ p[f"h{n}.h"]) for n in "ifgo")
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h, (h, c)


def mi_gru(p: Weights, now: Now, h: Tensor) -> Result:
    z, r = (sigmoid(integrated(p, n, now.x @ p[f"x{n}.x"], h @ p[f"h{n}.h"])) for n in "zr")
    n = tanh(integrated(p, "n", now.x @ p["xn.x"], (r * h) @ p["hn.rh"]))
    h = (1 - z) * h + z * n
    return h, (h,)


def mrnn(p: Weights, now: Now, h: Tensor) -> Result:
    h = tanh(affine(p, "h_new", x=now.x, f=(now.x @ p["f_1.x"]) * (h @ p["f_2.h"])))
    return h, (h,)


def nested_lstm(p: Weights, now: Now, h: Tensor, c: Tensor, n: Tensor) -> Result:
    i, f, g, o = (affine(p, name, x=now.x, h=h) for name in "ifgo")
    kept, new = sigmoid(f) * c, sigmoid(i) * tanh(g)
    c, n = lstm(p, "i_in f_in g_in o_in", n, new=new, kept=kept)
    h = sigmoid(o) * tanh(c)
    return h, (h, c, n)


def sub_lstm(p: Weights, now: Now, h: Tensor, c: Tensor) -> Result:
    i, f, z, o = (sigmoid(affine(p, name, x=now.x, h=h)) for name in "ifzo")
    c = c * f + z - i
    h = sigmoid(c) - o
    return h, (h, c)


def fast_slow(p: Weights, now: Now, h: Tensor, c: Tensor, s: Tensor, d: Tensor) -> Result:
    h, c = lstm(p, "i1 f1 g1 o1", c, x=now.x, h=h)
    s, d = lstm(p, "is fs gs os", d, h1=h, s=s)
    h, c = lstm(p, "i2 f2 g2 o2", c, s_new=s, h1=h)
    return h, (h, c, s, d)


def gru(keeps: bool = True) -> Step:
    """The GRU, whose gates see what they have weights for; z is the share of h that stays, or that goes."""

    def step(p: Weights, now: Now, h: Tensor) -> Result:
        def gated(name: str) -> Tensor:
            values = {"x": now.x, "h": h}
            seen = [values[v] @ p[f"{name}.{v}"] for v in values if f"{name}.{v}" in p]
            return sigmoid(sum(seen) + (p[f"{name}.bias"] if f"{name}.bias" in p else 0))

        n = tanh(affine(p, "n", x=now.x, rh=gated("r") * h))
        z = gated("z")
        h = z * h + (1 - z) * n if keeps else (1 - z) * h + z * n
        return h, (h,)

    return step


def rg_lru(p: Weights, now: Now, h: Tensor) -> Result:
    mask = block_mask(h.shape[1], h.shape[1], 4)
    r, i = (sigmoid(now.x @ (p[f"{name}.x"] * mask) + p[f"{name}.bias"]) for name in "ri")
    a = sigmoid(p["a.bias"]) ** (8 * r)
    h = a * h + (1 - a**2) ** 0.5 * (i * now.x)
    return h, (h,)


def blocks(rows: int, columns: int, parts: int) -> int:
    return int(block_mask(rows, columns, parts).sum())


ROWS = (
    Row("gru", gru(), lambda d, h: 3 * gate(d, h)),
    Row("slstm", slstm, lambda d, h: 4 * (d * h + blocks(h, h, 4) + h), positive=("n",)),
    Row("min_gru", min_gru, lambda d, h: 2 * (d * h + h)),
    Row("min_lstm", min_lstm, lambda d, h: 3 * (d * h + h)),
    Row("qrnn", qrnn, lambda d, h: 3 * (2 * d * h + h)),
    Row("sru", sru, lambda d, h: 3 * d * h + 4 * h),
    Row("mogrifier_lstm", mogrifier, lambda d, h: 5 * h * h + 4 * gate(h, h)),
    Row("layernorm_lstm", layernorm_lstm, lambda d, h: 4 * (d * h + h * h + 3 * h) + 2 * h),
    Row("on_lstm", on_lstm, lambda d, h: 6 * gate(d, h)),
    Row("lstmp", lstmp, lambda d, h: 4 * gate(d, h) + 3 * h + 2 * 64 * h),
    Row("low_rank_lstm", low_rank_lstm, lambda d, h: 4 * (64 * (d + h) + 2 * 64 * h + h)),
    Row("group_lstm", group_lstm, lambda d, h: 4 * (blocks(d, h, 2) + blocks(h, h, 2) + h)),
    Row("jordan_rnn", jordan, lambda d, h: gate(d, h) + h * h + h),
    Row("irnn", irnn, gate),
    Row("mi_rnn", mi_rnn, lambda d, h: gate(d, h) + 3 * h),
    Row("mi_lstm", mi_lstm, lambda d, h: 4 * (gate(d, h) + 3 * h)),
    Row("mi_gru", mi_gru, lambda d, h: 3 * (gate(d, h) + 3 * h)),
    Row("mrnn", mrnn, lambda d, h: 2 * d * h + 2 * h * h + h),
    Row("nested_lstm", nested_lstm, lambda d, h: 4 * gate(d, h) + 4 * gate(h, h)),
    Row("sub_lstm", sub_lstm, lambda d, h: 4 * gate(d, h)),
    Row("fast_slow_lstm", fast_slow, lambda d, h: 4 * gate(d, h) + 8 * gate(h, h)),
    Row("gru1", gru(keeps=False), lambda d, h: gate(d, h) + 2 * (h * h + h)),
    Row("gru2", gru(keeps=False), lambda d, h: gate(d, h) + 2 * h * h),
    Row("gru3", gru(keeps=False), lambda d, h: gate(d, h) + 2 * h),
    Row("rg_lru", rg_lru, lambda d, h: 2 * (blocks(d, h, 4) + h) + h),
)
