"""How nodes read one another."""

from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Input,
    Node,
    in_order,
    lookback,
    users,
)

NODES: list[Node] = [
    Input("x", "x"),
    Input("state", "h"),
    Before(1, 2),
    Affine((Connection(0), Connection(2))),
    Before(3),
    Apply("mul", (4, 4)),
    Constant(1.0),
]


def test_users_stand_once_per_use() -> None:
    assert users(NODES) == ((3,), (2,), (3,), (4,), (5, 5), (), ())


def test_lookback_adds_up_along_the_longest_way() -> None:
    assert lookback(NODES) == [0, 0, 2, 2, 3, 3, 0]


def test_each_node_stands_once_behind_what_it_reads() -> None:
    turned: list[Node] = [Apply("add", (2, 1)), Apply("tanh", (2,)), Input("x", "x"), Constant(0.0)]
    placed: set[int] = set()
    assert list(in_order(turned, [0, 1], placed)) == [2, 1, 0]
    assert placed == {0, 1, 2}
    assert list(in_order(turned, [0, 3], placed)) == [3]
    assert list(in_order(NODES, [5], {0, 1})) == [2, 3, 4, 5]


def test_a_long_chain_needs_no_deep_stack() -> None:
    chain: list[Node] = [Input("x", "x"), *(Apply("tanh", (i,)) for i in range(50_000))]
    assert list(in_order(chain, [50_000], set())) == list(range(50_001))
