"""Each of the six mutations on cells small enough to list all that may come out."""

import numpy as np
import pytest

from cellsearch.dsl.nodes import ancestors
from cellsearch.dsl.ops import OPS, Kind
from cellsearch.dsl.rewriting.expand import expand, factor
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError
from cellsearch.study.mutation.editable_graph import Draft, brief, place
from cellsearch.study.mutation.operators import Edit, apply
from cellsearch.study.mutation.paper import PAPER, layer
from cellsearch.study.mutation.spec import MutationSpec

SPEC = MutationSpec()
ROWS = {m.name: m for m in PAPER}


def draft_of(equations, states="h"):
    return Draft(expand(parse(f"cell a(x; {states})\n{equations}\n")))


def find(draft, text):
    """The living node that reads like `text`, in an equation where that is said."""
    found = [i for i in draft.anchors() if text in (brief(draft, i), place(draft, i))]
    assert len(found) == 1, (text, [place(draft, i) for i in draft.anchors()])
    return found[0]


def outcomes(mutation, equations, node, states="h", spec=SPEC, tries=300):
    """All that a mutation makes of a cell at a node, as equations, and how often."""
    found = {}
    for seed in range(tries):
        draft = draft_of(equations, states)
        apply(ROWS[mutation], draft, find(draft, node), spec, np.random.default_rng(seed))
        text = show(factor(draft.frozen("a"))).split("\n", 1)[1].strip()
        found[text] = found.get(text, 0) + 1
    return found


def test_the_table_has_the_six_transformations_of_the_paper():
    assert [m.name for m in PAPER] == [
        "swap_activation",
        "swap_operation",
        "insert_activation",
        "remove_node",
        "use_ancestor",
        "combine_ancestors",
    ]


def test_swap_activation_gives_each_other_one_alike():
    found = outcomes("swap_activation", "h' = tanh[x, h]", "h'", tries=600)
    assert found.keys() == {
        "h' = sigmoid[x, h]",
        "h' = relu[x, h]",
        "h' = [[x, h]]",
        "h' = [([x, h])@eye(1)]",
        "h' = [([x, h])@eye(0.9)]",
        "h' = [([x, h])@eye(1.1)]",
    }
    assert min(found.values()) > 60, "100 of 600 are expected of each"


def test_swap_activation_of_a_connection():
    found = outcomes("swap_activation", "h' = tanh[x, h, bias=2]", "[h] in h'")
    assert found.keys() == {
        "h' = tanh([x, bias=2] + tanh(h))",
        "h' = tanh([x, bias=2] + sigmoid(h))",
        "h' = tanh([x, bias=2] + relu(h))",
        "h' = tanh[x, h@eye(1), bias=2]",
        "h' = tanh[x, h@eye(0.9), bias=2]",
        "h' = tanh[x, h@eye(1.1), bias=2]",
    }


def test_swap_activation_of_a_peephole_may_make_it_a_matrix():
    found = outcomes("swap_activation", "h' = tanh[x, .h]", "[.h] in h'")
    assert len(found) == 7 and "h' = tanh[x, h]" in found


def test_swap_operation_gives_a_different_one():
    assert outcomes("swap_operation", "h' = h * tanh[x]", "h'").keys() == {
        "h' = h + tanh[x]",
        "h' = h - tanh[x]",
    }
    assert len(outcomes("swap_operation", "h' = max(h, tanh[x])", "h'")) == 3


def test_insert_activation_comes_between_a_node_and_one_of_its_parents():
    layers = ["tanh({})", "sigmoid({})", "relu({})", "[{}]", "[{}@eye(1)]", "[{}@eye(0.9)]", "[{}@eye(1.1)]"]
    expected = {f"h' = {one.format('h')} * x" for one in layers} | {
        f"h' = h * {one.format('x')}" for one in layers
    }
    found = outcomes("insert_activation", "h' = h * x", "h'", tries=700)
    assert found.keys() == expected
    assert min(found.values()) > 20, "50 of 700 are expected of each"


def test_inserted_between_a_node_and_itself_it_takes_one_of_two_places():
    found = outcomes("insert_activation", "h' = h * h", "h'", tries=400)
    assert (
        "h' = tanh(h) * h" in found and "h' = h * tanh(h)" in found and "h' = tanh(h) * tanh(h)" not in found
    )


def test_remove_node_leaves_its_input():
    assert outcomes("remove_node", "h' = h + tanh[x]", "tanh([x]) in h'").keys() == {"h' = h + [x]"}
    assert outcomes("remove_node", "h' = tanh[x, h]", "[h] in h'").keys() == {"h' = tanh([x] + h)"}
    assert outcomes("remove_node", "n = tanh[x]\nh' = n", "n").keys() == {"n = [x]\nh' = n"}


def test_a_name_stays_with_the_value_at_its_place():
    equations = "i = sigmoid[x, h]\nh' = i * tanh[x]"
    assert outcomes("remove_node", equations, "i").keys() == {"i = [x, h]\nh' = i * tanh[x]"}


def test_remove_node_applies_to_one_input_and_one_output():
    def applies(equations, node, states="h"):
        draft = draft_of(equations, states)
        return bool(ROWS["remove_node"].applies(draft, find(draft, node), SPEC))

    assert applies("h' = tanh[x]", "h'")
    assert not applies("h' = h * x", "h'"), "two inputs"
    assert not applies("n = tanh[x]\nh' = n * n", "n"), "two outputs"
    assert not applies("h' = tanh[x]\nc' = h'", "h'", "h, c"), "two new values"
    assert not applies("h' = tanh[x]\nc' = h' + c", "h'", "h, c"), "a new value that is read"


def test_use_ancestor_takes_any_ancestor():
    assert outcomes("use_ancestor", "h' = tanh[x, h]", "h'").keys() == {
        "h' = x",
        "h' = h",
        "h' = [x]",
        "h' = [h, bias=none]",
        "h' = [x, h]",
    }
    assert outcomes("use_ancestor", "i = tanh[x]\nh' = h * i", "i").keys() == {
        "i = [x]\nh' = h * i",
        "h' = h * x",
    }


def test_combine_ancestors_takes_any_two_and_any_operation():
    found = outcomes("combine_ancestors", "h' = tanh(x)", "h'", tries=200)
    # the only anchor is h' itself, whose only ancestor is x
    assert found.keys() == {"h' = x * x", "h' = x + x", "h' = x - x"}
    found = outcomes("combine_ancestors", "n = tanh(x)\nh' = n", "n", tries=200)
    assert found.keys() == {"n = x * x\nh' = n", "n = x + x\nh' = n", "n = x - x\nh' = n"}


def test_combine_ancestors_reaches_around_the_node():
    found = outcomes("combine_ancestors", "n = tanh(h)\nh' = n * x", "n", tries=600)
    firsts, seconds = {"h"}, {"h", "x", "tanh(h)"}
    assert found.keys() == {f"n = {a} {op} {b}\nh' = n * x" for a in firsts for b in seconds for op in "*+-"}


def test_combine_ancestors_keeps_weights_that_are_used_elsewhere():
    found = outcomes("combine_ancestors", "n = [x]\nh' = n * tanh(n)", "n", tries=400)
    assert "n = x + [x]\nh' = n * tanh(n)" in found, (
        "n itself, read by tanh(n), went along with its one matrix"
    )


@pytest.mark.parametrize("mutation", ROWS)
def test_no_cycle_and_no_reader_before_its_source(mutation):
    """Every pair of node and mutation, many times over: `factor` refuses what does not read earlier nodes."""
    equations = "i = sigmoid[x, h, .c]\nc' = sigmoid[x] * c + i * tanh[x, h]\nh' = sigmoid[.c'] * tanh(c')"
    count = len(draft_of(equations, "h, c").nodes)
    for i in range(count):
        for seed in range(12):
            draft = draft_of(equations, "h, c")
            if i not in draft.anchors() or not ROWS[mutation].applies(draft, i, SPEC):
                continue
            apply(ROWS[mutation], draft, i, SPEC, np.random.default_rng(seed))
            for j in draft.users():
                assert j not in ancestors(draft.nodes, j)
            factor(draft.frozen("a"))


def test_edits_say_what_they_did():
    def text(mutation, equations, node, seed=0):
        draft = draft_of(equations)
        return str(apply(ROWS[mutation], draft, find(draft, node), SPEC, np.random.default_rng(seed)))

    assert (
        text("remove_node", "h' = h + tanh[x]", "tanh([x]) in h'")
        == "remove node at tanh([x]) in h': [x] is left"
    )
    spec = "swap operation at h': * -> +", "swap operation at h': * -> -"
    assert text("swap_operation", "h' = h * tanh[x]", "h'") in spec
    assert text("swap_activation", "h' = h + [x]", "[x] in h'").startswith(
        "swap activation at [x] in h': linear(0) -> "
    )
    assert text("use_ancestor", "h' = tanh(x)", "h'") == "use ancestor at h': replaced by x"


def test_an_edit_survives_json():
    edit = Edit("remove_node", "tanh(c') in h'", "c' is left")
    assert Edit(**edit.json()) == edit


def test_brief_text_has_a_limit_and_parentheses():
    draft = draft_of("h' = h - (x - h * (x + tanh(h)))")
    new = draft.new[0]
    assert (brief(draft, new), place(draft, new)) == ("h'", "h'")
    draft.labels[new] = ""
    assert brief(draft, new) == "h - (x - (h * (...)))"
    assert brief(draft, new, 5) == "h - (x - (h * (x + tanh(h))))"


def test_templates_are_rows_of_the_op_table_or_linear():
    for op in OPS.values():
        if op.kind is Kind.ACTIVATION:
            assert layer(op.name).op == op.name
    assert (layer("linear(0.9)").eye, layer("linear( 1 )").eye, layer("linear(-1e-1)").eye) == (
        0.9,
        1.0,
        -0.1,
    )
    assert layer("linear(0)").node(3).connections[0].eye is None, "Linear(0) is an ordinary connection"


@pytest.mark.parametrize(
    "text", ["", "linear", "linear()", "linear(a)", "linear(1", "add", "sigmod", "linear(1) "]
)
def test_other_templates_are_refused(text):
    with pytest.raises(CellError, match="not an activation"):
        layer(text)
