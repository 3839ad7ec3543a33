"""The class of one layer in an exported file: its weights with their first values, and its loop over time."""

import textwrap

from cellsearch.dsl.graph import Cell, uses_raw_x
from cellsearch.dsl.initial import DISTRIBUTIONS, Drawn, parts
from cellsearch.dsl.nodes import Affine
from cellsearch.dsl.ops import CALL, OPS, UNARY
from cellsearch.dsl.structures import words
from cellsearch.dsl.weights import Weight, weights
from cellsearch.exporters.names import class_name, is_plain, is_taken
from cellsearch.exporters.torch import layout, operators, structures
from cellsearch.exporters.torch.expressions import Code, real
from cellsearch.exporters.torch.layer_source import LayerCode

#: What draws from a distribution in an exported file.
_DRAW = {"uniform": "between", "normal": "normal"}


def layer_class(cell: Cell, code: LayerCode) -> list[str]:
    """The lines of the class."""
    return layout.paragraphs(
        [
            f"class {class_name(cell.name)}Layer(nn.Module):",
            '    """One layer of the cell over all time steps."""',
        ],
        _init(cell, code),
        _forward(cell, code),
    )


def _init(cell: Cell, code: LayerCode) -> list[str]:
    raw = uses_raw_x(cell)
    biases = [n.bias for n in cell.nodes if isinstance(n, Affine) and n.bias is not None]
    start = [
        "    def __init__(self, inputs: int, units: int, **kind) -> None:  # kind: device and dtype",
        "        super().__init__()",
        "        self.reverse = None  # the layer of the other direction, where there is one",
        *(["        self.project = None  # of x, where its width is not that of the units"] * raw),
    ]
    if code.periods:
        start += [
            '        periods = unit_periods(units).to(kind["device"])',
            f'        self.register_buffer("{code.periods}", periods, persistent=False)',
        ]
    uniform, full = [], []
    if any(w.term >= 0 and not (w.row and w.piece.orthogonal) for w in weights(cell)):
        own = any("bound" in words(w.piece.bound) - {w.piece.bound} for w in weights(cell) if w.row)
        bound = "bound" if own else "units**-0.5"
        uniform = [
            *(["        bound = units**-0.5", ""] * own),
            f"        def uniform(*shape: int, bound: float = {bound}) -> Tensor:",
            "            return torch.empty(shape, **kind).uniform_(-bound, bound)",
        ]
    if any(not isinstance(value, Drawn) for value in biases):
        full = [
            "        def full(value: float, size: int = units) -> Tensor:",
            "            return torch.full((size,), value, **kind)",
        ]
    used = {part.name for value in biases for part in parts(value) if isinstance(part, Drawn)}
    draws: list[list[str]] = []
    for name in (name for name in DISTRIBUTIONS if name in used):
        row = DISTRIBUTIONS[name]
        first, second = row.short
        draws.append(
            [
                f"        def {_DRAW[name]}({first}: float, {second}: float, size: int = units) -> Tensor:",
                f"            return torch.empty(size, **kind).{name}_({first}, {second})",
            ]
        )
    owned: list[str] = []
    for bracket, members in _by_bracket(cell):
        owned += _bracket(cell, bracket, members, "units" if raw else "inputs")
    return layout.paragraphs(start, uniform, full, *draws, owned)


def _by_bracket(cell: Cell) -> list[tuple[str, list[Weight]]]:
    found: dict[str, list[Weight]] = {}
    for w in weights(cell):
        found.setdefault(w.name.partition(".")[0], []).append(w)
    return list(found.items())


def _bracket(cell: Cell, bracket: str, members: list[Weight], width: str) -> list[str]:
    """The statement that makes the weights of one bracket."""
    items = []
    for w in members:
        name, value = w.name.partition(".")[2], _first_value(cell, w, width)
        items.append(f"{name}={value}" if is_plain(name) else f'**{{"{name}": {value}}}')
    plain = is_plain(bracket) and not is_taken(bracket)
    target = f"self.{bracket}" if plain else f'self._modules["{bracket}"]'
    return layout.call(8, f"{target} = Weights(", items, ")")


def _first_value(cell: Cell, weight: Weight, width: str) -> str:
    node = cell.nodes[weight.node]
    assert isinstance(node, Affine)
    if weight.term < 0:
        assert node.bias is not None
        size = ", 1" if node.scalar else ""
        if isinstance(node.bias, Drawn):
            return _drawn(node.bias, size).text
        return f"full({real(node.bias)}{size})"
    if weight.kind == "peephole":
        return "uniform(units)"
    sizes = {"rows": width if weight.from_x else "units", "units": "units", "periods": "periods"}
    return structures.first_value(node.connections[weight.term], weight.place, sizes)


def _drawn(value: float | Drawn, size: str) -> Code:
    """A tensor of drawn values, or a number in it."""
    if not isinstance(value, Drawn):
        return Code(real(value), UNARY if value < 0 else CALL)
    if value.name in DISTRIBUTIONS:
        numbers = ", ".join(real(arg) for arg in value.args if not isinstance(arg, Drawn))
        return Code(f"{_DRAW[value.name]}({numbers}{size})")
    op, args = OPS[value.name], [_drawn(arg, size) for arg in value.args]
    needs = [0] * op.arity
    if op.symbol:
        needs = [op.binds] if op.arity == 1 else [op.binds - 1, op.binds]
    form = operators.call(op)
    return Code(form.format(*(a.within(n) for a, n in zip(args, needs, strict=True))), op.binds)


def _forward(cell: Cell, code: LayerCode) -> list[str]:
    x = code.input
    given = [f"{name}: Tensor" for name in (x, *code.states, *(name for _, name in code.below))]
    results = ["torch.stack(outputs)", *code.states, *(f"torch.stack({name})" for _, name in code.kept)]
    kind = ", ".join(["Tensor"] * len(results))
    if code.ticks:
        given.append("start: Tensor")
    if code.earlier:
        given.append("earlier: list[Tensor]")
        results.append(code.earlier)
        kind += ", list[Tensor]"
    kind = kind if len(results) <= layout.MANY else "Tensor, ..."
    more = ", values for the layer above" * bool(code.kept)
    more += ", what to look back at" * bool(code.earlier)
    start = [
        *layout.call(4, "def forward(", ["self", *given], f") -> tuple[{kind}]:"),
        *textwrap.wrap(
            f'"""{x} [T, B, D], states [B, H] to outputs [T, B, H], last states{more}."""',
            layout.LINE,
            initial_indent=" " * 8,
            subsequent_indent=" " * 8,
        ),
    ]
    if code.earlier:
        zeros = [f"[torch.zeros_like({code.states[0]})] * {code.carried}"] * bool(code.carried)
        zeros += [f"[{x}.new_zeros({code.past}, {x}.shape[1], {x}.shape[2])]"] * bool(code.past)
        start += [
            "        if len(earlier) == 0:  # nothing yet to look back at",
            f"            earlier = {' + '.join(zeros)}",
        ]
    none = f"{code.states[0]}[None][:0]"
    same = [none, *code.states, *(none for _ in code.kept), *(["earlier"] * bool(code.earlier))]
    start += [f"        if {x}.shape[0] == 0:  # no steps: the states stay", *layout.returned(12, same), ""]
    reads_t = any("[t]" in line for line in code.inside if not line.lstrip().startswith("#"))
    loop = [
        *(f"        {name} = []" for name in ("outputs", *(name for _, name in code.kept))),
        f"        for {'t' if reads_t else '_'} in range({x}.shape[0]):",
        *code.inside,
        *layout.returned(8, results),
    ]
    return layout.paragraphs([*start, *code.before], loop) if code.before else [*start, *loop]
