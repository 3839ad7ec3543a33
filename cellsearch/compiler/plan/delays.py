"""Lower a cell to delays of at most one step.

`before(v, d)` becomes a chain of states, each carrying the previous one; all delays of one value share a
chain. Earlier values of x are shifted views of the input, not states, so they cost nothing in the loop and
may have any width.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from cellsearch.dsl.graph import RECENT, Cell
from cellsearch.dsl.nodes import Before, Input, Node, State, input_wide, sources, users, with_sources
from cellsearch.dsl.weights import Weight, weights


@dataclass(frozen=True, eq=False)  # one per cell: `lower` keeps them
class Lowered:
    """A cell without `Before`: the fields are those of `Cell`, with more states and the inputs "past d".

    The first states are the cell's own, in their order; the others start at zero.
    """

    cell: Cell
    states: tuple[State, ...]
    nodes: tuple[Node, ...]
    new: tuple[int, ...]
    output: int
    clock: tuple[int, ...]
    users: tuple[tuple[int, ...], ...]
    weights: tuple[Weight, ...]  # of the cell, by the nodes of this one
    past: int  # number of earlier values of x that are read
    wide: frozenset[int]  # the nodes of the width of x
    at: tuple[int, ...]  # for each node of the cell the node that replaces it here


@lru_cache(maxsize=RECENT)
def lower(cell: Cell) -> Lowered:
    """The lowered cell."""
    wide = input_wide(cell.nodes)
    chains: list[tuple[int, set[int]]] = []  # node, and the delay in steps
    chain: dict[int, int] = {}  # Before node -> its chain
    delays: dict[int, int] = {0: 0}  # nodes of the width of x -> delay in steps
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Before) and i in wide:
            delays[i] = delays[node.source] + node.delay
        elif isinstance(node, Before):
            # Two nodes that read one value stay two: a bracket may connect both.
            free = (k for k, (s, d) in enumerate(chains) if s == node.source and node.delay not in d)
            chain[i] = next(free, len(chains))
            if chain[i] == len(chains):
                chains.append((node.source, set()))
            chains[chain[i]][1].add(node.delay)
    states = list(cell.states)
    first: list[int] = []  # by chain: the state that carries the value
    for k, (_, looks) in enumerate(chains):
        first.append(len(states))
        states += [State(f"chain {k}, {d + 1}") for d in range(max(looks))]
    nodes: list[Node] = [cell.nodes[0], *(Input("state", s.name) for s in states)]
    at = {i: i for i in range(1 + len(cell.states))}
    for i, node in enumerate(cell.nodes[1 + len(cell.states) :], 1 + len(cell.states)):
        if isinstance(node, Before) and i not in wide:
            at[i] = first[chain[i]] + node.delay  # states follow x
            continue
        at[i] = len(nodes)
        if isinstance(node, Before):
            nodes.append(Input("past", str(delays[i])))
        else:
            nodes.append(with_sources(node, [at[s] for s in sources(node)]))
    new = [at[i] for i in cell.new]
    for k, (source, looks) in enumerate(chains):
        new += [at[source], *(1 + first[k] + d for d in range(max(looks) - 1))]
    return Lowered(
        cell=cell,
        states=tuple(states),
        nodes=tuple(nodes),
        new=tuple(new),
        output=at[cell.output],
        clock=cell.clock,
        users=users(nodes),
        weights=tuple(replace(w, node=at[w.node]) for w in weights(cell)),
        past=max(delays.values()),
        wide=frozenset(at[i] for i in wide),
        at=tuple(at[i] for i in range(len(cell.nodes))),
    )
