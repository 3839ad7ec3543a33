"""What a cell may be made of, one small cell each: tests of exports go by these, and not by names of cells."""

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse

_GRU = "z = sigmoid[x, h]\nn = tanh[x, h]\nh' = z * h + (1 - z) * n"

#: name -> header after `cell`, then equations; of a width of x unlike the hidden width where that is allowed.
_TEXTS = {
    "number in max": "t(x; h)\nh' = max([x, h], 0)",
    "number in min": "t(x; h)\nh' = min([x, h], 0.5)",
    "number first": "t(x; h)\nh' = max(0.1, [x, h]) + min(-1, [h])",
    "folded number": "t(x; h)\na = max(1, 2) / 3\nh' = tanh[x, h] * a - exp(a)",
    "infinite number": "t(x; h)\nh' = min(tanh[x, h], 1 / (1 - 1))",
    "blocks": "t(x; h)\nh' = tanh[x@blocks(2), h@blocks(3)]",
    "rank": "t(x; h)\nh' = tanh[x@rank(2), h@rank(1)]",
    "skew": "t(x; h)\nh' = tanh[x, h@skew]",
    "eye": "t(x; h)\nh' = tanh[x, h@eye(0.9)]",
    "slower and clock": "t(x; h)\nclock 1, 2, 4\nn = tanh[x, h@slower]\nh' = h + tick * (n - h)",
    "before 1": "t(x; h)\nh' = tanh[x, before(h)]",
    "before 3": "t(x; h, c)\nc' = tanh[x, h, before(c, 3), before(x, 3)]\nh' = c' + before(c') - 0.5 * before(c', 2)",
    "before in a clock": "t(x; h)\nclock 2, 3\nh' = tanh[x, before(h, 2)] + tick * before(tanh[x], 3)",
    "below": "t(x; h, c)\nd = sigmoid[x, .c, .below(c)]\nc' = d * below(c) + tanh[x, h]\nh' = tanh(c')",
    "below and before": "t(x; h)\nh' = tanh[x, below(h), before(h, 3)]",
    "scalar": "t(x; h)\nh' = tanh([x, h] * [scalar=0.5])",
    "learned vector": "t(x; h)\nh' = tanh([x, h] + [bias=0.5] * h)",
    "norm": "t(x; h)\nh' = tanh(norm[x, h])",
    "mean": "t(x; h)\na = [x, h]\nh' = tanh(a - mean(a))",
    "nothing but a mean": "t(x; h, c)\nh' = mean[x, h]\nc' = mean(h) + before(mean[x], 2)",
    "softmax": "t(x; h)\nh' = softmax[x, h]",
    "cumax": "t(x; h)\nf = cumax[x, h]\nh' = f * h + (1 - f) * tanh[x, h]",
    "state starts elsewhere": "t(x; h, m=-3, k=2)\nm' = max(m, [x, h])\nk' = 0.5 * k\nh' = tanh(m' + k)",
    "constant state": "t(x; h, c=1)\nc' = 2\nh' = tanh[x, h] * c",
    "projection": "t(x; h, c)\ni = sigmoid[x, h]\nc' = (1 - i) * c + i * tanh[x, h]\nh' = [tanh(c')@rank(2), bias=none]",
    "projection of x": "t(x; h)\nh' = h + tanh(x) * sigmoid[x, h]",
    "peepholes": "t(x; h, c)\nf = sigmoid[x, h, .c]\nc' = f * c + tanh[x, h]\no = sigmoid[x, .c']\nh' = o * c'",
    "separate output": f"t(x; h) -> y\n{_GRU}\ny = relu[h', x]",
    "bias at random": "t(x; h)\nh' = tanh[x, h, bias=uniform(-0.1, 0.1)]",
    "nothing but x": "t(x; h)\nh' = tanh[x]",
}
CONSTRUCTS: dict[str, Cell] = {name: parse(f"cell {text}\n") for name, text in _TEXTS.items()}
