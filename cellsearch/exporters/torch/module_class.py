"""The class of a whole stack in an exported file: what a user makes and calls, with the conventions of
torch.nn.LSTM."""

from collections.abc import Mapping, Sequence

from cellsearch.dsl.graph import Cell, uses_raw_x
from cellsearch.dsl.nodes import Before, Input
from cellsearch.dsl.printer import number
from cellsearch.dsl.weights import weights
from cellsearch.exporters.names import Locals, class_name
from cellsearch.exporters.torch import layout
from cellsearch.exporters.torch.expressions import real
from cellsearch.exporters.torch.layer_source import LayerCode

_LARGEST_HALF = 65_504.0  # of the numbers that float16 has

_RESERVED = (
    "self torch nn Tensor ValueError TypeError type list len enumerate isinstance next check_like x k d n "
    "layer state states shape single steps earlier earlier_k last_earlier output reverse"
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
        "    With bidirectional the output has 2 * hidden_size, forward first, and states are those of layer",
        "    0 forward, layer 0 reverse, layer 1 forward, ... Dropout is applied between layers. There is no",
        "    PackedSequence: run sequences of one length together.",
        '    """',
    ]
    return layout.paragraphs(about, _init(cell), _forward(cell, code), _SHOWN)


#: How `print` shows a module.
_SHOWN = (
    "    def extra_repr(self) -> str:",
    '        """Sizes and options."""',
    '        flags = f"batch_first={self.batch_first}, bidirectional={self.bidirectional}"',
    '        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"',
    '        return f"{sizes}, {flags}, dropout={self.dropout}"',
)


def state_names(cell: Cell) -> list[str]:
    """What stands in the tuple of states, as `cellsearch.Recurrent` has it."""
    looks = any(isinstance(node, Before) for node in cell.nodes)
    return [*(s.name for s in cell.states), *(["earlier"] * looks), *(["steps"] * bool(cell.clock))]


def tuple_type(names: Sequence[str], cell: Cell) -> str:
    """The type of that tuple."""
    own = len(cell.states)
    if len(names) > layout.MANY:
        return "tuple"
    kinds = ["Tensor"] * own + ["list[Tensor]" if name == "earlier" else "Tensor" for name in names[own:]]
    return f"tuple[{', '.join(kinds)}]"


def _init(cell: Cell) -> list[str]:
    own = {state.name for state in cell.states}
    below = [node.name for node in cell.nodes if isinstance(node, Input) and node.kind == "below"]
    one_layer = [
        "        if num_layers > 1:",
        '            raise ValueError("the cell reads {} of the layer below, which has no such state")',
    ]
    strange = [name for name in below if name not in own][:1]
    made = f"{class_name(cell.name)}Layer("
    widths = ["hidden_size" if uses_raw_x(cell) else "inputs", "hidden_size", "device=device", "dtype=dtype"]
    linear = ["inputs", "hidden_size", "bias=False", *widths[2:]]
    project = [
        "            # The cell reads x outside of matrices too, so x must have the width of the units.",
        "            if inputs != hidden_size:",
        *layout.call(16, "layer.project = nn.Linear(", linear, ")"),
        "                nn.init.uniform_(layer.project.weight, -(hidden_size**-0.5), hidden_size**-0.5)",
    ]
    return [
        "    def __init__(",
        "        self,",
        "        input_size: int,",
        "        hidden_size: int,",
        "        num_layers: int = 1,",
        "        batch_first: bool = False,",
        "        dropout: float = 0.0,",
        "        bidirectional: bool = False,",
        "        device: torch.device | str | None = None,",
        "        dtype: torch.dtype | None = None,",
        "    ) -> None:",
        "        super().__init__()",
        "        if min(input_size, hidden_size, num_layers) < 1:",
        '            raise ValueError("input_size, hidden_size and num_layers must be at least 1")',
        "        if not 0 <= dropout <= 1:",
        '            raise ValueError(f"dropout must be a probability from 0 to 1, not {dropout}")',
        *(line.format(name) for name in strange for line in one_layer),
        "        self.input_size, self.hidden_size = input_size, hidden_size",
        "        self.num_layers, self.batch_first = num_layers, batch_first",
        "        self.dropout, self.bidirectional = float(dropout), bidirectional",
        "        self.directions = 2 if bidirectional else 1",
        "        self.layers = nn.ModuleList()",
        "        for k in range(num_layers):",
        "            inputs = input_size if k == 0 else self.directions * hidden_size",
        *layout.call(12, f"layer = {made}", widths, ")"),
        "            if bidirectional:",
        *layout.call(16, f"layer.reverse = {made}", widths, ")"),
        *(project if uses_raw_x(cell) else []),
        "            self.layers.append(layer)",
    ]


def _forward(cell: Cell, code: LayerCode) -> list[str]:
    clocked, looks = bool(cell.clock), bool(code.earlier)
    free = Locals(_RESERVED.split())
    states = [free.fresh(s.name) for s in cell.states]
    now = [free.fresh(f"{s.name}_k") for s in cell.states]
    last = [free.fresh(f"last_{s.name}") for s in cell.states]
    below = {name: free.fresh(f"below_{name}") for name, _ in code.below}
    behind = {name: free.fresh(f"below_{name}_reverse") for name, _ in code.below}
    packed = [*states, *(["earlier"] * looks), *(["steps"] * clocked)]
    kind = "Tensor" if len(packed) == 1 else "States"
    check_input = [
        f"    def forward(self, x: Tensor, states: {kind} | None = None) -> tuple[Tensor, {kind}]:",
        '        """The output and the last states."""',
        "        if not isinstance(x, Tensor):",
        '            raise TypeError(f"expected a tensor x, not a {type(x).__name__}")',
        "        if x.dim() not in (2, 3) or x.shape[-1] != self.input_size:",
        '            raise ValueError(f"expected x [T, B, {self.input_size}], not {list(x.shape)}")',
        *(_CHECK_WEIGHTS if weights(cell) else ()),
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
        "        shape = [self.directions * self.num_layers, x.shape[1], self.hidden_size]",
        *([f"        n = {code.looks}  # values of each layer and direction to look back at"] * looks),
        "        if states is None:",
        *_check_dtype(cell),
        *layout.parallel(12, states, zeros),
        *(["            earlier: list[Tensor] = []"] * looks),
        *(["            steps = torch.zeros(x.shape[1], dtype=torch.int64, device=x.device)"] * clocked),
        "        else:",
        *_check_number(state_names(cell)),
        *layout.unpack(12, packed, "states"),
        "            if single:",
        *layout.parallel(16, states, [f"{s}[:, None]" for s in states]),
        *(["                earlier = [v.unsqueeze(-2) for v in earlier]"] * looks),
        *(["            steps = steps.reshape(x.shape[1])"] * clocked),
        *(_NUMBER_OF_VALUES * looks),
        *_check_states(states),
    ]
    zero = "x.new_zeros(x.shape[0], x.shape[1], self.hidden_size)"
    through = [
        *(["        # What the lowest layer finds below is zero."] * bool(below)),
        *(f"        {name} = {zero}" for name in (*below.values(), *behind.values())),
        *layout.parallel(8, last, ["[]"] * len(last)),
        *(["        last_earlier = []"] * looks),
        "        for k, layer in enumerate(self.layers):",
        "            if k > 0 and self.dropout > 0:",
        "                x = nn.functional.dropout(x, self.dropout, self.training)",
        *(
            ["            if layer.project is not None:", "                x = layer.project(x)"]
            * uses_raw_x(cell)
        ),
        "            d = self.directions * k",
        *_direction(12, "output", "layer", "x", "d", code, states, now, last, below),
        "            if layer.reverse is not None:",
        *_direction(16, "reverse", "layer.reverse", "x.flip(0)", "d + 1", code, states, now, last, behind),
        "                output = torch.cat((output, reverse.flip(0)), -1)",
        "            x = output",
        *layout.parallel(8, states, [f"torch.stack({name})" for name in last]),
        *(["        steps = steps + x.shape[0]"] * clocked),
    ]
    squeezed = ["x", *states, *(["steps"] * clocked)]
    values = ["x[:, 0]", *(f"{s}[:, 0]" for s in states), *(["steps[0]"] * clocked)]
    given = [*states, *(["last_earlier"] * looks), *(["steps"] * clocked)]
    end = [
        "        if single:",
        *layout.parallel(12, squeezed, values),
        *(["            last_earlier = [v.squeeze(-2) for v in last_earlier]"] * looks),
        "        elif self.batch_first:",
        "            x = x.transpose(0, 1)",
        *_returned(given),
    ]
    return layout.paragraphs(check_input, begin, through, end)


def _direction(
    indent: int,
    output: str,
    layer: str,
    x: str,
    at: str,  # the index of the layer and direction
    code: LayerCode,
    states: Sequence[str],
    now: Sequence[str],
    last: Sequence[str],
    below: Mapping[str, str],
) -> list[str]:
    """The lines that run one layer in one direction."""
    pad, looks = " " * indent, bool(code.earlier)
    passed = [*(f"{name}[{at}]" for name in states), *below.values(), *(["steps"] * code.ticks)]
    if looks:
        passed.append("earlier[n * d : n * (d + 1)]" if at == "d" else "earlier[n * (d + 1) : n * (d + 2)]")
    results = [output, *now, *(below[name] for name, _ in code.kept), *(["earlier_k"] * looks)]
    return [
        *_assigned_call(indent, results, layer, [x, *passed]),
        *(f"{pad}{a}.append({b})" for a, b in zip(last, now, strict=True)),
        # Values that are looked back at may be one tensor, or views of one: a caller gets copies, for what
        # records a call (torch.export, ONNX) takes tensors that share memory for one input.
        *([f"{pad}last_earlier += [v.clone() for v in earlier_k]"] * looks),
    ]


def _returned(given: Sequence[str]) -> list[str]:
    line = f"        return x, {given[0]}" if len(given) == 1 else f"        return x, ({', '.join(given)})"
    if len(line) <= layout.LINE:
        return [line]
    return [*layout.listing(8, "states = (", given, ")"), "        return x, states"]


_CHECK_WEIGHTS = (
    "        if not torch.jit.is_scripting():",
    '            check_like("x", x, next(self.parameters()), "the weights")',
)
#: The check of what is looked back at: nothing, at the start, or what a call gave.
_NUMBER_OF_VALUES = (
    "        if len(earlier) not in (0, n * shape[0]):",
    '            raise ValueError(f"expected {n * shape[0]} values to look back at, not {len(earlier)}")',
)


def _check_number(names: Sequence[str]) -> list[str]:
    """The check that as many states are given as there are."""
    if len(names) == 1:
        return [
            "            if not isinstance(states, Tensor):",
            '                raise ValueError("expected one tensor for the state")',
        ]
    told = f"({', '.join(names)})"
    told = f" {told}" if len(told) < layout.LINE // 2 else ""
    message = f'f"expected {len(names)} states{told}, not {{len(states)}}"'
    return [
        f"            if len(states) != {len(names)}:",
        *layout.call(16, "raise ValueError(", [message], ")"),
    ]


def _check_dtype(cell: Cell) -> list[str]:
    """The check that float16 holds the numbers at which states start."""
    large = [s for s in cell.states if abs(s.initial) > _LARGEST_HALF]
    if not large:
        return []
    told = f"state {large[0].name} starts at {number(large[0].initial)}, more than float16 holds"
    return [
        "            if x.dtype == torch.float16:",
        *layout.call(16, "raise ValueError(", [f'"{told}: use float32 or bfloat16"'], ")"),
    ]


def _check_states(states: Sequence[str]) -> list[str]:
    """The checks of shape, device and dtype."""
    message = 'raise ValueError(f"expected states {shape}, not {list(%s.shape)}")'
    if len(states) == 1:
        return [
            f"        if list({states[0]}.shape) != shape:",
            f"            {message % states[0]}",
            f'        check_like("the state", {states[0]}, x, "x")',
        ]
    return [
        *layout.listing(8, "for state in (", states, "):"),
        "            if list(state.shape) != shape:",
        f"                {message % 'state'}",
        '            check_like("a state", state, x, "x")',
    ]


def _assigned_call(indent: int, results: Sequence[str], function: str, arguments: Sequence[str]) -> list[str]:
    """`a, b = f(c, d)`."""
    line = f"{' ' * indent}{', '.join(results)} = {function}({', '.join(arguments)})"
    if len(line) <= layout.LINE:
        return [line]
    pad = " " * indent
    targets = [f"{pad}(", *(f"{pad}    {name}," for name in results)]
    return [*targets, *layout.call(indent, f") = {function}(", arguments, ")")]
