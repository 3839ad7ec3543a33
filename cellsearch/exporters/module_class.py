"""The class of a whole stack in an exported file: what a user makes and calls, with the conventions of
torch.nn.LSTM."""

from collections.abc import Sequence

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Before
from cellsearch.exporters import layout
from cellsearch.exporters.expressions import real
from cellsearch.exporters.layer_source import LayerCode
from cellsearch.exporters.names import Locals, class_name

_RESERVED = (
    "self torch x k layer list enumerate state states shape single steps earlier earlier_k last_earlier"
)


def module_class(cell: Cell, code: LayerCode) -> list[str]:
    """The lines of the class."""
    about = [
        f"class {class_name(cell.name)}(nn.Module):",
        f'    """Layers of {cell.name}, called like torch.nn.LSTM.',
        "",
        "    `output, states = module(x, states)`: x is [T, B, input_size], or [B, T, input_size] with",
        "    batch_first, or [T, input_size] for one sequence; in the output hidden_size is in place of",
        "    input_size. Give the last states back to go on with a sequence; leave them out to start one.",
        '    """',
    ]
    return layout.paragraphs(about, _init(cell, code), _forward(cell, code))


def state_names(cell: Cell) -> list[str]:
    """What stands in the tuple of states, as `cellsearch.Recurrent` has it."""
    looks = any(isinstance(node, Before) for node in cell.nodes)
    return [*(s.name for s in cell.states), *(["earlier"] * looks), *(["steps"] * bool(cell.clock))]


def tuple_type(names: Sequence[str], cell: Cell) -> str:
    """The type of that tuple."""
    own = len(cell.states)
    if len(names) > layout.MANY:
        return "tuple"
    kinds = ["Tensor"] * own + ["list[tuple]" if name == "earlier" else "Tensor" for name in names[own:]]
    return f"tuple[{', '.join(kinds)}]"


def _init(cell: Cell, code: LayerCode) -> list[str]:
    strange = [below for below, _ in code.below if below not in {s.name for s in cell.states}]
    one_layer = [
        "        if num_layers > 1:",
        '            raise ValueError("the cell reads {{}} of the layer below, which has no such state")',
    ]
    return [
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
        *(line.format(strange[0]) for line in one_layer if strange),
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


def _forward(cell: Cell, code: LayerCode) -> list[str]:
    clocked, looks = bool(cell.clock), bool(code.earlier)
    free = Locals(_RESERVED.split())
    states = [free.fresh(s.name) for s in cell.states]
    now = [free.fresh(f"{s.name}_k") for s in cell.states]
    last = [free.fresh(f"last_{s.name}") for s in cell.states]
    below = {name: free.fresh(f"below_{name}") for name, _ in code.below}
    packed = [*states, *(["earlier"] * looks), *(["steps"] * clocked)]
    kind = "Tensor" if len(packed) == 1 else "States"
    check_input = [
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
        f"x.new_full(shape, {real(s.initial)})" if s.initial else "x.new_zeros(shape)" for s in cell.states
    ]
    begin = [
        "        shape = [self.num_layers, x.shape[1], self.hidden_size]",
        "        if states is None:",
        *layout.parallel(12, states, zeros),
        *(["            earlier = [None] * self.num_layers"] * looks),
        *(["            steps = torch.zeros(x.shape[1], dtype=torch.int64, device=x.device)"] * clocked),
        "        else:",
        *layout.unpack(12, packed, "states"),
        "            if single:",
        *layout.parallel(16, states, [f"{s}[:, None]" for s in states]),
        *(["                earlier = [[v.unsqueeze(-2) for v in looked] for looked in earlier]"] * looks),
        *(["            steps = steps.reshape(x.shape[1])"] * clocked),
        *_check_states(states),
    ]
    passed = [*(f"{s}[k]" for s in states), *below.values()]
    passed += ["steps"] * code.ticks + ["earlier[k]"] * looks
    results = ["x", *now, *(below[name] for name, _ in code.kept), *(["earlier_k"] * looks)]
    zero = "x.new_zeros(x.shape[0], x.shape[1], self.hidden_size)"
    through = [
        *(["        # What the lowest layer finds below is zero."] * bool(below)),
        *(f"        {name} = {zero}" for name in below.values()),
        *layout.parallel(8, last, ["[]"] * len(last)),
        *(["        last_earlier = []"] * looks),
        "        for k, layer in enumerate(self.layers):",
        *_assigned_call(12, results, "layer", ["x", *passed]),
        *(f"            {a}.append({b})" for a, b in zip(last, now, strict=True)),
        # Values that are looked back at may be one tensor, or views of one: a caller gets copies, for what
        # records a call (torch.export, ONNX) takes tensors that share memory for one input.
        *(["            last_earlier.append(tuple(v.clone() for v in earlier_k))"] * looks),
        *layout.parallel(8, states, [f"torch.stack({name})" for name in last]),
        *(["        steps = steps + x.shape[0]"] * clocked),
    ]
    squeezed = ["x", *states, *(["steps"] * clocked)]
    values = ["x[:, 0]", *(f"{s}[:, 0]" for s in states), *(["steps[0]"] * clocked)]
    given = [*states, *(["last_earlier"] * looks), *(["steps"] * clocked)]
    end = [
        "        if single:",
        *layout.parallel(12, squeezed, values),
        *(
            ["            last_earlier = [tuple(v.squeeze(-2) for v in looked) for looked in last_earlier]"]
            * looks
        ),
        "        elif self.batch_first:",
        "            x = x.transpose(0, 1)",
        *_returned(given),
    ]
    return layout.paragraphs(check_input, begin, through, end)


def _returned(given: Sequence[str]) -> list[str]:
    line = f"        return x, {given[0]}" if len(given) == 1 else f"        return x, ({', '.join(given)})"
    if len(line) <= layout.LINE:
        return [line]
    return [*layout.listing(8, "states = (", given, ")"), "        return x, states"]


def _check_states(states: Sequence[str]) -> list[str]:
    message = 'raise ValueError(f"expected states {shape}, not {list(%s.shape)}")'
    if len(states) == 1:
        return [f"        if list({states[0]}.shape) != shape:", f"            {message % states[0]}"]
    return [
        *layout.listing(8, "for state in (", states, "):"),
        "            if list(state.shape) != shape:",
        f"                {message % 'state'}",
    ]


def _assigned_call(indent: int, results: Sequence[str], function: str, arguments: Sequence[str]) -> list[str]:
    """`a, b = f(c, d)`."""
    line = f"{' ' * indent}{', '.join(results)} = {function}({', '.join(arguments)})"
    if len(line) <= layout.LINE:
        return [line]
    pad = " " * indent
    targets = [f"{pad}(", *(f"{pad}    {name}," for name in results)]
    return [*targets, *layout.call(indent, f") = {function}(", arguments, ")")]
