"""The brackets of a draft. In an expanded cell a bracket of the text is a sum of affine nodes with one
connection each (`dsl.rewrite`); it is known by its first affine node.
"""

from collections.abc import Iterator

from cellsearch.dsl.nodes import Affine, Apply, Connection
from cellsearch.dsl.rewriting.expand import is_sum
from cellsearch.study.mutation.editable_graph import Draft


def inner(draft: Draft, i: int) -> bool:
    """Whether the only use of a node is as a term of a sum."""
    users = draft.users()[i]
    return len(users) == 1 and users[0] >= 0 and not draft.labels[i] and is_sum(draft.nodes[users[0]])


def root_of(draft: Draft, i: int) -> int:
    """The sum with node `i` as a term; the node itself if it is not a term."""
    while inner(draft, i):
        i = draft.users()[i][0]
    return i


def terms_of(draft: Draft, root: int) -> Iterator[int]:
    """The affine terms of the sum at `root`, in the order of the text; the node itself if it is affine."""
    stack = [root]
    while stack:
        i = stack.pop()
        node = draft.nodes[i]
        if isinstance(node, Apply) and is_sum(node) and (i == root or inner(draft, i)):
            stack += reversed(node.args)
        elif isinstance(node, Affine) and not node.scalar and (i == root or inner(draft, i)):
            yield i


def bracket_at(draft: Draft, i: int) -> list[int]:
    """The affine terms of the bracket that starts with `i`; empty if `i` is not the first."""
    node = draft.nodes[i]
    if not isinstance(node, Affine) or node.scalar:
        return []
    terms = list(terms_of(draft, root_of(draft, i)))
    return terms if terms[0] == i else []


def extend(draft: Draft, i: int, connection: Connection) -> None:
    """Adds a connection to the bracket of node `i`."""
    root = root_of(draft, i)
    whole = draft.add(draft.nodes[root], beside=root)
    draft.put(root, Apply("add", (whole, draft.add(Affine((connection,), None), beside=root))))
