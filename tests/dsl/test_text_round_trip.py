"""parse and show are inverses, show is canonical, and the zoo's files are in its spelling."""

import math

import numpy as np
import pytest
from cells import cells, random_cell
from covering import ZOO
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.limits import MAX_DEPTH, MAX_NESTING
from cellsearch.dsl.nodes import Affine, Apply, Before, Connection, Constant, Input, Node, State
from cellsearch.dsl.printer import number
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError


def equations(text: str, header: str = "cell t(x; h, c)") -> list[str]:
    """The equations of a text as `show` spells them."""
    return show(parse(f"{header}\n{text}")).splitlines()[1:]


@pytest.mark.long
@given(cells())
@settings(max_examples=150, deadline=None)
def test_what_is_shown_reads_back_as_the_same_cell(cell: Cell) -> None:
    assert parse(show(cell)) == cell
    assert show(parse(show(cell))) == show(cell)


def test_large_random_cells_read_back() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        cell = random_cell(rng, nodes=40)
        assert parse(show(cell)) == cell
        assert str(cell) == show(cell)


@pytest.mark.parametrize("name", ZOO)
def test_zoo_files_are_canonical(name: str) -> None:
    assert show(zoo.load(name)) == zoo.text(name)
    assert zoo.load(name).name == name


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_and_are_short(value: float) -> None:
    text = number(value)
    assert float(text) == value
    assert len(text) <= min(len(repr(value)), 24)
    assert parse(f"cell t(x; h={text})\nh' = h + {text}").states[0].initial == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-2.0, "-2"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.04, "0.04"),
        (0.001, "0.001"),
        (1e-5, "1e-5"),
        (-1e30, "-1e30"),
        (1e22, "1e22"),
        (1e6, "1000000"),
        (1e9, "1e9"),
        (1.5e9, "1.5e9"),
        (123456789012.0, "123456789012"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
        (1 / 3, "0.3333333333333333"),
    ],
)
def test_spelling_of_numbers(value: float, text: str) -> None:
    assert number(value) == text


# Each is as show spells it, so it must come back as it is.
SPELLINGS = [
    "h + c + x",
    "h + (c + x)",  # float addition is not associative
    "h - (c - x)",
    "h - c - x",
    "h * (c * x)",
    "h / (c * x)",
    "h * c / x",
    "h + c * x",
    "(h + c) * x",
    "-h * c",
    "-(h * c)",
    "h * -c",
    "h - -c",
    "-(-h)",
    "-(1)",
    "-(-1)",
    "-1",
    "h - -1",
    "h * -1",
    "-1 * h",
    "-h + -c",
    "max(h + c, [x])",
    "tanh(h)",
    "tanh[x, h]",
    "tanh([x] + h)",
    "tanh(-[x])",
    "[x]",
    "[.h, h]",
    "[x, .c, h@eye(0.9), bias=-1]",
    "[x, bias=none]",
    "[bias=0]",
    "[bias=0.5]",
    "[scalar=0.5]",
    "[scalar=0]",
    "sigmoid[scalar=-1]",
    "[.(h * c), (h * c)@eye(1), h * c]",
    "[.below(c), below(c)@eye(-1), below(other)]",
    "[.tanh(c), tanh(c)@eye(1), .sigmoid[x]]",
    "[1, -1, .(1), .(-1), (2)@eye(1)]",
    "[[x], .([x]), ([x])@eye(1)]",
    "[-h, .(-h)]",
    "below(c) * h",
    "before(h)",
    "before(h, 2)",
    "before(h, 1000) * c",
    "before(before(c), 3)",
    "before([x, h])",
    "before(h - c) - h",
    "before(-1)",
    "before(below(c))",
    "-before(x)",
    "tanh(before(h))",
    "tanh[before(x), .before(c), before(h)]",
    "[.before(c, 2), before(x)@rank(2), .(h * before(c))]",
    "[x@rank(8), h@blocks(4), c@skew]",
    "[x@blocks(65536)@eye(0.5), h@rank(65536)]",
    "[x, bias=uniform(-0.1, 0.1)]",
    "[bias=uniform(0, 0)]",
    "[scalar=uniform(-1e30, 1)]",
    "norm[x, h] + softmax(h) * cumax[x]",
    "sigmoid([bias=1] * norm[x, bias=none] + [bias=0.5] * norm(h))",
    "max(h, c) * (h + 1)",
]


@pytest.mark.parametrize("expression", SPELLINGS)
def test_canonical_spellings(expression: str) -> None:
    assert equations(f"h' = {expression}\nc' = c") == [f"h' = {expression}", "c' = c"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("((h))", "h"),
        ("(h * c) + x", "h * c + x"),
        ("(h + c) + x", "h + c + x"),
        ("tanh([x, h])", "tanh[x, h]"),
        ("tanh [ x,\n\n h # a comment\n]", "tanh[x, h]"),
        ("([x])", "[x]"),
        ("--h", "-(-h)"),
        ("- 1", "-1"),
        ("-0 * h", "0 * h"),
        ("h*1.500", "h * 1.5"),
        ("h * 1e2", "h * 100"),
        ("h * 007", "h * 7"),
        ("[x, bias=0]", "[x]"),
        ("[x, bias=-0]", "[x]"),
        ("[h@eye(1.0)]", "[h@eye(1)]"),
        ("[.(c)]", "[.c]"),
        ("[(c)@eye(1)]", "[c@eye(1)]"),
        ("before(h, 1)", "before(h)"),
        ("before((h + c), 02)", "before(h + c, 2)"),
        ("before( h ,\n 3 )", "before(h, 3)"),
        ("[h@eye(1)@blocks(2)]", "[h@blocks(2)@eye(1)]"),
        ("[h @ rank ( 2 )]", "[h@rank(2)]"),
        ("[.(before(c))]", "[.before(c)]"),
        ("[x, bias = uniform( -0 , 1.0 )]", "[x, bias=uniform(0, 1)]"),
        ("norm([x])", "norm[x]"),
        ("\th\t+ c   # x", "h + c"),
    ],
)
def test_other_spellings_become_canonical(written: str, shown: str) -> None:
    assert equations(f"h' = {written}\nc' = c") == [f"h' = {shown}", "c' = c"]


def test_a_whole_text() -> None:
    text = """\ufeff
# The description, first line
#   indented, with # and 'quotes'

#
# after two empty lines
cell everything ( x ;
   h, m = -1e30 ) -> y   # dropped
clock 1, 2,4


dt = 0.04 # dropped too
a = sigmoid[x, h@eye(1)@slower, .below(m),
    bias=none]
m' = tick * a
y = m' * dt
h' = m'
"""
    cell = parse(text.replace("\n", "\r\n"))
    assert parse(text) == cell
    assert show(cell) == (
        "# The description, first line\n#   indented, with # and 'quotes'\n#\n#\n# after two empty lines\n"
        "cell everything(x; h, m=-1e30) -> y\nclock 1, 2, 4\ndt = 0.04\n"
        "a = sigmoid[x, h@slower@eye(1), .below(m), bias=none]\nm' = tick * a\ny = m' * dt\nh' = m'\n"
    )
    assert cell.states == (State("h"), State("m", -1e30))
    assert cell.clock == (1, 2, 4)
    assert cell.new[0] == cell.new[1]


@pytest.mark.parametrize("output", ["y", "c'", "h", "c", "x", "tick", "below(c)"])
def test_what_may_be_the_output(output: str) -> None:
    text = f"cell t(x; h, c) -> {output}\nclock 2\ny = x * h\nh' = tanh(y)\nc' = y * c\n"
    assert show(parse(text)) == text


def test_the_new_value_of_the_first_state_is_the_output_unless_named() -> None:
    assert "->" not in show(parse("cell t(x; h) -> h'\nh' = x * h"))
    assert "->" not in show(parse("cell t(x; h, c) -> y\ny = x * h\nh' = y\nc' = y"))


@pytest.mark.parametrize("value", ["c'", "i", "h", "c", "x", "tick", "below(c)", "0", "-1"])
def test_a_state_may_take_any_value(value: str) -> None:
    text = f"cell t(x; h, c)\nclock 2\ni = x * h\nc' = i * i\nh' = {value}\n"
    assert show(parse(text)) == text


def test_python_keywords_and_the_like_are_names() -> None:
    text = "cell lambda(x; class)\nimport = x * class\nNone = import * nan_\nclass' = None\n"
    assert show(parse(text.replace("nan_", "import"))) == text.replace("nan_", "import")
    assert parse("cell tanh(x; h)\nh' = x").name == "tanh"


def test_equal_brackets_stay_two_and_shared_ones_stay_one() -> None:
    two, one = parse("cell t(x; h)\nh' = [x] * [x]"), parse("cell t(x; h)\nv = [x]\nh' = v * v")
    assert sum(isinstance(n, Affine) for n in two.nodes) == 2
    assert sum(isinstance(n, Affine) for n in one.nodes) == 1
    assert parse(show(one)) == one
    assert parse(show(two)) == two


def test_words_of_matrices_and_draws_are_names_elsewhere() -> None:
    text = "cell t(x; h)\nrank = [x@rank(2), h@skew]\nskew = [rank@blocks(2)]\nuniform = skew * rank\n"
    text += "blocks = [uniform, bias=uniform(0, 1)]\nh' = blocks * [eye]\n".replace("[eye]", "uniform")
    assert show(parse(text)) == text


def test_an_earlier_value_is_a_node_of_its_own_wherever_it_stands() -> None:
    text = "cell t(x; h, c)\nu = before(x)\nk = tanh[u, before(u, 2)@rank(1)]\nc' = before(k) * k\nh' = before(c', 3)\n"
    cell = parse(text)
    assert show(cell) == text
    assert [n for n in cell.nodes if isinstance(n, Before)] == [
        Before(0),
        Before(3, 2),
        Before(6),
        Before(8, 3),
    ]
    shared = parse("cell t(x; h)\nv1 = before(h)\nh' = v1 * v1 + before(h)\n")
    assert sum(isinstance(n, Before) for n in shared.nodes) == 2
    assert parse(show(shared)) == shared


def chain(step: str, depth: int) -> Cell:
    """A cell of one deep equation."""
    nodes: list[Node] = [Input("x", "x"), Input("state", "h")]
    while len(nodes) < depth + 2:
        last = len(nodes) - 1
        kinds: dict[str, Node] = {
            "peephole": Affine((Connection(last, peephole=True),)),
            "eye": Affine((Connection(last, eye=1.0),)),
            "call": Apply("tanh", (last,)),
            "left": Apply("sub", (last, 0)),
            "right": Apply("sub", (0, last)),
            "minus": Apply("neg", (last,)),
            "before": Before(last, 2),
            "rank": Affine((Connection(last, structure="rank", part=1),)),
        }
        nodes.append(kinds[step])
    return build("deep", [State("h")], nodes, [""] * len(nodes), [len(nodes) - 1])


@pytest.mark.parametrize("step", ["peephole", "eye", "call", "left", "right", "minus", "before", "rank"])
def test_the_deepest_cells_read_back(step: str) -> None:
    twice = step in ("peephole", "eye", "rank")  # `[.([.(h)])]` opens two for one node
    cell = chain(step, MAX_NESTING // 2 if twice else MAX_DEPTH)
    assert parse(show(cell)) == cell
    if twice:
        with pytest.raises(CellError, match="more than 100 nested parentheses and brackets"):
            chain(step, MAX_NESTING // 2 + 1)


def test_zero_has_no_sign() -> None:
    node = parse("cell t(x; h)\nh' = x / -0").nodes[2]
    assert isinstance(node, Constant)
    assert math.copysign(1, node.value) == 1
