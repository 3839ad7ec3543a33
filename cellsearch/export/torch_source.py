"""A cell as the text of one Python file: an nn.Module that imports torch alone and is called as torch.nn.LSTM is.

In: a `Cell`. Out: text, the same for the same cell, formatted, with each equation above its line. The weights have the
names that `cellsearch.Recurrent` gives them, so that the state dict of either fits the other.
"""

from collections.abc import Sequence

from cellsearch.compiler.stack import reads_below
from cellsearch.dsl.graph import Affine, Cell, uses_raw_x
from cellsearch.dsl.text.printer import number
from cellsearch.dsl.weights import Weight, bracket_names, weights
from cellsearch.export import header, layout, operators
from cellsearch.export.layer_source import LayerCode, layer_code
from cellsearch.export.names import Locals, class_name, is_plain, is_taken

_MANY = 8  # tensors whose types are no longer written out


def torch_source(cell: Cell, provenance: header.Provenance | None = None) -> str:
    """The file. Raises CellError where two weights would have one name."""
    code = layer_code(cell)
    blocks = [
        [f"# {line}".rstrip() for line in header.lines(cell, "a PyTorch module", provenance)],
        ["import torch", "from torch import Tensor, nn"],
        *_constants(cell),
    ]
    text = "\n\n".join("\n".join(block) for block in blocks)
    classes = [
        *(operators.function(op) for op in code.helpers),
        *([_unit_periods()] if cell.clock else []),
        *([_weights_class(cell)] if weights(cell) else []),
        _layer_class(cell, code),
        _module_class(cell, code),
    ]
    return "\n\n\n".join([text, *("\n".join(block) for block in classes)]) + "\n"


def _constants(cell: Cell) -> list[list[str]]:
    lines = []
    if len(_state_names(cell)) > 1:
        shape = "each [num_layers, B, hidden_size]" + ("; steps is [B]" if cell.clock else "")
        about = layout.comment(0, f"{', '.join(_state_names(cell))}: {shape}")
        lines += [*about, f"States = {_tuple_type(len(_state_names(cell)))}"]
    if cell.clock:
        lines += layout.listing(0, "CLOCK = (", [str(p) for p in cell.clock], _closing(cell.clock))
    return [lines] if lines else []


def _closing(items: Sequence[object]) -> str:
    return ",)" if len(items) == 1 else ")"


def _state_names(cell: Cell) -> list[str]:
    """What stands in the tuple of states; the step counter of a clock comes last."""
    return [s.name for s in cell.states] + (["steps"] if cell.clock else [])


def _tuple_type(count: int) -> str:
    return f"tuple[{', '.join(['Tensor'] * count)}]" if count <= _MANY else "tuple[Tensor, ...]"


def _unit_periods() -> list[str]:
    return [
        "def unit_periods(units: int) -> Tensor:",
        '    """The clock period of each unit: equal groups; units left over go one each to the shortest periods."""',
        "    size, left = divmod(units, len(CLOCK))",
        "    shortest = sorted(range(len(CLOCK)), key=lambda group: CLOCK[group])[:left]",
        "    sizes = [size + (group in shortest) for group in range(len(CLOCK))]",
        "    return torch.tensor(CLOCK).repeat_interleave(torch.tensor(sizes))",
    ]


def _weights_class(cell: Cell) -> list[str]:
    taken = any(is_taken(w.name.partition(".")[2]) for w in weights(cell))
    store = "self._parameters[name]" if taken else "self.{}"
    return [
        "class Weights(nn.Module):",
        '    """The weights of one bracket of the cell, each by the name of what it multiplies."""',
        "",
        "    def __init__(self, /, **initial: Tensor) -> None:",
        "        super().__init__()",
        "        for name, value in initial.items():",
        "            self._parameters[name] = nn.Parameter(value)"
        if taken
        else "            setattr(self, name, nn.Parameter(value))",
    ]


# ---- the layer


def _layer_class(cell: Cell, code: LayerCode) -> list[str]:
    return [
        f"class {class_name(cell.name)}Layer(nn.Module):",
        '    """One layer of the cell over all time steps."""',
        "",
        *_layer_init(cell, code),
        "",
        *_layer_forward(cell, code),
    ]


def _layer_init(cell: Cell, code: LayerCode) -> list[str]:
    own = weights(cell)
    raw = uses_raw_x(cell)
    drawn = [w for w in own if w.term >= 0]
    kind = "device=device, dtype=dtype"
    lines = [
        *layout.listing(
            4,
            "def __init__(",
            ["self", "inputs: int", "units: int", "device: torch.device | str | None", "dtype: torch.dtype | None"],
            ") -> None:",
        ),
        "        super().__init__()",
    ]
    if drawn or raw:
        lines.append("        bound = units**-0.5")
    if code.periods:
        lines += [
            f'        self.register_buffer("{code.periods}", unit_periods(units).to(device), persistent=False)',
        ]
    if raw:
        lines += [
            "        # The cell reads x outside of a matrix too, so x must have the width of the units.",
            "        self.project = None",
            "        if inputs != units:",
            f"            self.project = nn.Linear(inputs, units, bias=False, {kind})",
            "            nn.init.uniform_(self.project.weight, -bound, bound)",
        ]
    if drawn:
        lines += [
            "",
            "        def uniform(*shape: int) -> Tensor:",
            f"            return torch.empty(shape, {kind}).uniform_(-bound, bound)",
        ]
    if len(own) > len(drawn):
        lines += [
            "",
            "        def full(value: float, size: int = units) -> Tensor:",
            f"            return torch.full((size,), value, {kind})",
        ]
    if own:
        lines.append("")
    for bracket, members in _by_bracket(cell):
        lines += _bracket(cell, bracket, members, "units" if raw else "inputs")
    return lines


def _by_bracket(cell: Cell) -> list[tuple[str, list[Weight]]]:
    found: dict[str, list[Weight]] = {}
    for w in weights(cell):
        found.setdefault(w.name.partition(".")[0], []).append(w)
    return list(found.items())


def _bracket(cell: Cell, bracket: str, members: list[Weight], width: str) -> list[str]:
    """The statement that makes the weights of one bracket."""
    names = [w.name.partition(".")[2] for w in members]
    values = [_first_value(cell, w, width) for w in members]
    if all(is_plain(name) for name in names):
        call, items, end = "Weights(", [f"{n}={v}" for n, v in zip(names, values, strict=True)], ")"
    else:
        call, items, end = "Weights(**{", [f'"{n}": {v}' for n, v in zip(names, values, strict=True)], "})"
    if is_taken(bracket):
        return layout.listing(8, f'self._modules["{bracket}"] = {call}', items, end)
    if not is_plain(bracket):
        return layout.listing(8, f'setattr(self, "{bracket}", {call}', items, f"{end})")
    return layout.listing(8, f"self.{bracket} = {call}", items, end)


def _first_value(cell: Cell, weight: Weight, width: str) -> str:
    node = cell.nodes[weight.node]
    assert isinstance(node, Affine)
    if weight.term < 0:
        assert node.bias is not None
        return f"full({_float(node.bias)}{', 1' if node.scalar else ''})"
    if weight.kind == "peephole":
        return "uniform(units)"
    shape = f"{width if weight.from_x else 'units'}, units"
    eye = node.connections[weight.term].eye
    if not eye:
        return f"uniform({shape})"
    return f"uniform({shape}) + {_float(eye)} * torch.eye({shape}, device=device, dtype=dtype)"


def _float(value: float) -> str:
    text = number(value)
    return text if "." in text or "e" in text else f"{text}.0"


def _layer_forward(cell: Cell, code: LayerCode) -> list[str]:
    given = [code.input, *code.states, *(name for _, name in code.below), *(["start"] if code.ticks else [])]
    results = ["torch.stack(outputs)", *code.states, *(f"torch.stack({name})" for _, name in code.kept)]
    lines = layout.listing(
        4, "def forward(", ["self", *(f"{name}: Tensor" for name in given)], f") -> {_tuple_type(len(results))}:"
    )
    lines.append(f'        """{_shapes(cell, code)}"""')
    if uses_raw_x(cell):
        x = code.input
        lines += ["        if self.project is not None:", f"            {x} = self.project({x})"]
    lines += [*code.before, ""]
    lines += [f"        {name} = []" for name in ("outputs", *(name for _, name in code.kept))]
    reads_t = any("[t]" in line for line in code.inside if not line.lstrip().startswith("#"))
    lines.append(f"        for {'t' if reads_t else '_'} in range({code.input}.shape[0]):")
    return [*lines, *code.inside, *layout.listing_of_results(8, results)]


def _shapes(cell: Cell, code: LayerCode) -> str:
    return ""


# ---- the stack


def _module_class(cell: Cell, code: LayerCode) -> list[str]:
    return []
