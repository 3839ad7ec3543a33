"""The fingerprint ignores labels and orders without a meaning, and never gives two cells one name."""

import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from cells import cells, disguised, random_cell
from covering import ZOO
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.nodes import Affine, Apply, Before, Connection, Constant, Input, Node, State
from cellsearch.dsl.ops import OPS, TABLE
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError

#: Part of the format of records: a change here orphans the results of every earlier search.
GOLDEN = {
    "cifg": "e459160014ee",
    "clockwork": "eda54d8a59cf",
    "depth_gated_lstm": "30c8c72623fc",
    "gru": "af81e4f2a34d",
    "gru_torch": "330ac49f65a1",
    "lstm": "a4864f98d7d2",
    "lstm_2015": "3e428b0283f7",
    "lstm_b": "967fb98035c0",
    "mut1": "251c67efd506",
    "mut2": "6fbdf8f911ee",
    "mut3": "3364fd5e0cde",
    "peephole_forget": "229c13c75e52",
    "peephole_input": "98db24d74b21",
    "peephole_lstm": "81dd6dda3b60",
    "peephole_output": "ea5d66196615",
    "rnn": "4ba55daedcca",
}


def same(first: str, second: str, header: str = "cell t(x; h, c)") -> bool:
    """Whether two texts have one fingerprint."""
    return fingerprint(parse(f"{header}\n{first}")) == fingerprint(parse(f"{header}\n{second}"))


# ---- what does not count


@given(cells(), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_names_and_orders_do_not_count(cell: Cell, seed: int) -> None:
    assert fingerprint(disguised(cell, np.random.default_rng(seed))) == fingerprint(cell)


def test_names_and_orders_do_not_count_in_large_cells() -> None:
    rng = np.random.default_rng(2)
    for _ in range(150):
        cell = random_cell(rng, nodes=60)
        assert fingerprint(disguised(cell, rng)) == fingerprint(cell)


@pytest.mark.parametrize("name", ZOO)
def test_zoo_cells_in_disguise(name: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        assert fingerprint(disguised(zoo.load(name), rng)) == fingerprint(zoo.load(name))


@pytest.mark.parametrize(
    "pair",
    [
        ("h' = h + x\nc' = c * h", "h' = x + h\nc' = h * c"),
        ("h' = [x, h, .c]\nc' = c", "h' = [.c, h, x]\nc' = c"),
        ("a = [x]\nb = [h]\nh' = a * b\nc' = b", "b = [h]\na = [x]\nh' = b * a\nc' = b"),
        ("h' = [x] * [x] * [x]\nc' = c", "a = [x]\nb = [x]\nd = [x]\nh' = d * a * b\nc' = c"),
        ("i = [x]\nf = [x]\nc' = f * c + i * h\nh' = h", "i = [x]\nf = [x]\nc' = i * c + f * h\nh' = h"),
        ("h' = x * -0\nc' = c", "h' = x * 0\nc' = c"),
        ("h' = (x)\nc' = ((c))", "h' = x\nc' = c"),
        ("h' = before(h, 1) + x\nc' = c", "h' = x + before(h)\nc' = c"),
        ("h' = [before(x)@rank(2), h@skew]\nc' = c", "a = before(x)\nh' = [h@skew, a@rank(2)]\nc' = c"),
        ("h' = [x, bias=uniform(-0, 1)]\nc' = c", "h' = [x, bias=uniform(0, 1.0)]\nc' = c"),
        ("h' = before(h) * before(h)\nc' = c", "a = before(h)\nb = before(h)\nh' = b * a\nc' = c"),
        # rings: every bracket looks like its neighbours
        (
            "a = [x]\nb = [x]\nd = [x]\nh' = [a * tanh(b), b * tanh(d), d * tanh(a)]\nc' = c",
            "a = [x]\nb = [x]\nd = [x]\nh' = [a * tanh(d), b * tanh(a), d * tanh(b)]\nc' = c",
        ),
    ],
)
def test_pairs_that_are_one_cell(pair: tuple[str, str]) -> None:
    assert same(*pair)


# ---- what counts


@pytest.mark.parametrize(
    "pair",
    [
        ("i = [x]\nf = [x]\nc' = f * c + i * h\nh' = h", "i = [x]\nc' = i * c + i * h\nh' = h"),
        ("h' = [x] * [x]\nc' = c", "a = [x]\nh' = a * a\nc' = c"),
        ("h' = x - h\nc' = c", "h' = h - x\nc' = c"),
        ("h' = x / h\nc' = c", "h' = h / x\nc' = c"),
        ("h' = max(x, h)\nc' = c", "h' = max(h, x)\nc' = c"),  # a tie belongs to the first
        ("h' = x + (h + c)\nc' = c", "h' = (x + h) + c\nc' = c"),  # floating point
        ("h' = tanh[x]\nc' = c", "h' = sigmoid[x]\nc' = c"),
        ("h' = [x]\nc' = c", "h' = [x, bias=1]\nc' = c"),
        ("h' = [x]\nc' = c", "h' = [x, bias=none]\nc' = c"),
        ("h' = [h]\nc' = c", "h' = [.h]\nc' = c"),
        ("h' = [h]\nc' = c", "h' = [h@eye(1)]\nc' = c"),
        ("h' = [h]\nc' = c", "h' = [h@eye(0)]\nc' = c"),
        ("h' = [h@eye(0.9)]\nc' = c", "h' = [h@eye(1)]\nc' = c"),
        ("h' = [scalar=0.5] * h\nc' = c", "h' = [bias=0.5] * h\nc' = c"),
        ("h' = h * 2\nc' = c", "h' = h * 3\nc' = c"),
        ("h' = h * x\nc' = c", "h' = c * x\nc' = c"),
        ("h' = c\nc' = h", "h' = h\nc' = c"),
        ("h' = [x]\nc' = h'", "h' = [x]\nc' = h"),
        ("h' = below(h)\nc' = c", "h' = below(c)\nc' = c"),
        ("h' = below(h)\nc' = c", "h' = below(other)\nc' = c"),
        ("h' = below(other)\nc' = c", "h' = below(another)\nc' = c"),
        ("h' = before(h)\nc' = c", "h' = h\nc' = c"),
        ("h' = before(h)\nc' = c", "h' = before(c)\nc' = c"),
        ("h' = before(h)\nc' = c", "h' = before(h, 2)\nc' = c"),
        ("h' = before(before(h))\nc' = c", "h' = before(h, 2)\nc' = c"),
        ("h' = before(before(h, 2))\nc' = c", "h' = before(before(h), 2)\nc' = c"),
        ("h' = before(h) * before(h)\nc' = c", "a = before(h)\nh' = a * a\nc' = c"),
        ("h' = before(h * c)\nc' = c", "h' = before(h) * before(c)\nc' = c"),
        ("h' = [h@rank(2)]\nc' = c", "h' = [h]\nc' = c"),
        ("h' = [h@rank(2)]\nc' = c", "h' = [h@rank(3)]\nc' = c"),
        ("h' = [h@rank(2)]\nc' = c", "h' = [h@blocks(2)]\nc' = c"),
        ("h' = [h@blocks(2)]\nc' = c", "h' = [h@blocks(3)]\nc' = c"),
        ("h' = [h@blocks(1)]\nc' = c", "h' = [h]\nc' = c"),
        ("h' = [h@blocks(2)@eye(1)]\nc' = c", "h' = [h@blocks(2)]\nc' = c"),
        ("h' = [h@skew]\nc' = c", "h' = [h]\nc' = c"),
        ("h' = [h@rank(2), c@rank(3)]\nc' = c", "h' = [h@rank(3), c@rank(2)]\nc' = c"),
        ("h' = [x, bias=uniform(0, 1)]\nc' = c", "h' = [x]\nc' = c"),
        ("h' = [x, bias=uniform(0, 1)]\nc' = c", "h' = [x, bias=uniform(-1, 0)]\nc' = c"),
        ("h' = [x, bias=uniform(1, 1)]\nc' = c", "h' = [x, bias=1]\nc' = c"),
        ("h' = h * [bias=uniform(0, 1)]\nc' = c", "h' = h * [scalar=uniform(0, 1)]\nc' = c"),
        ("h' = norm[x]\nc' = c", "h' = softmax[x]\nc' = c"),
        ("h' = cumax[x]\nc' = c", "h' = softmax[x]\nc' = c"),
        # one ring of six and two of three: alike for anybody who looks at neighbours alone
        tuple(
            "".join(f"{n} = [x]\n" for n in "abdefg")
            + "h' = ["
            + ", ".join(f"{p} * tanh({q})" for p, q in ring)
            + "]\nc' = c"
            for ring in (("ab", "bd", "de", "ef", "fg", "ga"), ("ab", "bd", "da", "ef", "fg", "ge"))
        ),
    ],
)
def test_pairs_that_are_two_cells(pair: tuple[str, str]) -> None:
    assert not same(*pair)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cell t(x; h, c)", "cell t(x; c, h)"),
        ("cell t(x; h, c)", "cell t(x; h, c=1)"),
        ("cell t(x; h, c=1)", "cell t(x; h, c=-1)"),
        ("cell t(x; h, c)", "cell t(x; h, c) -> c'"),
        ("cell t(x; h, c)", "cell t(x; h, c)\nclock 1"),
        ("cell t(x; h, c)\nclock 1, 2", "cell t(x; h, c)\nclock 2, 1"),
    ],
)
def test_headers_that_count(first: str, second: str) -> None:
    body = "\nc' = [x, h]\nh' = c' * c"
    assert fingerprint(parse(first + body)) != fingerprint(parse(second + body))


def test_the_structure_of_a_matrix_counts() -> None:
    assert not same("h' = [h@slower]", "h' = [h]", "cell t(x; h)\nclock 1, 2")


# ---- against brute force


def facts(cell: Cell, i: int) -> tuple[object, ...]:
    node = cell.nodes[i]
    own: tuple[object, ...] = (
        type(node),
        tuple(k for k, n in enumerate(cell.new) if n == i),
        cell.output == i,
    )
    names = [s.name for s in cell.states]
    if isinstance(node, Input):
        place = names.index(node.name) if node.kind in ("state", "below") and node.name in names else -1
        start = cell.states[place].initial if node.kind == "state" else 0.0
        return (*own, node.kind, place, start, node.name if node.kind == "below" and place < 0 else "")
    if isinstance(node, Constant):
        return (*own, node.value)
    if isinstance(node, Before):
        return (*own, node.delay)
    return (*own, node.bias, node.scalar) if isinstance(node, Affine) else (*own, node.op)


def reads(cell: Cell, i: int, at: Callable[[int], int]) -> object:
    node = cell.nodes[i]
    if isinstance(node, Affine):
        return Counter((at(c.source), c.peephole, c.eye, c.structure, c.part) for c in node.connections)
    if isinstance(node, Before):
        return at(node.source)
    if isinstance(node, Apply):
        args = [at(a) for a in node.args]
        return Counter(args) if OPS[node.op].commutative else args
    return None


def isomorphic(a: Cell, b: Cell) -> bool:
    """Whether the nodes of `a` can be laid over those of `b`: tries every assignment, node by node."""
    if len(a.nodes) != len(b.nodes) or a.clock != b.clock or len(a.states) != len(b.states):
        return False
    facts_a = [facts(a, i) for i in range(len(a.nodes))]
    facts_b = [facts(b, j) for j in range(len(b.nodes))]
    laid: dict[int, int] = {}

    def lay(i: int) -> bool:
        if i == len(a.nodes):
            return True
        for j in range(len(b.nodes)):
            if j in laid.values() or facts_a[i] != facts_b[j]:
                continue
            if reads(a, i, laid.__getitem__) == reads(b, j, lambda s: s):
                laid[i] = j
                if lay(i + 1):
                    return True
                del laid[i]
        return False

    return lay(0)


def small(rng: np.random.Generator) -> Cell:
    """A cell from so small a world that two of them are often the same."""
    nodes: list[Node] = [Input("x", "x"), Input("state", "h")]
    for _ in range(int(rng.integers(2, 8))):
        n = len(nodes)
        a, b = (int(k) for k in rng.integers(max(0, n - 4), n, 2))
        kinds: list[Node] = [
            Affine((Connection(a),)),
            Affine((Connection(a), Connection(b, peephole=True))),
            Apply("mul", (a, b)),
            Apply("sub", (a, b)),
            Apply("tanh", (a,)),
        ]
        nodes.append(kinds[int(rng.integers(len(kinds)))])
    return build("t", [State("h")], nodes, [""] * len(nodes), [len(nodes) - 1])


@pytest.mark.long
def test_small_random_cells_share_a_name_exactly_where_they_are_isomorphic() -> None:
    rng = np.random.default_rng(4)
    found = [small(rng) for _ in range(2_000)]
    names = [fingerprint(cell) for cell in found]
    groups: dict[object, list[int]] = defaultdict(list)
    for k, cell in enumerate(found):
        groups[Counter(facts(cell, i) for i in range(len(cell.nodes))).__repr__()].append(k)
    agree = differ = 0
    for group in groups.values():
        for i, j in combinations(group[:25], 2):
            equal = isomorphic(found[i], found[j])
            assert equal == (names[i] == names[j]), f"{show(found[i])}\n{show(found[j])}"
            agree, differ = agree + equal, differ + (not equal)
    assert agree > 200, "too few pairs of equal cells to say anything"
    assert differ > 200


def nudged(cell: Cell, rng: np.random.Generator) -> Cell:
    """The cell with one thing changed at random, or nothing."""
    nodes = list(cell.nodes)
    i = int(rng.integers(len(nodes)))
    node = nodes[i]
    if isinstance(node, Apply):
        peers = [op.name for op in TABLE if op.arity == len(node.args)]
        args = list(node.args)
        args[int(rng.integers(len(args)))] = int(rng.integers(i))
        nodes[i] = Apply(node.op if rng.integers(2) else str(rng.choice(peers)), tuple(args))
    elif isinstance(node, Affine) and node.connections:
        k = int(rng.integers(len(node.connections)))
        changed = replace(node.connections[k], source=int(rng.integers(i)), structure=None, part=None)
        nodes[i] = replace(node, connections=(*node.connections[:k], changed, *node.connections[k + 1 :]))
    elif isinstance(node, Affine):
        nodes[i] = replace(node, scalar=not node.scalar)
    elif isinstance(node, Before):
        nodes[i] = Before(int(rng.integers(i)), node.delay) if rng.integers(2) else Before(node.source, 4)
    return build(cell.name, cell.states, nodes, cell.labels, cell.new, cell.output, cell.clock)


def test_cells_with_one_thing_changed() -> None:
    rng = np.random.default_rng(5)
    agree = differ = 0
    while agree + differ < 400:
        cell = random_cell(rng, nodes=8)
        try:
            other = disguised(nudged(cell, rng), rng)
        except CellError:
            continue  # the change made no cell
        equal = isomorphic(cell, other)
        assert equal == (fingerprint(cell) == fingerprint(other)), f"{show(cell)}\n{show(other)}"
        agree, differ = agree + equal, differ + (not equal)
    assert agree > 50
    assert differ > 50


# ---- stability and cost


def test_the_names_of_the_zoo_do_not_change_and_two_of_its_cells_are_one() -> None:
    found = {name: fingerprint(zoo.load(name))[:12] for name in zoo.names()}
    assert found.items() >= GOLDEN.items()
    alike = {name for name, value in found.items() if list(found.values()).count(value) > 1}
    assert alike <= {"lstm", "greff_np"}, "without its peepholes Greff's LSTM is the standard one"


@pytest.mark.long
def test_another_process_gives_the_same_names() -> None:
    code = (
        "from cellsearch.dsl import zoo; from cellsearch.dsl.identity.fingerprint import fingerprint\n"
        "print(*(fingerprint(zoo.load(n)) for n in zoo.names()))"
    )
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        run = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert run.stdout.split() == [fingerprint(zoo.load(n)) for n in zoo.names()]


def test_a_cell_of_thousand_nodes_takes_no_more_than_a_second() -> None:
    # five hundred brackets that are all alike: the worst there is
    alike = "".join(f"a{k}=[x]\n" for k in range(450)) + f"h' = [{', '.join(f'a{k}' for k in range(450))}]"
    rings = "".join(f"a{k}=[x]\n" for k in range(300))
    rings += f"h' = [{', '.join(f'a{k} * tanh(a{(k + 1) % 300})' for k in range(300))}]"
    for text in (alike, rings):
        cell = parse(f"cell t(x; h)\n{text}")
        start = time.process_time()
        assert len(fingerprint(cell)) == 64
        assert time.process_time() - start < 1.0, "a bound on work, not a benchmark"
