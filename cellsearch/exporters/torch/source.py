"""A cell as the text of one Python file: an nn.Module that imports torch alone, called like torch.nn.LSTM.

In: a `Cell`. Out: text, the same for the same cell, formatted, with each equation above its line. The weights
have the names that `cellsearch.Recurrent` gives them, so that the state dict of either fits the other.
"""

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.weights import weights
from cellsearch.exporters import header
from cellsearch.exporters.names import is_taken
from cellsearch.exporters.torch import layout, operators, structures
from cellsearch.exporters.torch.layer_class import layer_class
from cellsearch.exporters.torch.layer_source import layer_code
from cellsearch.exporters.torch.module_class import module_class, state_names, tuple_type


def torch_source(cell: Cell, provenance: header.Provenance | None = None) -> str:
    """The file. Raises CellError where two weights would have one name."""
    code = layer_code(cell)
    blocks = [
        [f"# {line}".rstrip() for line in header.lines(cell, "a PyTorch module", provenance)],
        ["import torch", "from torch import Tensor, nn"],
        _constants(cell),
    ]
    definitions = [
        *(operators.function(op) for op in code.helpers),
        _unit_periods() if cell.clock else [],
        *structures.functions(code.matrices),
        _check_like(),
        _weights_class(cell) if weights(cell) else [],
        layer_class(cell, code),
        module_class(cell, code),
    ]
    text = "\n\n".join("\n".join(block) for block in blocks if block)
    return "\n\n\n".join([text, *("\n".join(lines) for lines in definitions if lines)]) + "\n"


def _constants(cell: Cell) -> list[str]:
    names = state_names(cell)
    lines: list[str] = []
    if len(names) > 1:
        own = [state.name for state in cell.states]
        each = ", each" if len(own) > 1 else ""
        known = " and ".join([", ".join(own[:-1]), own[-1]][len(own) == 1 :])
        parts = [f"{known}{each} [directions * num_layers, B, hidden_size]"]
        parts += ["what layer after layer looks back at"] * ("earlier" in names[len(own) :])
        parts += ["the number of steps seen [B]"] * bool(cell.clock)
        lines += [*layout.comment(0, "; ".join(parts)), f"States = {tuple_type(names, cell)}"]
    if cell.clock:
        end = ",)" if len(cell.clock) == 1 else ")"
        lines += layout.listing(0, "CLOCK = (", [str(period) for period in cell.clock], end)
    return lines


def _unit_periods() -> list[str]:
    return [
        "def unit_periods(units: int) -> Tensor:",
        '    """The clock period of each unit: equal groups; units left over go to the shortest periods."""',
        "    size, left = divmod(units, len(CLOCK))",
        "    shortest = sorted(range(len(CLOCK)), key=lambda group: CLOCK[group])[:left]",
        "    sizes = [size + (group in shortest) for group in range(len(CLOCK))]",
        "    return torch.tensor(CLOCK).repeat_interleave(torch.tensor(sizes))",
    ]


def _check_like() -> list[str]:
    return [
        "def check_like(name: str, value: Tensor, like: Tensor, other: str) -> None:",
        '    """ValueError unless two tensors share device and dtype; autocast changes the latter."""',
        "    if not torch.jit.is_scripting():",
        "        kind = value.device.type",
        "        casts = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)",
        "        if value.device != like.device or (value.dtype != like.dtype and not casts):",
        '            told = f"{name} is {value.dtype} on {value.device}"',
        '            raise ValueError(f"{told}, {other} {like.dtype} on {like.device}: use .to(...)")',
    ]


def _weights_class(cell: Cell) -> list[str]:
    taken = any(is_taken(w.name.partition(".")[2]) for w in weights(cell))
    value = "nn.Parameter(value)"
    return [
        "class Weights(nn.Module):",
        '    """The weights of one bracket of the cell, each by the name of what it multiplies."""',
        "",
        "    def __init__(self, /, **initial: Tensor) -> None:",
        "        super().__init__()",
        "        for name, value in initial.items():",
        f"            self._parameters[name] = {value}"
        if taken
        else f"            setattr(self, name, {value})",
        "",
        "    def extra_repr(self) -> str:",
        '        return ", ".join(f"{name} {list(value.shape)}" for name, value in self.named_parameters())',
    ]
