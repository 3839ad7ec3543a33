"""A cell as the text of one Python file: an nn.Module that imports torch alone, called like torch.nn.LSTM.

In: a `Cell`. Out: text, the same for the same cell, formatted, with each equation above its line. The weights have
the names that `cellsearch.Recurrent` gives them, so that the state dict of either fits the other.
"""

from collections.abc import Sequence

from cellsearch.dsl.graph import Affine, Cell, Uniform, uses_raw_x
from cellsearch.dsl.text.printer import number
from cellsearch.dsl.weights import Weight, weights
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
        *([_blocks()] if any("= blocks(" in line for line in code.before) else []),
        *([_weights_class(cell)] if weights(cell) else []),
        _layer_class(cell, code),
        _module_class(cell, code),
    ]
    return "\n\n\n".join([text, *("\n".join(block) for block in classes)]) + "\n"


def _constants(cell: Cell) -> list[list[str]]:
    lines = []
    if len(_state_names(cell)) > 1:
        names = " and ".join(s.name for s in cell.states[-2:])
        names = ", ".join([*(s.name for s in cell.states[:-2]), names])
        shape = f"{names}{', each' if len(cell.states) > 1 else ''} [num_layers, B, hidden_size]"
        about = layout.comment(0, f"{shape}{', and the number of steps seen [B]' if cell.clock else ''}")
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
        '    """The clock period of each unit, in equal groups; units left over go to the shortest periods."""',
        "    size, left = divmod(units, len(CLOCK))",
        "    shortest = sorted(range(len(CLOCK)), key=lambda group: CLOCK[group])[:left]",
        "    sizes = [size + (group in shortest) for group in range(len(CLOCK))]",
        "    return torch.tensor(CLOCK).repeat_interleave(torch.tensor(sizes))",
    ]


def _blocks() -> list[str]:
    return [
        "def blocks(weight: Tensor, parts: int) -> Tensor:",
        '    """`weight` without what lies outside of its diagonal blocks; larger ones come first."""',
        "    rows, columns = (torch.arange(size).tensor_split(parts) for size in weight.shape)",
        "    ones = [torch.ones(len(r), len(c)) for r, c in zip(rows, columns, strict=True)]",
        "    return weight * torch.block_diag(*ones).to(weight)",
    ]


def _weights_class(cell: Cell) -> list[str]:
    taken = any(is_taken(w.name.partition(".")[2]) for w in weights(cell))
    value = "nn.Parameter(value)"
    store = f"self._parameters[name] = {value}" if taken else f"setattr(self, name, {value})"
    return [
        "class Weights(nn.Module):",
        '    """The weights of one bracket of the cell, each by the name of what it multiplies."""',
        "",
        "    def __init__(self, /, **initial: Tensor) -> None:",
        "        super().__init__()",
        "        for name, value in initial.items():",
        f"            {store}",
    ]


# ---- the layer


def _layer_class(cell: Cell, code: LayerCode) -> list[str]:
    return layout.paragraphs(
        [
            f"class {class_name(cell.name)}Layer(nn.Module):",
            '    """One layer of the cell over all time steps."""',
        ],
        _layer_init(cell, code),
        _layer_forward(cell, code),
    )


def _layer_init(cell: Cell, code: LayerCode) -> list[str]:
    own, raw = weights(cell), uses_raw_x(cell)
    drawn = [w for w in own if w.term >= 0]
    start = [
        "    def __init__(self, inputs: int, units: int, **kind) -> None:  # kind: device and dtype",
        "        super().__init__()",
    ]
    if drawn or raw:
        start.append("        bound = units**-0.5")
    if code.periods:
        start += [
            '        periods = unit_periods(units).to(kind["device"])',
            f'        self.register_buffer("{code.periods}", periods, persistent=False)',
        ]
    project, uniform, full, owned = [], [], [], []
    if raw:
        project = [
            "        # The cell reads x outside of matrices too, so x must have the width of the units.",
            "        self.project = None",
            "        if inputs != units:",
            "            self.project = nn.Linear(inputs, units, bias=False, **kind)",
            "            nn.init.uniform_(self.project.weight, -bound, bound)",
        ]
    if drawn:
        uniform = [
            "        def uniform(*shape: int) -> Tensor:",
            "            return torch.empty(shape, **kind).uniform_(-bound, bound)",
        ]
    if any(not isinstance(value, Uniform) for value in _biases(cell)):
        full = [
            "        def full(value: float, size: int = units) -> Tensor:",
            "            return torch.full((size,), value, **kind)",
        ]
    if any(isinstance(value, Uniform) for value in _biases(cell)):
        full += [
            *([""] if full else []),
            "        def between(low: float, high: float, size: int = units) -> Tensor:",
            "            return torch.empty(size, **kind).uniform_(low, high)",
        ]
    for bracket, members in _by_bracket(cell):
        owned += _bracket(cell, bracket, members, "units" if raw else "inputs")
    return layout.paragraphs(start, uniform, full, owned, project)


def _by_bracket(cell: Cell) -> list[tuple[str, list[Weight]]]:
    found: dict[str, list[Weight]] = {}
    for w in weights(cell):
        found.setdefault(w.name.partition(".")[0], []).append(w)
    return list(found.items())


def _bracket(cell: Cell, bracket: str, members: list[Weight], width: str) -> list[str]:
    """The statement that makes the weights of one bracket."""
    names = [w.name.partition(".")[2] for w in members]
    values = [_first_value(cell, w, width) for w in members]
    items = [
        f"{name}={value}" if is_plain(name) else f'**{{"{name}": {value}}}'
        for name, value in zip(names, values, strict=True)
    ]
    plain = is_plain(bracket) and not is_taken(bracket)
    target = f"self.{bracket}" if plain else f'self._modules["{bracket}"]'
    return layout.call(8, f"{target} = Weights(", items, ")")


def _first_value(cell: Cell, weight: Weight, width: str) -> str:
    node = cell.nodes[weight.node]
    assert isinstance(node, Affine)
    if weight.term < 0:
        assert node.bias is not None
        size = ", 1" if node.scalar else ""
        if isinstance(node.bias, Uniform):
            return f"between({_float(node.bias.low)}, {_float(node.bias.high)}{size})"
        return f"full({_float(node.bias)}{size})"
    if weight.kind == "peephole":
        return "uniform(units)"
    if weight.kind == "up":
        return f"uniform({weight.rank}, units)"
    rows = width if weight.from_x else "units"
    if weight.kind == "down":
        return f"uniform({rows}, {weight.rank})"
    shape = f"{rows}, units"
    eye = node.connections[weight.term].eye
    if not eye:
        return f"uniform({shape})"
    return f"uniform({shape}) + {_float(eye)} * torch.eye({shape}, **kind)"


def _biases(cell: Cell) -> list[float | Uniform]:
    return [n.bias for n in cell.nodes if isinstance(n, Affine) and n.bias is not None]


def _float(value: float) -> str:
    text = number(value)
    return text if "." in text or "e" in text else f"{text}.0"


def _layer_forward(cell: Cell, code: LayerCode) -> list[str]:
    x = code.input
    given = [x, *code.states, *(name for _, name in code.below), *(["start"] if code.ticks else [])]
    results = ["torch.stack(outputs)", *code.states, *(f"torch.stack({name})" for _, name in code.kept)]
    arguments = ["self", *(f"{name}: Tensor" for name in given)]
    start = layout.call(4, "def forward(", arguments, f") -> {_tuple_type(len(results))}:")
    more = "".join(f", and {state} at all steps" for state, _ in code.kept)
    start.append(f'        """{x} [T, B, D] and states [B, H] to outputs [T, B, H] and last states{more}."""')
    if uses_raw_x(cell):
        start += ["        if self.project is not None:", f"            {x} = self.project({x})"]
    reads_t = any("[t]" in line for line in code.inside if not line.lstrip().startswith("#"))
    loop = [
        *(f"        {name} = []" for name in ("outputs", *(name for _, name in code.kept))),
        f"        for {'t' if reads_t else '_'} in range({x}.shape[0]):",
        *code.inside,
        *layout.returned(8, results),
    ]
    return layout.paragraphs([*start, *code.before], loop) if code.before else [*start, *loop]


# ---- the stack


def _module_class(cell: Cell, code: LayerCode) -> list[str]:
    about = [
        f"class {class_name(cell.name)}(nn.Module):",
        f'    """Layers of {cell.name}, called like torch.nn.LSTM: output, states = module(x, states).',
        "",
        "    x is [T, B, input_size], or [B, T, input_size] with batch_first, or [T, input_size] for one sequence;",
        "    the output has the same axes and hidden_size. Give the last states back to go on with a sequence.",
        '    """',
    ]
    return layout.paragraphs(about, _module_init(cell, code), _module_forward(cell, code))


def _module_init(cell: Cell, code: LayerCode) -> list[str]:
    strange = [below for below, _ in code.below if below not in {s.name for s in cell.states}]
    start = [
        "    def __init__(",
        "        self,",
        "        input_size: int,",
        "        hidden_size: int,",
        "        num_layers: int = 1,",
        "        batch_first: bool = False,",
        "        device: torch.device | str | None = None,",
        "        dtype: torch.dtype | None = None,",
        "    ) -> None:",
        "        super().__init__()",
        "        if min(input_size, hidden_size, num_layers) < 1:",
        '            raise ValueError("input_size, hidden_size and num_layers must be at least 1")',
    ]
    if strange:
        start += [
            "        if num_layers > 1:",
            f'            raise ValueError("there can be but one layer: it reads {strange[0]}, which no layer has")',
        ]
    return [
        *start,
        "        self.input_size, self.hidden_size = input_size, hidden_size",
        "        self.num_layers, self.batch_first = num_layers, batch_first",
        "        self.layers = nn.ModuleList()",
        "        for k in range(num_layers):",
        "            inputs = input_size if k == 0 else hidden_size",
        *layout.call(
            12,
            f"layer = {class_name(cell.name)}Layer(",
            ["inputs", "hidden_size", "device=device", "dtype=dtype"],
            ")",
        ),
        "            self.layers.append(layer)",
    ]


def _module_forward(cell: Cell, code: LayerCode) -> list[str]:
    clocked = bool(cell.clock)
    names = Locals(
        (
            "self",
            "torch",
            "x",
            "k",
            "layer",
            "list",
            "enumerate",
            "state",
            "states",
            "steps",
            "shape",
            "single",
        )
    )
    states = [names.fresh(s.name) for s in cell.states]
    now = [names.fresh(f"{s.name}_k") for s in cell.states]
    last = [names.fresh(f"last_{s.name}") for s in cell.states]
    below = {name: names.fresh(f"below_{name}") for name, _ in code.below}
    packed = [*states, *(["steps"] if clocked else [])]
    kind = "Tensor" if len(packed) == 1 else "States"
    given = [
        f"    def forward(self, x: Tensor, states: {kind} | None = None) -> tuple[Tensor, {kind}]:",
        '        """The output and the last states."""',
        "        if x.dim() not in (2, 3) or x.shape[-1] != self.input_size:",
        '            raise ValueError(f"expected x [T, B, {self.input_size}], not {list(x.shape)}")',
        "        single = x.dim() == 2",
        "        if single:",
        "            x = x[:, None]",
        "        elif self.batch_first:",
        "            x = x.transpose(0, 1)",
    ]
    zeros = [
        f"x.new_full(shape, {_float(s.initial)})" if s.initial else "x.new_zeros(shape)" for s in cell.states
    ]
    first = [
        "        shape = [self.num_layers, x.shape[1], self.hidden_size]",
        "        if states is None:",
        *layout.parallel(12, states, zeros),
        *(
            ["            steps = torch.zeros(x.shape[1], dtype=torch.int64, device=x.device)"]
            if clocked
            else []
        ),
        "        else:",
        *layout.unpack(12, packed, "states"),
        "            if single:",
        *layout.parallel(16, states, [f"{s}[:, None]" for s in states]),
        *(["            steps = steps.reshape(x.shape[1])"] if clocked else []),
        *_check_of_states(states),
    ]
    passed = [*(f"{s}[k]" for s in states), *below.values(), *(["steps"] if code.ticks else [])]
    results = ["x", *now, *(below[name] for name, _ in code.kept)]
    size = "x.shape[0], x.shape[1], self.hidden_size"
    stacked = [
        *(["        # What the lowest layer finds below is zero."] if below else []),
        *(f"        {name} = x.new_zeros({size})" for name in below.values()),
        *layout.parallel(8, last, ["[]"] * len(last)),
        "        for k, layer in enumerate(self.layers):",
        *_call(12, results, "layer", ["x", *passed]),
        *(f"            {a}.append({b})" for a, b in zip(last, now, strict=True)),
        *layout.parallel(8, states, [f"torch.stack({name})" for name in last]),
        *(["        steps = steps + x.shape[0]"] if clocked else []),
    ]
    end = [
        "        if single:",
        *layout.parallel(
            12,
            ["x", *packed],
            ["x[:, 0]", *(f"{s}[:, 0]" for s in states), *(["steps[0]"] if clocked else [])],
        ),
        "        elif self.batch_first:",
        "            x = x.transpose(0, 1)",
        *layout.returned(8, ["x", packed[0] if len(packed) == 1 else f"({', '.join(packed)})"]),
    ]
    return layout.paragraphs(given, first, stacked, end)


def _check_of_states(states: Sequence[str]) -> list[str]:
    message = 'raise ValueError(f"expected states {shape}, not {list(%s.shape)}")'
    if len(states) == 1:
        return [f"        if list({states[0]}.shape) != shape:", f"            {message % states[0]}"]
    return [
        *layout.listing(8, "for state in (", states, "):"),
        "            if list(state.shape) != shape:",
        f"                {message % 'state'}",
    ]


def _call(indent: int, results: Sequence[str], function: str, arguments: Sequence[str]) -> list[str]:
    """`a, b = f(c, d)`."""
    line = f"{' ' * indent}{', '.join(results)} = {function}({', '.join(arguments)})"
    if len(line) <= layout.LINE:
        return [line]
    *targets, end = layout.listing(indent, "(", [*results, "_" * layout.LINE], ")")
    return [*targets[:-1], *layout.call(indent, f"{end.strip()} = {function}(", arguments, ")")]
