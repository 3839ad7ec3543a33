"""Dependencies of a cell's output through time: x, memory and states.

A *dead state* never affects the output, at this step or a later one. Every producer of cells
(mutation, import, variants) removes dead states; a text may have them, and `cellsearch check` reports them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.limits import MAX_NAME
from cellsearch.dsl.nodes import Input, ancestors, read_clock, sources, with_sources
from cellsearch.dsl.rewriting.expand import ExpandedGraph
from cellsearch.dsl.weights import collision

G = TypeVar("G", Cell, ExpandedGraph)


def depends_on_input(cell: Cell) -> bool:
    """Whether the output depends on x, of this step or an earlier one."""
    reached, _ = _reached(cell)
    return 0 in reached


def has_memory(cell: Cell) -> bool:
    """Whether the output can depend on x of any earlier step: some state depends on x, feeds itself directly
    or through others, and reaches the output. A cell without such a state depends only on the last few
    steps."""
    _, heard = _reached(cell)
    reads = [_needed(cell, new) for new in cell.new]
    hearing = {k for k in heard if 0 in reads[k]}
    feeds = {k: {j for j in heard if 1 + k in reads[j]} for k in heard}
    for k in hearing | _closure(feeds, hearing):
        if k in _closure(feeds, {k}):
            return True
    return False


def _closure(feeds: Mapping[int, set[int]], start: set[int]) -> set[int]:
    """The states that `start` feeds, directly or through others."""
    found: set[int] = set()
    todo = list(start)
    while todo:
        more = feeds[todo.pop()] - found
        found |= more
        todo.extend(more)
    return found


def dead_states(graph: Cell | ExpandedGraph) -> tuple[str, ...]:
    """The names of the states that can be removed without changing the output, in the order of the header.
    The state whose new value is the output stays, even if no equation reads it. So does a state s if the
    output depends on `below(s)`: the layer above reads its new value. A cell needs one state; if none would
    remain, the first one stays, with the states that it reads.
    """
    _, alive = _living(graph)
    return tuple(state.name for k, state in enumerate(graph.states) if k not in alive)


def without_dead(graph: G) -> G:
    """The cell without its dead states and the nodes that only they need; the same object if it has none. The
    output stays the same function of the same weights. A new value c' that other nodes read becomes the
    equation c (c_ if weights would share a name), and its weights are renamed accordingly. An unused clock is
    removed too.
    """
    reached, alive = _living(graph)
    dead = {f"{state.name}'": state.name for k, state in enumerate(graph.states) if k not in alive}
    if not dead:
        return graph
    kept = sorted(reached | {0} | {1 + k for k in alive})
    at = {old: k for k, old in enumerate(kept)}
    nodes = tuple(with_sources(graph.nodes[i], [at[s] for s in sources(graph.nodes[i])]) for i in kept)
    states = tuple(state for k, state in enumerate(graph.states) if k in alive)
    new = tuple(at[i] for k, i in enumerate(graph.new) if k in alive)
    # the new value of a dead state keeps a name, unless a live state shares it
    named = [(at[i], graph.labels[i]) for i in kept]
    output, clock = at[graph.output], graph.clock if read_clock(nodes) else ()

    def labels(tail: str) -> tuple[str, ...]:
        """Rename c' to c, or c_ and so on; the new value of a live state is named after that state."""
        spelled = {old: name[: MAX_NAME - len(tail)] + tail for old, name in dead.items()}
        return tuple("" if label in dead and i in new else spelled.get(label, label) for i, label in named)

    if isinstance(graph, ExpandedGraph):
        return replace(
            graph, states=states, nodes=nodes, labels=labels(""), new=new, output=output, clock=clock
        )

    def made(tail: str) -> Cell:
        return build(graph.name, states, nodes, labels(tail), new, output, clock, graph.description)

    tail, cell = "", made("")
    # a second bracket of c has the name c_2, which an equation may have too
    while collision(cell) and not collision(graph) and len(tail) < 8:
        tail += "_"
        cell = made(tail)
    return cell


def _living(graph: Cell | ExpandedGraph) -> tuple[set[int], set[int]]:
    """The nodes and states that stay; unread inputs of states are not among the nodes."""
    reached, alive = _reached(graph, below=True)
    ends = [k for k, new in enumerate(graph.new) if new == graph.output]
    if ends and not alive & set(ends):
        alive.add(ends[0])  # its new value is the output
    return (reached, alive) if alive else _reached(graph, [0], below=True)


def _reached(
    graph: Cell | ExpandedGraph, also: Iterable[int] = (), below: bool = False
) -> tuple[set[int], set[int]]:
    """The nodes that the output and the states `also` depend on through time, and the indices of the states
    among them; including the states read by `below`, if requested."""
    reached: set[int] = set()
    states: set[int] = set(also)
    todo = [graph.output, *(graph.new[k] for k in states)]
    while todo:
        i = todo.pop()
        reached |= ancestors(graph.nodes, i) | {i}
        inputs = [n for n in (graph.nodes[i] for i in reached) if isinstance(n, Input)]
        read = {n.name for n in inputs if below and n.kind == "below"}
        for k, state in enumerate(graph.states):
            if k not in states and (1 + k in reached or state.name in read):
                states.add(k)
                todo.append(graph.new[k])
    return reached, states


def _needed(cell: Cell, node: int) -> frozenset[int]:
    return ancestors(cell.nodes, node) | {node}
