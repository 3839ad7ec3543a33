"""Equivalent cells: of those that are the same function one is trained, and the others are recorded and shown."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.report.searches import leaderboard
from cellsearch.study.leaderboard import board
from cellsearch.study.space import parse_space
from cellsearch.study.storage import endings, trials
from cellsearch.study.storage.attributes import RECORD
from cellsearch.study.storage.driver import open_driver
from cellsearch.study.storage.trials import Proposed
from cellsearch.study.tables import cellrecords, queries, records, schema, transactions
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import seeds_of
from tests.study.scripted import (
    SEEDS,
    TEXT,
    Scripted,
    based,
    drivers,
    items_of,
    searched,
    space_of,
    take_one,
    variant,
)

SPACE = space_of(refine=0)
PASSING = Scripted(lambda mark, task, setting: 1.0 if task == "filter" else 0.5)


def written(number: int, way: int) -> Cell:
    """Cell so-and-so of a family, written in one of three ways."""
    ends = ("v", "v * 1", "v + 0")
    return parse(f"cell variant(x; h)\nv = tanh[x, h, bias={number}]\nh' = {ends[way]}\n")


def ways(count: int) -> Any:
    """Proposes one of `count` functions, written in any way."""

    def propose(cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]:
        number, way = int(rng.integers(count)), int(rng.integers(3))
        return written(number, way), [{"to": number, "way": way}]

    return propose


def equivalents(store: Store) -> list[Any]:
    query = select(schema.equivalents).order_by(schema.equivalents.c.trial)
    with transactions.reading(store.engine, store.url) as connection:
        return list(connection.execute(query))


def test_the_family_is_one_function_and_several_graphs() -> None:
    cells = [written(1, way) for way in range(3)]
    assert len({fingerprint(cell) for cell in cells}) == 3
    assert len({functional_fingerprint(cell) for cell in cells}) == 1
    assert functional_fingerprint(written(2, 0)) != functional_fingerprint(cells[0])


@pytest.mark.long
def test_one_of_a_group_is_trained_and_none_of_its_settings_twice(tmp_path: Path) -> None:
    lab = Scripted(PASSING.accuracy)
    store = searched(tmp_path, lab, SPACE, ways(3), trials=9)
    trained = {mark for mark, _, _ in lab.runs} - set(SEEDS.values())
    assert len(trained) == 3
    assert (
        len(
            {
                functional_fingerprint(parse(r.text))
                for r in cellrecords.recorded_cells(store, sorted(trained))
            }
        )
        == 3
    )
    assert len(set(lab.runs)) == len(lab.runs)
    filtered = [mark for mark, task, _ in lab.runs if task == "filter" and mark not in SEEDS.values()]
    assert len(filtered) == 3  # an equivalent of a cell that passed skips the filter, as that cell does
    assert {row.fingerprint for row in items_of(store)} == trained


@pytest.mark.long
def test_a_group_that_is_run_on_everything_is_not_drawn_again(tmp_path: Path) -> None:
    lab = Scripted(PASSING.accuracy)
    store = searched(tmp_path, lab, space_of(refine=0, failures=2), ways(1), trials=30)
    assert [row.outcome for row in items_of(store)] == ["ranked"] * 3 + ["failed"] * 2  # 12 settings by 4
    assert "nothing left to evaluate" in records.facts(store).stopped


@pytest.mark.long
def test_an_equivalent_of_a_seed_is_that_seed(tmp_path: Path) -> None:
    def propose(cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]:
        if rng.random() < 0.5:
            gru = "z = sigmoid[x, h]\nr = sigmoid[x, h]\nn = tanh[x, r * h]\nh' = (z * h + n) - z * n\n"
            return parse(f"cell m(x; h)\n{gru}"), []
        return variant(int(rng.integers(50))), []

    lab = Scripted(PASSING.accuracy)
    store = searched(tmp_path, lab, SPACE, propose, trials=8)
    filtered = Counter(mark for mark, task, _ in lab.runs if task == "filter" and mark in SEEDS.values())
    assert filtered == dict.fromkeys(SEEDS.values(), SPACE.strategy.settings), "once, as seeds"
    assert not equivalents(store)  # nothing is left to run for it, so it was drawn again every time
    assert len(items_of(store)) == 8


@pytest.mark.long
def test_equivalent_cells_are_recorded_and_shown(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(PASSING.accuracy), SPACE, ways(3), trials=9)
    found = equivalents(store)
    assert found
    table = {row.fingerprint: row for row in board.leaderboard(store, SPACE)}
    for row in found:
        cell = parse(row.text)
        assert fingerprint(cell) == row.fingerprint
        assert cell.name == row.name == f"m{row.trial}"
        assert functional_fingerprint(cell) == functional_fingerprint(parse(table[row.cell].text))
        assert row.fingerprint in table[row.cell].equivalents
        assert json.loads(row.edits)[0]["way"] in range(3)
        assert row.fingerprint not in table
        (match,) = cellrecords.matching(store, row.fingerprint[:20])
        assert match.text == row.text
    assert board.status(store, SPACE).counts.equivalents == len(found)
    assert sum(len(row.equivalents) for row in table.values()) == len(found)
    assert sum(len(row["equivalents"]) for row in leaderboard.as_json(list(table.values()))) == len(found)
    counts = queries.counts(store)
    notes = "\n".join(line.plain for line in leaderboard.notes(counts, Target(9), "gru", [], 200))
    assert f"{len(found)} cells equivalent to an earlier cell" in notes


@pytest.mark.long
def test_the_same_seed_is_the_same_search_with_equivalent_cells_too(tmp_path: Path) -> None:
    runs = []
    for part in ("a", "b"):
        lab = Scripted()
        searched(tmp_path / part, lab, space_of(), ways(6), trials=20)
        runs.append(lab.runs)
    assert runs[0] == runs[1]


def test_of_two_equivalent_cells_that_are_decided_at_the_same_time_the_second_counts_as_the_first(
    tmp_path: Path,
) -> None:
    store = based(tmp_path, SPACE, 2)
    of, decided = drivers(store), []
    for worker, way in (("me", 0), ("you", 1)):
        cell = written(1, way)
        text = "cell m(x; h)\nh' = x\n"
        proposed = Proposed(
            "propose", fingerprint(cell), functional_fingerprint(cell), f"m{way}", text, SEEDS["gru"]
        )
        decided.append(trials.decide(of(worker), take_one(of(worker)), proposed))
    assert decided[0].fingerprint == decided[1].fingerprint == fingerprint(written(1, 0))
    assert [row.fingerprint for row in equivalents(store)] == [fingerprint(written(1, 1))]
    assert take_one(of("you")) == decided[1]
    endings.release(store, ["you"], "me", failures=9)
    assert take_one(of("other")) == decided[1]  # an adopted trial is about the same cell


def test_equivalent_seeds_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy.cell"
    copy.write_text(
        "cell other(x; h)\nz = sigmoid[x, h]\nr = sigmoid[x, h]\nn = tanh[x, r * h]\nh' = n + z * (h - n)\n"
    )
    space = parse_space(TEXT.replace("[lstm, gru]", f"[lstm, gru, '{copy}']"))
    with pytest.raises(RunError, match=r"'gru' and 'copy' are the same function \(equivalent cells\)"):
        seeds_of(space)


def test_optuna_sees_what_was_proposed_and_what_was_trained(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(PASSING.accuracy), SPACE, ways(2), trials=5)
    there = {trial.number: trial.user_attrs[RECORD] for trial in open_driver(store, "me").study.trials[2:]}
    proposed = {number: record.get("proposed") for number, record in there.items()}
    found = equivalents(store)
    assert found
    assert {number: text for number, text in proposed.items() if text}.items() >= {
        row.trial: row.text for row in found
    }.items()
    trained = {row.fingerprint: row.text for row in cellrecords.recorded_cells(store)}
    for row in items_of(store):
        assert there[row.trial]["fingerprint"] == row.fingerprint
        assert there[row.trial]["cell"] == trained[row.fingerprint]
        if (text := proposed[row.trial]) is not None:
            assert fingerprint(parse(text)) != row.fingerprint
            assert functional_fingerprint(parse(text)) == functional_fingerprint(
                parse(trained[row.fingerprint])
            )
