"""The LSTM and its named variants, as plain steps from the papers: peepholes on every subset of the gates (Gers &
Schmidhuber 2000), the nine of Greff et al. (2017), those of Jozefowicz et al. (2015), and simplified gates.

Weights are called by the cell's letters, which are the papers': the rest is written out of their equations.
"""

from itertools import chain, combinations

import torch
from torch import Tensor, sigmoid, tanh
from zoo.plain import Now, Row, Step, Weights, affine


def gate(d: int, h: int) -> int:
    """The parameters of one gate: W [D, H], U [H, H] and a bias."""
    return d * h + h * h + h


def peephole(which: tuple[str, ...]) -> Step:
    """The LSTM in which the gates in `which` look at the cell state: i and f at the last, o at the new one."""

    def step(p: Weights, now: Now, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        def seen(name: str, cell: Tensor, source: str) -> Tensor:
            return cell * p[f"{name}.{source}"] if name in which else torch.zeros_like(cell)

        i = sigmoid(affine(p, "i", x=now.x, h=h) + seen("i", c, "c"))
        f = sigmoid(affine(p, "f", x=now.x, h=h) + seen("f", c, "c"))
        c = f * c + i * tanh(affine(p, "g", x=now.x, h=h))
        o = sigmoid(affine(p, "o", x=now.x, h=h) + seen("o", c, "c_new"))
        h = o * tanh(c)
        return h, (h, c)

    return step


LETTERS = {"input": "i", "forget": "f", "output": "o"}
SUBSETS = list(chain.from_iterable(combinations(LETTERS, n) for n in range(4)))


def _name(subset: tuple[str, ...]) -> str:
    return {0: "lstm_b", 3: "peephole_lstm"}.get(len(subset), "peephole_" + "_".join(subset))


def _peephole_row(subset: tuple[str, ...]) -> Row:
    step = peephole(tuple(LETTERS[s] for s in subset))
    return Row(_name(subset), step, lambda d, h: 4 * gate(d, h) + len(subset) * h)


def greff(variant: str) -> Step:
    """V or one of its eight variants: the figure of the paper, with what the variant changes."""

    def step(p: Weights, now: Now, y: Tensor, c: Tensor, *gates: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        def pre(name: str, cell: Tensor, source: str) -> Tensor:
            total = now.x @ p[f"{name}.x"] + y @ p[f"{name}.y"] + p[f"{name}.bias"]
            if variant != "np":
                total = total + p[f"{name}.{source}"] * cell
            for letter, last in zip("ifo", gates, strict=False):  # FGR alone has them
                total = total + last @ p[f"{name}.{letter}"]
            return total

        letters = {n: n + "_new" if variant == "fgr" else n for n in "ifo"}
        z = now.x @ p["z.x"] + y @ p["z.y"] + p["z.bias"]
        z = z if variant == "niaf" else tanh(z)
        i = 1.0 if variant == "nig" else sigmoid(pre(letters["i"], c, "c"))
        f = 1.0 if variant == "nfg" else 1 - i if variant == "cifg" else sigmoid(pre(letters["f"], c, "c"))
        c = z * i + c * f
        o = 1.0 if variant == "nog" else sigmoid(pre(letters["o"], c, "c_new"))
        y_new = (c if variant == "noaf" else tanh(c)) * o
        return y_new, (y_new, c, i, f, o) if variant == "fgr" else (y_new, c)

    return step


#: Brackets [x, y], peepholes, and matrices beyond: per variant, counted from the paper's figure and list.
_GREFF = {
    "v": (4, 3, 0), "nig": (3, 2, 0), "nfg": (3, 2, 0), "nog": (3, 2, 0), "niaf": (4, 3, 0), "noaf": (4, 3, 0),
    "np": (4, 0, 0), "cifg": (3, 2, 0), "fgr": (4, 3, 9),
}  # fmt: skip


def _greff_row(variant: str) -> Row:
    brackets, peepholes, more = _GREFF[variant]
    size = lambda d, h: brackets * gate(d, h) + peepholes * h + more * h * h  # noqa: E731
    return Row(f"greff_{variant}", greff(variant), size)


def jozefowicz(without: str = "") -> Step:
    """The LSTM as Jozefowicz et al. print it: i and o are tanh, j is the sigmoid that lets i through."""

    def step(p: Weights, now: Now, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        i = tanh(affine(p, "i", x=now.x, h=h))
        j = sigmoid(affine(p, "j", x=now.x, h=h)) if without != "i" else 1.0
        f = sigmoid(affine(p, "f", x=now.x, h=h)) if without != "f" else 1.0
        o = tanh(affine(p, "o", x=now.x, h=h)) if without != "o" else 1.0
        c = c * f + i * j
        h = tanh(c) * o
        return h, (h, c)

    return step


def cifg(p: Weights, now: Now, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    f = sigmoid(affine(p, "f", x=now.x, h=h))
    c = f * c + (1 - f) * tanh(affine(p, "g", x=now.x, h=h))
    h = sigmoid(affine(p, "o", x=now.x, h=h)) * tanh(c)
    return h, (h, c)


def slim(p: Weights, now: Now, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Lu & Salem: the three gates see h and a bias (1), h (2), or a bias (3)."""

    def gated(name: str) -> Tensor:
        seen = h @ p[f"{name}.h"] if f"{name}.h" in p else h.new_zeros(())
        return sigmoid(seen + p[f"{name}.bias"] if f"{name}.bias" in p else seen)

    c = gated("f") * c + gated("i") * tanh(affine(p, "g", x=now.x, h=h))
    h = gated("o") * tanh(c)
    return h, (h, c)


ROWS = (
    *(_peephole_row(subset) for subset in SUBSETS),
    *(_greff_row(variant) for variant in _GREFF),
    Row("lstm_2015", jozefowicz(), lambda d, h: 4 * gate(d, h)),
    *(Row(f"lstm_2015_{w}", jozefowicz(w), lambda d, h: 3 * gate(d, h)) for w in "fio"),
    Row("lstm_2015_b", jozefowicz(), lambda d, h: 4 * gate(d, h)),
    Row("cifg", cifg, lambda d, h: 3 * gate(d, h)),
    Row("lstm1", slim, lambda d, h: gate(d, h) + 3 * (h * h + h)),
    Row("lstm2", slim, lambda d, h: gate(d, h) + 3 * h * h),
    Row("lstm3", slim, lambda d, h: gate(d, h) + 3 * h),
)
