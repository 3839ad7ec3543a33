"""Each row beyond the paper's six, on cells small enough to list all that may come out."""

import numpy as np
import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.initial import Drawn
from cellsearch.dsl.rewriting.expand import expand, factor
from cellsearch.dsl.structures import TABLE
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError
from cellsearch.study.mutation.editable_graph import Draft, brief, place
from cellsearch.study.mutation.language import LANGUAGE
from cellsearch.study.mutation.mutate import by_number, by_strength
from cellsearch.study.mutation.operators import apply
from cellsearch.study.mutation.spec import MutationSpec
from cellsearch.study.mutation.table import MUTATIONS
from cellsearch.study.mutation.templates import bias, structure

SPEC = MutationSpec()
ROWS = {m.name: m for m in MUTATIONS}
LSTM = "i = sigmoid[x, h]\nf = sigmoid[x, h]\nc' = f * c + i * tanh[x, h]\nh' = tanh(c')"


def draft_of(equations: str, states: str = "h", clock: str = "") -> Draft:
    return Draft(expand(parse(f"cell a(x; {states})\n{clock}\n{equations}\n")))


def sites(draft: Draft, row: str, spec: MutationSpec = SPEC) -> dict[str, int]:
    """The nodes to which a row applies, as people read them."""
    return {place(draft, i): i for i in draft.anchors() if ROWS[row].applies(draft, i, spec)}


def outcomes(
    row: str, equations: str, node: str, states: str = "h", clock: str = "", spec: MutationSpec = SPEC
) -> dict[str, str]:
    """All that a row makes of a cell at a node, and what it says of it."""
    found = {}
    for seed in range(60):
        draft = draft_of(equations, states, clock)
        edit = apply(ROWS[row], draft, sites(draft, row, spec)[node], spec, np.random.default_rng(seed))
        found[show(factor(draft.frozen("a"))).split("\n", 1)[1].strip()] = edit.detail
    return found


def test_the_rows_have_no_weight_unless_a_space_gives_one() -> None:
    assert [m.name for m in LANGUAGE] == [
        "add_peephole", "remove_peephole", "couple_gates", "uncouple_gate", "set_bias", "set_structure",
        "add_state", "add_before", "add_below", "add_clock",
    ]  # fmt: skip
    assert all(SPEC.weights[m.name] == 0 for m in LANGUAGE)


def test_add_peephole_from_old_and_new_states_but_not_from_what_depends_on_the_bracket() -> None:
    found = outcomes("add_peephole", LSTM, "[x] in i", "h, c")
    assert set(found.values()) == {".h", ".c"}
    assert any("i = sigmoid[x, h, .c]" in text for text in found)
    output = LSTM.replace("tanh(c')", "sigmoid[x, h] * tanh(c')")
    assert set(outcomes("add_peephole", output, "[x] in h'", "h, c").values()) == {".h", ".c", ".c'"}


def test_add_peephole_once_from_each_value() -> None:
    assert set(outcomes("add_peephole", "h' = tanh[x, h, .c]\nc' = h'", "[x] in h'", "h, c").values()) == {
        ".h"
    }
    assert "[x] in h'" not in sites(draft_of("h' = tanh[x, .h]"), "add_peephole")


def test_remove_peephole() -> None:
    assert outcomes("remove_peephole", "h' = tanh[x, h, .h]", "[.h] in h'").keys() == {"h' = tanh[x, h]"}
    # one that carries the bias of its bracket leaves it there
    assert outcomes("remove_peephole", "h' = tanh[.h, x, bias=2]", "[.h] in h'").keys() == {
        "h' = tanh[x, bias=2]"
    }
    assert not sites(draft_of("h' = tanh[.h] + x"), "remove_peephole"), "nothing would be left of the bracket"


def test_couple_gates() -> None:
    assert outcomes("couple_gates", LSTM, "f", "h, c").keys() == {
        LSTM.replace("f = sigmoid[x, h]", "f = 1 - i")
    }
    after = "i = sigmoid[x, h]\nf = sigmoid[x, (i * h)]\nh' = f * h + i * x"
    assert sites(draft_of(after), "couple_gates").keys() == {"f"}, "f depends on i, so i cannot be 1 - f"
    assert not sites(draft_of("h' = tanh[x, h]"), "couple_gates")


def test_uncouple_gate_gives_weights_of_its_own() -> None:
    cell = "z = sigmoid[x, h, .h]\nh' = z * h + (1 - z) * tanh[x]"
    assert outcomes("uncouple_gate", cell, "1 - z in h'").keys() == {
        "z = sigmoid[x, h, .h]\nh' = z * h + sigmoid[x, h, .h] * tanh[x]"
    }


def test_set_bias_of_a_bracket_as_a_whole() -> None:
    found = outcomes("set_bias", "h' = tanh[x, h, bias=1]", "[x] in h'")
    assert found == {
        "h' = tanh[x, h, bias=none]": "no bias",
        "h' = tanh[x, h, bias=-1]": "-1",
        "h' = tanh[x, h]": "0",
        "h' = tanh[x, h, bias=2]": "2",
        "h' = tanh[x, h, bias=uniform(-1, 1)]": "drawn from uniform(-1, 1)",
    }
    assert sites(draft_of("h' = tanh[x, h, bias=none]"), "set_bias").keys() == {"[x] in h'"}
    assert not sites(draft_of("h' = tanh(h) * [bias=1] + x"), "set_bias"), "a learned vector is no bracket"


def test_set_structure_where_the_language_allows_it() -> None:
    found = outcomes("set_structure", "h' = tanh[x, h@skew]", "[h@skew] in h'")
    assert found == {
        "h' = tanh[x, h]": "a full matrix",
        "h' = tanh[x, h@eye(1)]": "@eye(1)",
        **{f"h' = tanh[x, h@{r.text}]": f"@{r.text}" for r in TABLE if r.name != "skew" and not r.clock},
    }
    assert {"h' = tanh[x, h@rank(8)]", "h' = tanh[x, h@blocks(4)]"} <= found.keys()
    assert set(outcomes("set_structure", "h' = tanh[x, h]", "[x] in h'").values()) == {
        "@eye(1)", *(f"@{r.text}" for r in TABLE if not r.square),
    }  # fmt: skip
    clocked = outcomes("set_structure", "h' = h + tick * tanh[x, h]", "[h] in h'", clock="clock 1, 2")
    assert "@slower" in clocked.values()


def test_add_state_remembers_a_node_through_a_gate() -> None:
    assert outcomes("add_state", "r = tanh[x]\nh' = [r, h]", "r").keys() == {
        "r = tanh[x]\nm' = m + sigmoid[x, h] * (r - m)\nh' = [m', h]"
    }
    assert not sites(draft_of("h' = tanh(x)"), "add_state").keys() & {"h'"}, "a state is one already"


def test_add_before() -> None:
    assert outcomes("add_before", "h' = tanh[x] * h", "h'").keys() == {
        "h' = before(tanh[x]) * h", "h' = tanh[x] * before(h)",
    }  # fmt: skip
    assert outcomes("add_before", "h' = h + tanh(before(x))", "tanh(before(x)) in h'").keys() == {
        "h' = h + tanh(before(x, 2))"
    }


def test_add_below_is_a_depth_gate() -> None:
    found = outcomes("add_below", LSTM, "c'", "h, c")
    (text,) = found
    assert "c' = sigmoid[x, .below(c)] * below(c) + f * c + i * tanh[x, h]" in text
    assert sites(draft_of(text, "h, c"), "add_below").keys() == {"h'"}, "c has it now"


def test_add_clock() -> None:
    assert outcomes("add_clock", "h' = tanh[x, h]", "h'").keys() == {
        "clock 1, 2, 4, 8\nh' = h + tick * (tanh[x, h] - h)"
    }
    clocked = draft_of("h' = h + tick * (tanh[x, h] - h)", clock="clock 1, 3")
    assert not sites(clocked, "add_clock"), "it has a clock there"


@pytest.mark.parametrize("text", ["", "x", "1]\nh' = 2", "normal", "[x]", "scalar", "0, .h", "1e999"])
def test_only_initial_biases_and_structures_are_read(text: str) -> None:
    with pytest.raises(CellError, match="is not an initial bias"):
        bias(text)
    with pytest.raises(CellError, match="is not a structure"):
        structure(text)


def test_initial_biases_and_structures() -> None:
    assert (bias("none"), bias("-1.5"), bias("uniform(0, 1)")) == (None, -1.5, Drawn("uniform", (0.0, 1.0)))
    assert structure("slower@eye(1)").structure == "slower" and structure("rank(3)").part == 3


@pytest.mark.long
@pytest.mark.parametrize("how", [by_number, by_strength])
def test_any_chain_of_edits_makes_a_cell(how: object) -> None:
    """All rows, on every cell of the zoo six times: the rarest row needs about three."""
    spec = MutationSpec(weights={m.name: 1.0 for m in MUTATIONS})
    used: set[str] = set()
    for k, name in enumerate(6 * zoo.names()):
        rng = np.random.default_rng(k)
        draft = Draft(expand(zoo.load(name)))
        edits = how(draft, rng, spec) if how is by_number else how(draft, rng, spec, 0.5)  # type: ignore[operator]
        used |= {edit.mutation for edit in edits}
        cell = factor(draft.frozen("a"))
        assert parse(show(cell)) == cell
        assert all(brief(draft, i) for i in draft.anchors())
    assert used == set(ROWS)
