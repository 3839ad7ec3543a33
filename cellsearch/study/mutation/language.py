"""Mutations beyond the paper's six: peepholes, coupled gates, biases, matrix structures, and those of
`steps`. Each is a row. A mutation of a bracket is anchored to its first affine node, so that the odds of a
bracket do not depend on its number of connections.
"""

from dataclasses import replace

from numpy.random import Generator

from cellsearch.dsl.initial import Drawn, Initial
from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Input,
    Node,
    sources,
    with_sources,
)
from cellsearch.dsl.ops import OPS, Kind
from cellsearch.dsl.printer import initial, matrix
from cellsearch.dsl.rewriting.expand import is_sum
from cellsearch.study.mutation.brackets import bracket_at, extend, inner, root_of, terms_of
from cellsearch.study.mutation.editable_graph import Draft, brief
from cellsearch.study.mutation.operators import Mutation, Vocabulary, one_of
from cellsearch.study.mutation.steps import STEPS
from cellsearch.study.mutation.templates import bias, structure

PLAIN = Connection(0)  # a full matrix without a structure


# Peepholes


def _unseen(draft: Draft, i: int, words: Vocabulary) -> list[int]:
    """Possible sources of a new peephole in the bracket of node `i`: old and new values of states, and used
    values of the layer below; without descendants of the bracket and existing peepholes."""
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
    """Whether a node is a peephole of a bracket with other terms. The first term of a difference is kept:
    removing it would change the sign of the subtracted term."""
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
    """Whether a node is a gate: an activation of a bracket with values between 0 and 1, used as a factor."""
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
    """A node that is 1 minus a gate becomes a gate with its own weights, built like the other one."""
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

    text = f"like {brief(draft, gate)}, with its own weights"
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
    return f"{'drawn from ' * isinstance(new, Drawn)}{initial(new)}"


def _other_structures(draft: Draft, i: int, words: Vocabulary) -> list[Connection]:
    """The alternative structures of a full connection, including none."""
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


#: All rows apply to nodes with inputs for which `applies` holds.
LANGUAGE = (
    Mutation("add_peephole", _unseen, _add_peephole, 0, "add a peephole from a state to a bracket"),
    Mutation("remove_peephole", _removable_peephole, _remove_peephole, 0, "remove a peephole from a bracket"),
    Mutation("couple_gates", _partners, _couple_gates, 0, "replace a gate by 1 - another one"),
    Mutation("uncouple_gate", _is_coupled, _uncouple_gate, 0, "replace 1 - a gate by an independent gate"),
    Mutation("set_bias", _other_biases, _set_bias, 0, "change or remove the initial bias of a bracket"),
    Mutation(
        "set_structure", _other_structures, _set_structure, 0, "change or remove the structure of a matrix"
    ),
    *STEPS,
)
