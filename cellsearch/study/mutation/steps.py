"""Mutations that reach other steps and layers: states, earlier values, the layer below, clocks."""

from numpy.random import Generator

from cellsearch.dsl.nodes import Affine, Apply, Before, Connection, Input, sources, with_sources
from cellsearch.dsl.rewriting.expand import is_sum
from cellsearch.study.mutation.editable_graph import Draft, brief
from cellsearch.study.mutation.operators import Mutation, Vocabulary, one_of


def _inside(draft: Draft, i: int, words: Vocabulary) -> bool:
    """Whether a node is not a new value of a state."""
    return i not in draft.new


def _add_state(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """Carry a node through time: a new state m is updated by a new gate, m' = m + k * (v - m), and the
    readers of the node read m'."""
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
    """The argument positions at which a node reads a value that varies over time."""
    read = sources(draft.nodes[i])
    return [
        k for k, s in enumerate(read) if isinstance(draft.nodes[s], Input | Before) or sources(draft.nodes[s])
    ]


def _add_before(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """A node reads the previous value of one of its parents."""
    slot = one_of(rng, _timed(draft, i, words))
    read = list(sources(draft.nodes[i]))
    parent = read[slot]
    node = draft.nodes[parent]
    one_more = Before(node.source, node.delay + 1) if isinstance(node, Before) else Before(parent)
    read[slot] = draft.add(one_more, beside=i)
    draft.put(i, with_sources(draft.nodes[i], read))
    return brief(draft, read[slot])


def _is_new_value(draft: Draft, i: int, words: Vocabulary) -> bool:
    """Whether a node is the new value of a state without a term for the layer below."""
    return i in draft.new and Input("below", draft.states[draft.new.index(i)].name) not in draft.nodes


def _add_below(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """Adds the state of the layer below to the new value of a state through a gate, the depth gate of Yao et
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
    """Whether a node is the new value of exactly one state that no clock controls."""
    if draft.new.count(i) != 1 or not (draft.clock or words.clock):
        return False
    tick = Input("tick", "tick")
    if tick not in draft.nodes:
        return True
    at = draft.nodes.index(tick)
    ticks = [k for k, node in enumerate(draft.nodes) if at in sources(node)]
    return not any(k in ticks for s in sources(draft.nodes[i]) for k in (s, *sources(draft.nodes[s])))


def _add_clock(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """Updates a state only when the clock of a unit ticks (Koutnik et al. 2014)."""
    k = draft.new.index(i)
    name, old = draft.states[k].name, draft.at[k]
    draft.clock = draft.clock or tuple(words.clock)
    value = draft.add(draft.nodes[i], beside=i)
    change = draft.add(Apply("sub", (value, old)), beside=i)
    part = draft.add(Apply("mul", (draft.input("tick", "tick"), change)), beside=i)
    draft.put(i, Apply("add", (old, part)))
    return f"{name} changes at ticks of the clock {', '.join(map(str, draft.clock))}"


#: The last rows of the table.
STEPS = (
    Mutation("add_state", _inside, _add_state, 0, "carry a node through time in a new gated state"),
    Mutation("add_before", _timed, _add_before, 0, "read a value of an earlier step"),
    Mutation("add_below", _is_new_value, _add_below, 0, "add the state of the layer below to a state"),
    Mutation("add_clock", _unclocked, _add_clock, 0, "update a state only at ticks of a clock"),
)
