"""Mutations beyond the paper's six: peepholes, coupled gates, biases, structures of matrices, states, earlier
steps, the layer below, clocks. Each is a row.

A mutation of a bracket is anchored to its first affine node, so that a bracket has the same odds however many
connections it has.
"""

from dataclasses import replace

from numpy.random import Generator

from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Initial,
    Input,
    Node,
    Uniform,
    sources,
    with_sources,
)
from cellsearch.dsl.ops import OPS, Kind
from cellsearch.dsl.printer import initial, matrix
from cellsearch.dsl.rewriting.expand import is_sum
from cellsearch.study.mutation.brackets import bracket_at, extend, inner, root_of, terms_of
from cellsearch.study.mutation.editable_graph import Draft, brief
from cellsearch.study.mutation.operators import Mutation, Vocabulary, one_of
from cellsearch.study.mutation.templates import bias, structure

PLAIN = Connection(0)  # a full matrix without a structure


# Peepholes


def _unseen(draft: Draft, i: int, words: Vocabulary) -> list[int]:
    """What the bracket of node `i` could get a peephole from: old and new values of states, and values of the
    layer below that the cell uses; none that depends on the bracket or has a peephole there."""
    terms = bracket_at(draft, i)
    if not terms:
        return []
    seen = {s for t in terms for s in sources(draft.nodes[t]) if _is_peephole(draft.nodes[t])}
    later = {i} | draft.descendants(i)
    below = [k for k in draft.users() if isinstance(node := draft.nodes[k], Input) and node.kind == "below"]
    news = [k for k in draft.new if not isinstance(draft.nodes[k], Input | Constant)]
    return sorted({*draft.at, *news, *below} - seen - later)


def _add_peephole(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    source = one_of(rng, _unseen(draft, i, words))
    text = f".{brief(draft, source)}"
    extend(draft, i, Connection(source, peephole=True))
    return text


def _is_peephole(node: Node) -> bool:
    return isinstance(node, Affine) and any(c.peephole for c in node.connections)


def _removable_peephole(draft: Draft, i: int, words: Vocabulary) -> bool:
    """Whether a node is a peephole of a bracket that has something else. One that is subtracted from is kept:
    what stands behind the minus would have to change its sign."""
    if not _is_peephole(draft.nodes[i]) or not inner(draft, i):
        return False
    user = draft.nodes[draft.users()[i][0]]
    others = [t for t in terms_of(draft, root_of(draft, i)) if t != i]
    return bool(others) and isinstance(user, Apply) and (user.op == "add" or user.args[1] == i)


def _remove_peephole(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    node = draft.nodes[i]
    assert isinstance(node, Affine)
    text = f".{brief(draft, node.connections[0].source)} goes"
    if node.bias is not None:
        draft.put(i, Affine((), node.bias))  # the bracket keeps its bias
        return text
    user = draft.users()[i][0]
    left, right = sources(draft.nodes[user])
    draft.redirect(user, right if left == i else left)
    return text


# Gates


def _is_gate(draft: Draft, i: int) -> bool:
    """Whether a node is an activation between 0 and 1 of a bracket, and multiplies something."""
    node = draft.nodes[i]
    if not isinstance(node, Apply) or OPS[node.op].arity != 1:
        return False
    op = OPS[node.op]
    if op.span != (0, 1) or op.kind is Kind.UNITS or not any(True for _ in terms_of(draft, node.args[0])):
        return False
    return any(_multiplies(draft, u) or _is_complement(draft, u) for u in draft.users()[i])


def _multiplies(draft: Draft, i: int) -> bool:
    return i >= 0 and isinstance(node := draft.nodes[i], Apply) and node.op == "mul"


def _is_complement(draft: Draft, i: int) -> bool:
    """Whether a node is 1 - something."""
    if i < 0 or not isinstance(node := draft.nodes[i], Apply) or node.op != "sub":
        return False
    return draft.nodes[node.args[0]] == Constant(1.0)


def _partners(draft: Draft, i: int, words: Vocabulary) -> list[int]:
    """The gates that gate `i` can be coupled to."""
    if not _is_gate(draft, i):
        return []
    later = {i} | draft.descendants(i)
    return [k for k in draft.anchors() if k not in later and _is_gate(draft, k)]


def _couple_gates(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """A gate becomes 1 minus another one, as the coupled input and forget gate of Greff et al. (2017)."""
    gate = one_of(rng, _partners(draft, i, words))
    text = f"1 - {brief(draft, gate)}"
    draft.put(i, Apply("sub", (draft.add(Constant(1.0), beside=i), gate)))
    return text


def _is_coupled(draft: Draft, i: int, words: Vocabulary) -> bool:
    return _is_complement(draft, i) and _is_gate(draft, sources(draft.nodes[i])[1])


def _uncouple_gate(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """What is 1 minus a gate becomes a gate with weights of its own, made like the other one."""
    gate = sources(draft.nodes[i])[1]
    node = draft.nodes[gate]
    assert isinstance(node, Apply)
    root = node.args[0]
    terms = set(terms_of(draft, root))

    def copied(k: int) -> int:
        own = k == root or inner(draft, k)
        if not own or not (k in terms or is_sum(draft.nodes[k])):
            return k
        read = sources(draft.nodes[k])
        new = read if k in terms else [copied(s) for s in read]
        return draft.add(with_sources(draft.nodes[k], new), beside=i)

    text = f"like {brief(draft, gate)}, with weights of its own"
    draft.put(i, Apply(node.op, (copied(root),)))
    return text


# Biases and structures


def _other_biases(draft: Draft, i: int, words: Vocabulary) -> list[Initial]:
    terms = bracket_at(draft, i)
    if not terms or not any(sources(draft.nodes[t]) for t in terms):
        return []
    now = [node.bias for t in terms if isinstance(node := draft.nodes[t], Affine) and node.bias is not None]
    every = [bias(text) for text in words.biases]
    return [new for new in every if now != ([] if new is None else [new])]


def _set_bias(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    new = one_of(rng, _other_biases(draft, i, words))
    for term in bracket_at(draft, i):
        node = draft.nodes[term]
        assert isinstance(node, Affine)
        draft.put(term, replace(node, bias=new if term == i else None))
    if new is None:
        return "no bias"
    return f"{'drawn from ' * isinstance(new, Uniform)}{initial(new)}"


def _other_structures(draft: Draft, i: int, words: Vocabulary) -> list[Connection]:
    """The structures, and none, that a full connection could have instead of its own."""
    node = draft.nodes[i]
    if not isinstance(node, Affine) or len(node.connections) != 1 or node.connections[0].peephole:
        return []
    (c,) = node.connections
    source = draft.nodes[c.source]
    while isinstance(source, Before):
        source = draft.nodes[source.source]
    wide = isinstance(source, Input) and source.kind == "x"
    found = [
        new
        for text in words.structures
        if ((new := structure(text)).row.clock <= bool(draft.clock)) and not (wide and new.row.square)
    ]
    return [new for new in (PLAIN, *found) if replace(new, source=c.source) != c]


def _set_structure(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    new = one_of(rng, _other_structures(draft, i, words))
    node = draft.nodes[i]
    assert isinstance(node, Affine)
    source = node.connections[0].source
    draft.put(i, replace(node, connections=(replace(new, source=source),)))
    return matrix(new) or "a full matrix"


# States, earlier steps, the layer below, clocks


def _inside(draft: Draft, i: int, words: Vocabulary) -> bool:
    """Whether a node is no new value of a state."""
    return i not in draft.new


def _add_state(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """A node is remembered: a new state m takes as much of it as a new gate says, m' = m + k * (v - m), and
    what read the node reads m'."""
    old = brief(draft, i)
    used = {s.name for s in draft.states} | {label.rstrip("'") for label in draft.labels}
    used |= {node.name for node in draft.nodes if isinstance(node, Input)}
    name = next(n for n in ("m", *(f"m{k}" for k in range(2, 1_000))) if n not in used)
    value = draft.add(draft.nodes[i], beside=i)
    draft.labels[value], draft.labels[i] = draft.labels[i], ""
    state = draft.add_state(name, i)
    gate = _gate(draft, i, [Connection(0), Connection(draft.at[0])])
    change = draft.add(Apply("sub", (value, state)), beside=i)
    draft.put(i, Apply("add", (state, draft.add(Apply("mul", (gate, change)), beside=i))))
    return f"state {name} carries {old}"


def _gate(draft: Draft, beside: int, connections: list[Connection]) -> int:
    """A new sigmoid gate with these connections; its bias starts at zero."""
    total = -1
    for k, c in enumerate(connections):
        term = draft.add(Affine((c,), None if k else 0.0), beside)
        total = draft.add(Apply("add", (total, term)), beside) if k else term
    return draft.add(Apply("sigmoid", (total,)), beside)


def _timed(draft: Draft, i: int, words: Vocabulary) -> list[int]:
    """The places at which a node reads something that changes from step to step."""
    read = sources(draft.nodes[i])
    return [
        k for k, s in enumerate(read) if isinstance(draft.nodes[s], Input | Before) or sources(draft.nodes[s])
    ]


def _add_before(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """A node reads what one of its parents was a step earlier."""
    slot = one_of(rng, _timed(draft, i, words))
    read = list(sources(draft.nodes[i]))
    parent = read[slot]
    node = draft.nodes[parent]
    one_more = Before(node.source, node.delay + 1) if isinstance(node, Before) else Before(parent)
    read[slot] = draft.add(one_more, beside=i)
    draft.put(i, with_sources(draft.nodes[i], read))
    return brief(draft, read[slot])


def _is_new_value(draft: Draft, i: int, words: Vocabulary) -> bool:
    """Whether a node is the new value of a state to which its value in the layer below is not added yet."""
    return i in draft.new and Input("below", draft.states[draft.new.index(i)].name) not in draft.nodes


def _add_below(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """The new value of a state takes up its value in the layer below through a gate, the depth gate of Yao et
    al. (2015)."""
    state = draft.states[draft.new.index(i)].name
    below = draft.input("below", state)
    gate = _gate(draft, i, [Connection(0), Connection(below, peephole=True)])
    part = draft.add(Apply("mul", (gate, below)), beside=i)
    node = draft.nodes[i]
    if isinstance(node, Apply) and is_sum(node):  # in front of the sum, d * below(c) + f * c + i * g
        first, second = node.args
        draft.put(i, Apply(node.op, (draft.add(Apply("add", (part, first)), beside=i), second)))
    else:
        draft.put(i, Apply("add", (part, draft.add(node, beside=i))))
    return f"a gate lets below({state}) in"


def _unclocked(draft: Draft, i: int, words: Vocabulary) -> bool:
    """Whether a node is the new value of one state, in a cell that has no clock or has it elsewhere."""
    if draft.new.count(i) != 1 or not (draft.clock or words.clock):
        return False
    tick = Input("tick", "tick")
    if tick not in draft.nodes:
        return True
    at = draft.nodes.index(tick)
    ticks = [k for k, node in enumerate(draft.nodes) if at in sources(node)]
    return not any(k in ticks for s in sources(draft.nodes[i]) for k in (s, *sources(draft.nodes[s])))


def _add_clock(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """A state changes when the clock of a unit ticks, and keeps its value otherwise (Koutnik et al. 2014)."""
    k = draft.new.index(i)
    name, old = draft.states[k].name, draft.at[k]
    draft.clock = draft.clock or tuple(words.clock)
    value = draft.add(draft.nodes[i], beside=i)
    change = draft.add(Apply("sub", (value, old)), beside=i)
    part = draft.add(Apply("mul", (draft.input("tick", "tick"), change)), beside=i)
    draft.put(i, Apply("add", (old, part)))
    return f"{name} changes at ticks of the clock {', '.join(map(str, draft.clock))}"


#: All rows apply to nodes that read something; of these, to the ones for which `applies` holds.
LANGUAGE = (
    Mutation("add_peephole", _unseen, _add_peephole, 0, "a bracket gets a peephole from a state"),
    Mutation("remove_peephole", _removable_peephole, _remove_peephole, 0, "a bracket loses a peephole"),
    Mutation("couple_gates", _partners, _couple_gates, 0, "a gate becomes 1 - another one"),
    Mutation("uncouple_gate", _is_coupled, _uncouple_gate, 0, "1 - a gate becomes a gate of its own"),
    Mutation("set_bias", _other_biases, _set_bias, 0, "a bracket gets another initial bias, or none"),
    Mutation("set_structure", _other_structures, _set_structure, 0, "a matrix gets a structure, or loses it"),
    Mutation("add_state", _inside, _add_state, 0, "a new state carries a node through a gate"),
    Mutation("add_before", _timed, _add_before, 0, "a node reads a value of an earlier step"),
    Mutation("add_below", _is_new_value, _add_below, 0, "a state takes up its value in the layer below"),
    Mutation("add_clock", _unclocked, _add_clock, 0, "a state changes when its clock ticks"),
)
