"""Named edits of a cell: remove a gate or an activation, couple two gates, add or remove peepholes.

Parts are named by role or equation. The result has no dead states (see `reach`); a CellError explains a
missing part. Greff et al. (2017) made their eight variants of one LSTM by such edits; `greff` makes them of
any cell.

A gate is named by its equation, by the letter of its role in the literature (i f o z r d), or by the role
itself ("input"); `roles` finds the gates in the graph.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.limits import MAX_NAME
from cellsearch.dsl.nodes import (
    SUMS,
    Affine,
    Apply,
    Connection,
    Constant,
    Input,
    Node,
    State,
    ancestors,
    flatten,
    sources,
    with_sources,
)
from cellsearch.dsl.parts import name_of
from cellsearch.dsl.rewriting.reach import depends_on_input, without_dead
from cellsearch.dsl.rewriting.substitute import Substitution, substitute
from cellsearch.dsl.roles import LETTERS, Gate, activates, gates
from cellsearch.errors import CellError, printable

#: Gates that can have peepholes to a memory state, and gates that control one.
_SEEING = ("input", "forget", "coupled", "output")
_WRITING = ("input", "forget", "coupled", "update")

#: Parts other than gates that `without` accepts.
PARTS = ("input_activation", "output_activation", "peepholes")


def without(cell: Cell, part: str) -> Cell:
    """The cell without a gate, or without one of `PARTS`. Raises CellError if it has no such part."""
    if part == "peepholes":
        return with_peepholes(cell, ())
    if part in PARTS:
        return without_activation(cell, part.removesuffix("_activation"))
    return without_gate(cell, part)


def without_gate(cell: Cell, gate: str) -> Cell:
    """The cell with a gate fixed at 1, so that products with it become their other factor. A gate that mixes
    the old value of a state with a new one (update, coupled) is fixed so that the state takes the new value.
    """
    found = find_gate(cell, gate)
    edited = _name(cell, f"without_{found.name or gate}", f"without its {_called(found)}")
    if found.role not in ("update", "coupled"):
        opened = substitute(edited, {found.node: 1.0})
        if depends_on_input(cell) and not depends_on_input(opened):
            raise CellError(f"cell {cell.name}: without its {_called(found)} the input would have no effect")
        return without_dead(opened)
    k = [s.name for s in cell.states].index(found.state)
    both = [substitute(edited, {found.node: value}) for value in (0.0, 1.0)]
    taking = [one for one in both if 1 + k not in _leaves(one, one.new[k])]
    if len(taking) != 1:
        raise CellError(
            f"cell {cell.name}: {_called(found)} does not choose between {found.state} and a new value"
        )
    return without_dead(taking[0])


def couple(cell: Cell, gate: str, by: str) -> Cell:
    """The cell in which `gate` is 1 - `by`: `couple(lstm, "f", "i")` is the CIFG of Greff et al. (2017)."""
    one, other = find_gate(cell, gate), find_gate(cell, by)
    if one.node == other.node:
        raise CellError(f"cell {cell.name}: {_called(one)} cannot be coupled with itself")
    if one.node in ancestors(cell.nodes, other.node):
        raise CellError(f"cell {cell.name}: {_called(other)} is computed from {_called(one)}")
    names = f"{one.name or gate}_{other.name or by}"
    edited = _name(cell, f"coupled_{names}", f"with its {_called(one)} coupled: it is 1 - {other.name or by}")

    def coupled(draft: Substitution) -> int:
        return draft.put(
            Apply("sub", (draft.put(Constant(1.0)), draft.use(other.node))), cell.labels[one.node]
        )

    return without_dead(substitute(edited, {one.node: coupled}))


def with_peepholes(cell: Cell, which: Collection[str] | None) -> Cell:
    """The cell with peepholes to its memory state exactly on the gates in `which` (None: all possible ones):
    input and forget gates read the old value, output gates the new one. Raises CellError if nothing would
    change."""
    seeing = [g for g in gates(cell) if g.role in _SEEING]
    if not seeing:
        raise CellError(f"cell {cell.name} has no gates that could have peepholes{_listed(cell)}")
    chosen = seeing if which is None else [find_gate(cell, name) for name in which]
    for gate in chosen:
        if gate not in seeing:
            raise CellError(f"cell {cell.name}: {_called(gate)} is not a gate of a memory state")
    wanted = {gate.node for gate in chosen}
    changed: dict[int, Node] = {}
    for gate in seeing:
        for i in _brackets(cell, gate.node):
            node = cell.nodes[i]
            assert isinstance(node, Affine)
            kept = tuple(c for c in node.connections if not c.peephole or _is_below(cell, c.source))
            if gate.node not in wanted and len(kept) < len(node.connections):
                changed[i] = _bracket(cell, gate, node, kept)
        if gate.node in wanted and not gate.peepholes:
            i, node = _own_bracket(cell, gate)
            memory = _memory(cell)
            source = cell.new[memory] if gate.role == "output" else 1 + memory
            if i in ancestors(cell.nodes, source):
                raise CellError(
                    f"cell {cell.name}: {_called(gate)} is needed to compute the value that the "
                    f"peephole would read"
                )
            changed[i] = replace(node, connections=(*node.connections, Connection(source, peephole=True)))
    if not changed:
        raise CellError(f"cell {cell.name} has {'already has these peepholes' if wanted else 'no peepholes'}")
    told = (
        "on " + ", ".join(sorted(name_of(cell, n) or "an unnamed gate" for n in wanted)) if wanted else "gone"
    )
    names = "all" if which is None else "_".join(sorted(which)) or "none"
    edited = _name(cell, f"peepholes_{names}", f"with peepholes {told}")
    return without_dead(substitute(edited, changed))


def without_activation(cell: Cell, which: str) -> Cell:
    """The cell without the activation of its "input" (the candidate) or of its "output" (applied to the new
    value of a state before the output)."""
    taken = {gate.node for gate in gates(cell)}
    if which == "input":
        states = {g.state for g in gates(cell) if g.role in _WRITING} or {cell.states[0].name}
        ends = [new for s, new in zip(cell.states, cell.new, strict=True) if s.name in states]
        found = {i for end in ends for i in _leaves(cell, end) if i not in taken and _brackets(cell, i)}
    elif which == "output":
        news = {new for new in cell.new if new != cell.output and not isinstance(cell.nodes[new], Input)}
        leaves = _leaves(cell, cell.output) - taken
        found = {i for i in leaves if activates(cell.nodes[i]) and news & ancestors(cell.nodes, i)}
    else:
        raise CellError(f"activations are input and output, not {which!r}")
    if not found:
        raise CellError(f"cell {cell.name} has no {which} activation")
    if len(found) > 1:
        names = ", ".join(sorted(name_of(cell, i) or "an unnamed one" for i in found))
        raise CellError(f"cell {cell.name} has more than one {which} activation: {names}")
    (node,) = found

    def bare(draft: Substitution) -> int:
        return draft.use(sources(cell.nodes[node])[0])

    activation = cell.nodes[node]
    assert isinstance(activation, Apply)
    told = f"without its {which} activation {activation.op}"
    edited = _name(cell, f"without_{which}_activation", told)
    return without_dead(substitute(edited, {node: bare}))


def with_gate_recurrence(cell: Cell) -> Cell:
    """The cell whose gates read the last values of all gates through full matrices: full gate recurrence, the
    FGR of Greff et al. (2017). The gates become states."""
    found = gates(cell)
    if not found:
        raise CellError(f"cell {cell.name} has no gates")
    brackets = [_own_bracket(cell, gate) for gate in found]
    names = [gate.name.removesuffix("'") or LETTERS[gate.role] for gate in found]
    known = {cell.input, *(s.name for s in cell.states)}
    if len(set(names)) < len(names) or "" in names or known & set(names):
        raise CellError(f"cell {cell.name}: its gates cannot become states with the names {', '.join(names)}")
    first = 1 + len(cell.states)
    moved = [i if i < first else i + len(found) for i in range(len(cell.nodes))]
    nodes = [with_sources(n, [moved[s] for s in sources(n)]) for n in cell.nodes]
    links = tuple(Connection(first + k) for k in range(len(found)))
    for i, _ in brackets:
        node = nodes[i]
        assert isinstance(node, Affine)
        nodes[i] = replace(node, connections=node.connections + links)
    nodes[first:first] = [Input("state", name) for name in names]
    labels = [*cell.labels[:first], *[""] * len(found), *cell.labels[first:]]
    edited = _name(cell, "gate_recurrence", "with full gate recurrence")
    recurrent = build(
        edited.name,
        (*cell.states, *(State(name) for name in names)),
        nodes,
        labels,
        [*(moved[i] for i in cell.new), *(moved[gate.node] for gate in found)],
        moved[cell.output],
        cell.clock,
        edited.description,
    )
    return without_dead(recurrent)


#: The eight variants of Greff et al. (2017) as edits, by the paper's names.
GREFF: Mapping[str, Callable[[Cell], Cell]] = {
    "NIG": lambda cell: without_gate(cell, "input"),
    "NFG": lambda cell: without_gate(cell, "forget"),
    "NOG": lambda cell: without_gate(cell, "output"),
    "NIAF": lambda cell: without_activation(cell, "input"),
    "NOAF": lambda cell: without_activation(cell, "output"),
    "NP": lambda cell: with_peepholes(cell, ()),
    "CIFG": lambda cell: couple(cell, "forget", "input"),
    "FGR": with_gate_recurrence,
}


def greff(cell: Cell) -> dict[str, Cell | CellError]:
    """The eight variants of Greff et al. (2017) of any cell, or the error that names the missing part."""
    found: dict[str, Cell | CellError] = {}
    for name, edit in GREFF.items():
        try:
            found[name] = edit(cell)
        except CellError as error:
            found[name] = error
    return found


def find_gate(cell: Cell, word: str) -> Gate:
    """The gate of this name, letter or role. Raises CellError if there is none or more than one."""
    every = gates(cell)
    for fits in (
        [g for g in every if word and g.name == word],
        [g for g in every if word and word in (g.role, LETTERS[g.role])],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            names = ", ".join(g.name or "an unnamed one" for g in fits)
            raise CellError(
                f"cell {cell.name} has more than one gate {printable(word, 40)}: {names}; name one of them"
            )
    raise CellError(f"cell {cell.name} has no gate {printable(word, 40)}{_listed(cell)}")


def _listed(cell: Cell) -> str:
    named = ", ".join(f"{g.name or 'unnamed'} ({g.role})" for g in gates(cell))
    return f"; it has {named}" if named else "; it has no gates"


def _called(gate: Gate) -> str:
    return f"{gate.role} gate {gate.name}".rstrip() if gate.role != "gate" else f"gate {gate.name}".rstrip()


def _name(cell: Cell, suffix: str, told: str) -> Cell:
    """The cell with a name for the edit and a description that begins with it."""
    suffix = suffix.replace("'", "")
    name = f"{cell.name}_{suffix}"
    about = f"{cell.name} {told}." + (f"\n\n{cell.name}: {cell.description}" if cell.description else "")
    return replace(cell, name=name if len(name) <= MAX_NAME else cell.name, description=about)


def _is_below(cell: Cell, i: int) -> bool:
    node = cell.nodes[i]
    return isinstance(node, Input) and node.kind == "below"


def _leaves(cell: Cell, root: int) -> frozenset[int]:
    """The first terms of the sums and products of a node."""
    return frozenset(flatten(cell.nodes, root, (*SUMS, "mul")).leaves)


def _brackets(cell: Cell, activation: int) -> list[int]:
    """The brackets in the sum under an activation."""
    if not activates(cell.nodes[activation]):
        return []
    leaves = flatten(cell.nodes, sources(cell.nodes[activation])[0], SUMS).leaves
    return [i for i in leaves if isinstance(cell.nodes[i], Affine)]


def _own_bracket(cell: Cell, gate: Gate) -> tuple[int, Affine]:
    """The bracket of a gate that can take another connection: one that only the gate uses."""
    for i in _brackets(cell, gate.node):
        node = cell.nodes[i]
        if isinstance(node, Affine) and not node.scalar and len(cell.users[i]) == 1 and i not in cell.new:
            return i, node
    raise CellError(
        f"cell {cell.name}: the {_called(gate)} has no bracket that it alone uses for another connection"
    )


def _bracket(cell: Cell, gate: Gate, node: Affine, kept: tuple[Connection, ...]) -> Affine:
    if not kept and node.bias is None:
        raise CellError(f"cell {cell.name}: nothing would be left of the {_called(gate)}")
    return replace(node, connections=kept)


def _memory(cell: Cell) -> int:
    """The state for peepholes: written by gates and not the output."""
    names = {g.state for g in gates(cell) if g.role in ("input", "forget", "coupled")}
    found = [k for k, s in enumerate(cell.states) if s.name in names and cell.new[k] != cell.output]
    if len(found) != 1:
        told = "more than one memory state" if found else "no memory state beside its output"
        raise CellError(f"cell {cell.name} has {told}, so the source of peepholes is ambiguous")
    return found[0]
