"""The six transformations of Jozefowicz, Zaremba and Sutskever (2015, section 3.2), each a row."""

import re
from dataclasses import dataclass
from functools import lru_cache

from numpy.random import Generator

from cellsearch.dsl.nodes import Affine, Apply, Connection, Node, sources, with_sources
from cellsearch.dsl.ops import OPS
from cellsearch.errors import CellError
from cellsearch.study.mutation.editable_graph import Draft, brief, compound, kind, sign
from cellsearch.study.mutation.operators import Mutation, Vocabulary, one_of

LINEAR = re.compile(r"linear\(\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*\)\Z", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layer:
    """A template of a node with one input: an op, or without an op a new matrix and bias with `eye` added to
    the diagonal, the paper's Linear(a). Linear(0) is an ordinary connection."""

    name: str
    op: str = ""
    eye: float = 0.0

    def node(self, source: int) -> Node:
        if self.op:
            return Apply(self.op, (source,))
        return Affine((Connection(source, eye=self.eye or None),), bias=0.0)

    def same(self, node: Node) -> bool:
        """Whether `node` already matches the template, for any initial bias."""
        if isinstance(node, Apply):
            return node.op == self.op
        assert isinstance(node, Affine)
        (c,) = node.connections
        return not self.op and not c.peephole and c.structure is None and (c.eye or 0.0) == self.eye


@lru_cache(maxsize=256)
def layer(text: str) -> Layer:
    """The template named in a search space: an op of one argument or `linear(a)`. Raises CellError for
    others."""
    if found := LINEAR.match(text):
        return Layer(text, eye=float(found[1]))
    if text in OPS and OPS[text].arity == 1:
        return Layer(text, op=text)
    known = ", ".join(name for name, op in OPS.items() if op.arity == 1)
    raise CellError(f"{text!r} is not an activation; write linear(a) with a number, or one of {known}")


def _is_layer(node: Node) -> bool:
    """Whether a node is an activation in the paper's sense: one input, applied to the whole vector. A
    peephole counts."""
    if isinstance(node, Apply):
        return len(node.args) == 1
    return isinstance(node, Affine) and len(node.connections) == 1


def _other_layers(draft: Draft, i: int, words: Vocabulary) -> list[Layer]:
    node = draft.nodes[i]
    return [new for new in map(layer, words.activations) if not new.same(node)] if _is_layer(node) else []


def _other_operations(draft: Draft, i: int, words: Vocabulary) -> list[str]:
    node = draft.nodes[i]
    binary = isinstance(node, Apply) and len(node.args) == 2
    return [op for op in words.operations if op != node.op] if binary and isinstance(node, Apply) else []


def _swap_activation(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """1. Replace an activation by another one of the seven. The current one is excluded, since it would
    change nothing."""
    new = one_of(rng, _other_layers(draft, i, words))
    old = draft.nodes[i]
    draft.put(i, new.node(sources(old)[0]))
    return f"{kind(old)} -> {new.name}"


def _swap_operation(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """2. Replace an elementwise operation by a different one."""
    new = one_of(rng, _other_operations(draft, i, words))
    old = draft.nodes[i]
    draft.put(i, Apply(new, sources(old)))
    return f"{kind(old)} -> {sign(new)}"


def _insert_activation(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """3. Insert a random activation between the node and one of its parents."""
    read = list(sources(draft.nodes[i]))
    slot = int(rng.integers(len(read)))
    new = layer(one_of(rng, words.activations))
    parent = read[slot]
    read[slot] = draft.add(new.node(parent), beside=i)
    draft.put(i, with_sources(draft.nodes[i], read))
    return f"{new.name} on {brief(draft, parent)}"


def _remove_node(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """4. Remove a node with one input and one output; its readers read its input."""
    (parent,) = sources(draft.nodes[i])
    text = f"{brief(draft, parent)} is left"
    draft.redirect(i, parent)
    return text


def _use_ancestor(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """5. Replace the node by a random ancestor."""
    ancestor = one_of(rng, draft.ancestors(i))
    text = f"replaced by {brief(draft, ancestor)}"
    draft.redirect(i, ancestor)
    return text


def _combine_ancestors(draft: Draft, i: int, words: Vocabulary, rng: Generator) -> str:
    """6. With a random node A: replace the node by the sum, product or difference of a random ancestor of the
    node and a random ancestor of A. Descendants of the node are excluded to avoid a cycle. The node itself
    may be the ancestor of A: then it stays, as an argument of the new one (this creates a skip connection
    around a node).
    """
    first = one_of(rng, draft.ancestors(i))
    above = draft.descendants(i)
    a = one_of(rng, draft.anchors())
    second = one_of(rng, [j for j in draft.ancestors(a) if j not in above])
    op = one_of(rng, words.operations)
    left, right = (f"({brief(draft, j)})" if compound(draft, j) else brief(draft, j) for j in (first, second))
    text = f"{left} {sign(op)} {right}"
    if second == i:
        second = draft.add(draft.nodes[i], beside=i)
    draft.put(i, Apply(op, (first, second)))
    return text


def _anywhere(draft: Draft, i: int, words: Vocabulary) -> bool:
    return True


def _one_in_one_out(draft: Draft, i: int, words: Vocabulary) -> bool:
    return len(sources(draft.nodes[i])) == 1 and len(draft.users()[i]) == 1


#: All rows apply to nodes with inputs for which `applies` holds.
PAPER = (
    Mutation("swap_activation", _other_layers, _swap_activation, 1, "replace an activation by another one"),
    Mutation("swap_operation", _other_operations, _swap_operation, 1, "replace an operation by another one"),
    Mutation("insert_activation", _anywhere, _insert_activation, 1, "insert an activation before a node"),
    Mutation("remove_node", _one_in_one_out, _remove_node, 1, "remove a node with one input and one output"),
    Mutation("use_ancestor", _anywhere, _use_ancestor, 1, "replace a node by an ancestor"),
    Mutation(
        "combine_ancestors",
        _anywhere,
        _combine_ancestors,
        1,
        "replace a node by a sum, product or difference of others",
    ),
)
