"""The paper's loop as pure functions: which cell, refine or propose, and which settings."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.graph import Cell
from cellsearch.errors import CellError
from cellsearch.search import strategies
from cellsearch.search.ranking import Best, Origin, Standing
from cellsearch.search.sections import FILTER
from cellsearch.search.strategies import Known, NothingLeft, View
from tests.search.scripted import one_of, space_of, variant

UNITS = {"arithmetic": 0.5, "xml": 0.4}
GRIDS = {FILTER: 12, "arithmetic": 12, "xml": 12}
FULL = {"arithmetic": 12, "xml": 12}
STRATEGY = space_of().strategy


def view_of(ranked: list[int], known: Mapping[int, Known]) -> View:
    """A view in which the list holds variants of the scripted family."""
    marks = {fingerprint(variant(n)): n for n in range(20)}
    standings = [Standing(fingerprint(variant(n)), 1.0, 100, Origin(n, False), "") for n in ranked]
    return View(
        grids=GRIDS,
        units=UNITS,
        admission=0.95,
        ranked=standings,
        tried={fingerprint(variant(n)): known.get(n, Known({}, {})).tried for n in ranked},
        known=lambda mark: known.get(marks[mark], Known({}, {})),
        cell=lambda mark: variant(marks[mark]),
        counts_as=fingerprint,
    )


@given(st.data())
def test_draw_never_takes_a_setting_twice_and_stops_only_at_the_end_of_the_grid(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    settings = st.integers(0, size - 1)
    taken = frozenset(data.draw(st.lists(settings)))
    pools = data.draw(st.lists(st.tuples(st.integers(0, 10), st.lists(settings, unique=True)), max_size=3))
    count = data.draw(st.integers(0, 30))
    drawn = strategies.draw(count, size, pools, taken, np.random.default_rng(data.draw(st.integers(0, 9))))
    assert len(drawn) == len(set(drawn)) == min(count, size - len(taken))
    assert not taken & set(drawn)
    assert all(0 <= setting < size for setting in drawn)


def test_draw_gives_each_pool_its_quota_and_fills_up_at_random() -> None:
    drawn = strategies.draw(
        20, 840, [(6, range(6)), (6, range(100, 103))], frozenset({0}), np.random.default_rng(0)
    )
    assert {1, 2, 3, 4, 5} | {100, 101, 102} <= set(drawn)
    assert len(drawn) == 20


def test_top_is_the_best_settings_each_once() -> None:
    results = [(4, 0.2), (1, 0.9), (2, None), (1, 0.1), (7, 0.5), (0, 0.5)]
    assert strategies.top(results, 3) == [1, 0, 7]


def test_a_parent_with_more_than_enough_settings_gives_four_fifths_from_its_best() -> None:
    parent = [(setting, setting / 1000) for setting in range(421)]
    assert strategies.sources(STRATEGY, 20, parent, []) == [(16, list(range(420, 320, -1)))]


def test_else_a_third_comes_from_the_seeds_and_a_third_from_what_the_parent_tried() -> None:
    parent = [(9, None), (3, 0.1)] + [(setting, 0.5) for setting in range(100, 518)]
    assert len(parent) == 420
    seeds, tried = strategies.sources(STRATEGY, 20, parent, [(5, 0.4), (6, 0.6)])
    assert seeds == (6, [6, 5])
    assert tried == (6, [3, 9, *range(100, 518)])


def test_refining_comes_as_often_as_the_space_says() -> None:
    view = view_of([0, 1], {})
    kinds = [
        strategies.decide(STRATEGY, view, one_of(20), np.random.default_rng(s)).kind for s in range(1_000)
    ]
    assert 440 < kinds.count("refine") < 560
    assert set(kinds) == {"refine", "propose"}


def test_a_cell_without_an_untried_setting_is_not_refined() -> None:
    view = view_of([0, 1, 2], {0: Known(FULL, {}), 2: Known(FULL, {})})
    always = replace(STRATEGY, refine=1.0)
    chosen = {
        strategies.decide(always, view, one_of(20), np.random.default_rng(s)).fingerprint for s in range(50)
    }
    assert chosen == {fingerprint(variant(1))}


def test_where_none_can_be_refined_it_proposes() -> None:
    view = view_of([0], {0: Known(FULL, {})})
    decision = strategies.decide(replace(STRATEGY, refine=1.0), view, one_of(20), np.random.default_rng(0))
    assert decision.kind == "propose"
    assert decision.parent == fingerprint(variant(0))


def test_only_the_list_gives_parents() -> None:
    view = view_of(list(range(10)), {n: Known(FULL, {}, seed=True) for n in range(10)})
    short = replace(STRATEGY, list=3)
    parents = {strategies.decide(short, view, one_of(20), np.random.default_rng(s)).parent for s in range(80)}
    assert parents == {fingerprint(variant(n)) for n in range(3)}


def test_mutants_with_nothing_left_to_run_are_passed_over() -> None:
    done = {n: Known({FILTER: 12}, {FILTER: Best(12, 12, 0.5)}) for n in range(9)}
    view = view_of([10], done | {10: Known(FULL, {}, seed=True)})
    chosen = {
        strategies.decide(STRATEGY, view, one_of(10), np.random.default_rng(s)).fingerprint for s in range(20)
    }
    assert chosen == {fingerprint(variant(9))}


def test_where_nothing_is_left_it_says_so() -> None:
    view = view_of([0], {0: Known(FULL, {}, seed=True)})

    def same(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[object]]:
        return variant(0), []

    def none(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[object]]:
        raise CellError("none of 200 mutants was accepted")

    with pytest.raises(NothingLeft, match="1 listed cells"):
        strategies.decide(STRATEGY, view, same, np.random.default_rng(0))
    with pytest.raises(NothingLeft, match="none of 200 mutants"):
        strategies.decide(STRATEGY, view, none, np.random.default_rng(0))


PASSED = Best(1, 1, 0.99)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Known({}, {}), True),
        (Known({FILTER: 3}, {FILTER: Best(3, 3, 0.94)}), True),  # discarded, other settings are left
        (Known({FILTER: 12}, {FILTER: Best(12, 12, 0.94)}), False),
        (Known({FILTER: 12}, {FILTER: PASSED}), True),  # passed: the tasks are left
        (Known({FILTER: 1} | FULL, {FILTER: PASSED, "arithmetic": Best(12, 12, 0.6)}), False),
        (
            Known({"arithmetic": 12}, {FILTER: PASSED, "arithmetic": Best(12, 12, 0.45)}),
            False,
        ),  # not above 0.45
        (Known({"arithmetic": 12}, {FILTER: PASSED, "arithmetic": Best(12, 12, 0.46)}), True),
        (
            Known({"arithmetic": 12}, {"arithmetic": Best(12, 12, 0.1)}, seed=True),
            True,
        ),  # seeds pass everywhere
        (Known(FULL, {}, seed=True), False),
    ],
)
def test_whether_a_proposal_has_anything_to_run(known: Known, expected: bool) -> None:
    assert strategies.runnable(view_of([0], {}), known, 0.9) is expected


def test_without_a_filter_every_cell_is_admitted() -> None:
    view = replace(view_of([0], {}), grids={"arithmetic": 12, "xml": 12})
    assert strategies.admitted(view, Known({}, {}))
