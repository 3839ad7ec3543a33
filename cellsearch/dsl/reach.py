"""What reaches the output of a cell through time: whether it hears its input, and whether it can remember.

In: a cell. Out: yes or no, from its graph alone.
"""

from collections.abc import Mapping

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import ancestors


def hears(cell: Cell) -> bool:
    """Whether what the cell gives out depends on x, at this step or an earlier one."""
    reached, _ = _reached(cell)
    return 0 in reached


def remembers(cell: Cell) -> bool:
    """Whether what the cell gives out can depend on x of any earlier step: a state that hears x feeds itself,
    at once or through others, and the output hears it. What lacks such a state sees the last few steps."""
    _, heard = _reached(cell)
    reads = [_needed(cell, new) for new in cell.new]
    hearing = {k for k in heard if 0 in reads[k]}
    feeds = {k: {j for j in heard if 1 + k in reads[j]} for k in heard}
    for k in hearing | _closure(feeds, hearing):
        if k in _closure(feeds, {k}):
            return True
    return False


def _closure(feeds: Mapping[int, set[int]], start: set[int]) -> set[int]:
    """The states that those of `start` feed, at once or through others."""
    found: set[int] = set()
    todo = list(start)
    while todo:
        more = feeds[todo.pop()] - found
        found |= more
        todo.extend(more)
    return found


def _reached(cell: Cell) -> tuple[set[int], set[int]]:
    """The nodes that the output depends on through time, and the states among them by their place in the
    header."""
    reached: set[int] = set()
    states: set[int] = set()
    todo = [cell.output]
    while todo:
        reached |= _needed(cell, todo.pop())
        for k in range(len(cell.states)):
            if 1 + k in reached and k not in states:
                states.add(k)
                todo.append(cell.new[k])
    return reached, states


def _needed(cell: Cell, node: int) -> frozenset[int]:
    return ancestors(cell.nodes, node) | {node}
