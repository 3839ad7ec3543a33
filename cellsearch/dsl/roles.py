"""The gates of a cell and their roles, inferred from its graph.

A gate is an activation of an affine that multiplies something. Its role follows from the other factor and
from the use of the product:

    forget    the old value of a state, in the sum of the state's new value        f * c
    input     anything else in that sum                                                 i * g
    update    both, as z and as 1 - z, for a state that is the output    z * h + (1 - z) * n
    coupled   the same for an internal state (coupled input and forget gate)    f * c + (1 - f) * g
    depth     the state of the layer below                                              d * below(c)
    output    a term with the new value of a state, or the whole output   o * tanh(c')
    reset     the old value of a state on its way into the rest of the equations        [x, r * h]

If two activations multiply each other, the one between 0 and 1 is the gate and the other its operand. A
normalised affine counts as an affine, alone or with others, with or without a learned gain; earlier values of
a state count as old values.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from cellsearch.dsl.formulas.form import is_whole
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import (
    SUMS,
    Affine,
    Apply,
    Before,
    Constant,
    Input,
    Node,
    ancestors,
    flatten,
    sources,
)
from cellsearch.dsl.ops import OPS, Kind
from cellsearch.dsl.parts import name_of

#: The roles, most specific first, with their letters in the literature.
LETTERS = {
    "coupled": "f",
    "update": "z",
    "depth": "d",
    "forget": "f",
    "output": "o",
    "input": "i",
    "reset": "r",
    "gate": "",
}

_SHARE = (0, 1)  # the range of a gate's activation


@dataclass(frozen=True, slots=True)
class Gate:
    """An activation of an affine that multiplies something. `name` is its label or ""; `state` the state
    whose new value has the product, or ""; `reads` and `peepholes` are the sources of its brackets by name
    ("·" for an unnamed expression, "before(c)" for an earlier value)."""

    node: int
    name: str
    role: str
    activation: str
    state: str
    reads: tuple[str, ...]
    peepholes: tuple[str, ...]


def gates(cell: Cell) -> tuple[Gate, ...]:
    """The gates of a cell in the order of their nodes."""
    found: dict[int, list[tuple[str, str]]] = {}
    scales = _scales(cell)
    sums = [_summands(cell, new, scales) for new in cell.new]
    for product in _products(cell):
        factors = [*flatten(cell.nodes, product, ("mul",), lambda i: _inside(cell, i)).leaves]
        sides = [_gate_of(cell, i, scales) for i in factors]
        squashing = [_squashes(cell, side) for side in sides]
        for k, side in enumerate(sides):
            if side is None or (any(squashing) and not squashing[k]):
                continue
            rest = factors[:k] + factors[k + 1 :]
            found.setdefault(side[0], []).extend(_effects(cell, sums, product, rest, side[1]))
    return tuple(_gate(cell, node, effects, scales) for node, effects in sorted(found.items()))


def suggest_names(cell: Cell, nodes: Collection[int]) -> dict[int, str]:
    """Names by role (i f o z r d) for the gates among `nodes` whose letter is unused."""
    taken = {name_of(cell, i) for i in range(len(cell.nodes)) if i not in nodes}
    found: dict[int, str] = {}
    for gate in gates(cell) if nodes else ():
        letter = LETTERS[gate.role]
        if gate.node in nodes and letter and letter not in taken:
            found[gate.node] = letter
            taken.add(letter)
    return found


def _products(cell: Cell) -> Iterator[int]:
    """The multiplications that are not factors of exactly one other multiplication."""
    for i, node in enumerate(cell.nodes):
        if _is(node, "mul") and not _inside(cell, i):
            yield i


def _inside(cell: Cell, i: int) -> bool:
    users = cell.users[i]
    return len(users) == 1 and i not in (*cell.new, cell.output) and _is(cell.nodes[users[0]], "mul")


def _is(node: Node, *ops: str) -> bool:
    return isinstance(node, Apply) and node.op in ops


def _terms(cell: Cell, root: int) -> tuple[int, ...]:
    """The terms of a sum; the node itself if it is not a sum."""
    return flatten(cell.nodes, root, SUMS).leaves


def _gate_of(cell: Cell, factor: int, scales: Collection[int]) -> tuple[int, bool] | None:
    """The activation of an affine in a factor, and whether the factor is 1 - z; None for other factors."""
    node = cell.nodes[factor]
    if _is(node, "sub") and cell.nodes[sources(node)[0]] == Constant(1.0):
        inner = _gate_of(cell, sources(node)[1], scales)
        return None if inner is None else (inner[0], not inner[1])
    if not activates(node):
        return None
    return (factor, False) if _brackets(cell, factor, scales) else None


def activates(node: Node) -> bool:
    """Whether a node is an activation: an elementwise one, or an op over the units with values between 0 and
    1."""
    op = OPS[node.op] if isinstance(node, Apply) else None
    return (
        op is not None
        and op.arity == 1
        and not op.symbol
        and (op.kind is not Kind.UNITS or op.span == _SHARE)
    )


def _squashes(cell: Cell, side: tuple[int, bool] | None) -> bool:
    node = cell.nodes[side[0]] if side else None
    return isinstance(node, Apply) and OPS[node.op].span == _SHARE


def _brackets(cell: Cell, activation: int, scales: Collection[int]) -> list[Affine]:
    """The affines in the sum under an activation, including normalised and scaled ones."""
    terms = [cell.nodes[i] for i in _summands(cell, sources(cell.nodes[activation])[0], scales)]
    return [node for node in terms if isinstance(node, Affine) and node.connections]


def _summands(cell: Cell, root: int, scales: Collection[int]) -> list[int]:
    """The terms of a sum, and of its nested sums that are normalised or scaled by `scales`."""
    found: dict[int, None] = {}
    sums = [root]
    for start in sums:  # which grows
        for i in _terms(cell, start):
            node = cell.nodes[i]
            if i in found:
                continue
            found[i] = None
            if isinstance(node, Apply) and OPS[node.op].kind is Kind.UNITS and not activates(node):
                sums += node.args if is_whole(OPS[node.op].value, {"a"}) else ()
            elif isinstance(node, Apply) and node.op in ("mul", "div"):
                scaled = [s for s in node.args if s not in scales]
                sums += scaled if len(scaled) == 1 and (node.op == "mul" or node.args[1] in scales) else []
    return list(found)


def _scales(cell: Cell) -> frozenset[int]:
    """The nodes that only scale a value: numbers, learned vectors, and values with one number for all units,
    such as a mean."""
    found = {i for i, n in enumerate(cell.nodes) if isinstance(n, Affine) and not n.connections}
    one: set[int] = set()
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Apply):
            whole = {name for name, s in zip("ab", node.args, strict=False) if s not in one}
            if not is_whole(OPS[node.op].value, whole):
                one.add(i)
        elif isinstance(node, Constant) or (isinstance(node, Affine) and node.scalar):
            one.add(i)
    return frozenset(found | one)


def _old(cell: Cell, state: int) -> frozenset[int]:
    """The old values of a state: of the last step and of earlier ones."""
    found = {1 + state}
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Before) and node.source in found:
            found.add(i)
    return frozenset(found)


def _effects(
    cell: Cell, sums: Sequence[Collection[int]], product: int, rest: list[int], complement: bool
) -> Iterator[tuple[str, str]]:
    """The effects of a gate in one product with the factors `rest`: pairs of effect and state. `sums` are the
    terms of the new values."""
    reads = frozenset().union(*((ancestors(cell.nodes, i) | {i}) for i in rest))
    now = _at_this_step(cell, rest)
    if any(cell.nodes[i] == Input("below", getattr(cell.nodes[i], "name", "")) for i in rest):
        yield "depth", ""
        return
    side = "1-" if complement else ""
    placed = False
    for k, state in enumerate(cell.states):
        terms, old = sums[k], _old(cell, k)
        if product not in terms:
            continue
        placed = True
        others = {i for j, i in enumerate(cell.new) if j != k and not isinstance(cell.nodes[i], Input)}
        if old.intersection(rest):
            yield side + "keep", state.name
        elif any(_is(cell.nodes[i], "sub") and _mixes(cell, i, terms) for i in rest):
            yield "mix", state.name
        elif (others - {cell.new[k]}) & now or (terms == [product] and cell.new[k] == cell.output):
            yield "output", state.name
        else:
            yield side + "take", state.name
    if placed:
        return
    news = {i for i in cell.new if not isinstance(cell.nodes[i], Input)}
    if product in _terms(cell, cell.output) or news & now:
        yield "output", ""
    elif any(1 + k in reads for k in range(len(cell.states))):
        yield "reset", ""
    else:
        yield "gate", ""


def _at_this_step(cell: Cell, nodes: Collection[int]) -> frozenset[int]:
    """`nodes` and all nodes of this step that they depend on."""
    found: set[int] = set()
    stack = list(nodes)
    while stack:
        i = stack.pop()
        if i not in found:
            found.add(i)
            stack += () if isinstance(cell.nodes[i], Before) else sources(cell.nodes[i])
    return frozenset(found)


def _mixes(cell: Cell, difference: int, terms: Collection[int]) -> bool:
    """Whether a sum has both `z * (n - d)` and d: the form h + z * (n - h) of an update."""
    return any(i in terms for i in _terms(cell, difference))


def _gate(cell: Cell, node: int, effects: list[tuple[str, str]], scales: Collection[int]) -> Gate:
    roles: dict[str, str] = {}
    done = set(effects)
    for effect, state in effects:
        kind = effect
        if effect in ("keep", "1-keep", "take", "1-take"):
            both = (("keep", state) in done and ("1-take", state) in done) or (
                ("1-keep", state) in done and ("take", state) in done
            )
            kind = "mix" if both else ("forget" if "keep" in effect else "input")
        if kind == "mix":
            given_out = cell.new[[s.name for s in cell.states].index(state)] == cell.output
            kind = "update" if given_out else "coupled"
        roles.setdefault(kind, state)
    role = next(name for name in LETTERS if name in roles)
    apply = cell.nodes[node]
    assert isinstance(apply, Apply)
    links = [c for bracket in _brackets(cell, node, scales) for c in bracket.connections]
    return Gate(
        node=node,
        name=cell.labels[node],
        role=role,
        activation=apply.op,
        state=roles[role],
        reads=tuple(_called(cell, c.source) for c in links if not c.peephole),
        peepholes=tuple(_called(cell, c.source) for c in links if c.peephole),
    )


def _called(cell: Cell, index: int) -> str:
    node, name = cell.nodes[index], name_of(cell, index)
    if isinstance(node, Before) and not name:
        return f"before({_called(cell, node.source)}{f', {node.delay}' * (node.delay > 1)})"
    return name or "·"
