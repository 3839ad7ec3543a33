"""Twins: of cells that are the same function one is trained, and the others are recorded and told."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.functional import functional
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.report import leaderboard
from cellsearch.search import board, cellrecords, queries, records, run, schema, slots
from cellsearch.search.records import Identity
from cellsearch.search.run import Options, seeds_of
from cellsearch.search.schema import Store
from cellsearch.search.slots import Slot
from cellsearch.search.space import parse_space
from cellsearch.search.study import mirror
from tests.search.scripted import (
    DIGESTS,
    SEEDS,
    TEXT,
    Scripted,
    new_study,
    one_of,
    searched,
    space_of,
    variant,
    work,
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


def twins(store: Store) -> list[Any]:
    with schema.reading(store.engine, store.url) as connection:
        return list(connection.execute(select(schema.twins).order_by(schema.twins.c.slot)))


def trial_slots(store: Store) -> list[Any]:
    with schema.reading(store.engine, store.url) as connection:
        query = select(schema.slots).where(schema.slots.c.kind != "baseline")
        return list(connection.execute(query.order_by(schema.slots.c.number)))


def test_the_family_is_one_function_and_several_graphs() -> None:
    cells = [written(1, way) for way in range(3)]
    assert len({fingerprint(cell) for cell in cells}) == 3
    assert len({functional(cell) for cell in cells}) == 1
    assert functional(written(2, 0)) != functional(cells[0])


def test_one_of_a_group_is_trained_and_none_of_its_settings_twice(tmp_path: Path) -> None:
    lab = Scripted(PASSING.accuracy)
    store = searched(tmp_path, lab, SPACE, ways(3), trials=9)
    trained = {mark for mark, _, _ in lab.runs} - set(SEEDS.values())
    assert len(trained) == 3
    assert len({functional(parse(r.text)) for r in cellrecords.recorded_cells(store, sorted(trained))}) == 3
    assert len(set(lab.runs)) == len(lab.runs)
    filtered = [mark for mark, task, _ in lab.runs if task == "filter"]
    assert len(filtered) == 3  # a twin of a cell that passed skips the filter, as that cell does
    assert {row.fingerprint for row in trial_slots(store)} == trained


def test_a_group_that_is_run_on_everything_is_not_drawn_again(tmp_path: Path) -> None:
    lab = Scripted(PASSING.accuracy)
    store = searched(tmp_path, lab, space_of(refine=0, failures=2), ways(1), trials=30)
    assert [row.outcome for row in trial_slots(store)] == ["ranked"] * 3 + ["failed"] * 2  # 12 settings by 4
    assert "nothing left to evaluate" in records.facts(store).stopped


def test_a_twin_of_a_seed_is_that_seed(tmp_path: Path) -> None:
    def propose(cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]:
        if rng.random() < 0.5:
            gru = "z = sigmoid[x, h]\nr = sigmoid[x, h]\nn = tanh[x, r * h]\nh' = (z * h + n) - z * n\n"
            return parse(f"cell m(x; h)\n{gru}"), []
        return variant(int(rng.integers(50))), []

    lab = Scripted(PASSING.accuracy)
    store = searched(tmp_path, lab, SPACE, propose, trials=8)
    assert {mark for mark, task, _ in lab.runs if task == "filter"}.isdisjoint(SEEDS.values())
    assert not twins(store)  # nothing is left to run for it, so it was drawn again every time
    assert len(trial_slots(store)) == 8


def test_twins_are_recorded_and_told(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(PASSING.accuracy), SPACE, ways(3), trials=9)
    found = twins(store)
    assert found
    table = {row.fingerprint: row for row in board.leaderboard(store, SPACE)}
    for row in found:
        cell = parse(row.text)
        assert fingerprint(cell) == row.fingerprint
        assert cell.name == row.name == f"m{row.slot - 11}"
        assert functional(cell) == functional(parse(table[row.cell].text))
        assert row.fingerprint in table[row.cell].twins
        assert json.loads(row.edits)[0]["way"] in range(3)
        assert row.fingerprint not in table
        (match,) = cellrecords.matching(store, row.fingerprint[:20])
        assert match.text == row.text
    assert board.status(store, SPACE).counts.twins == len(found)
    assert sum(len(row.twins) for row in table.values()) == len(found)
    assert sum(len(row["twins"]) for row in leaderboard.as_json(list(table.values()))) == len(found)
    counts = queries.counts(store)
    notes = "\n".join(line.plain for line in leaderboard.notes(counts, 9, "gru", [], 200))
    assert f"{len(found)} twin" in notes


def test_the_same_seed_is_the_same_search_with_twins_too(tmp_path: Path) -> None:
    runs = []
    for part in ("a", "b"):
        lab = Scripted()
        searched(tmp_path / part, lab, space_of(), ways(6), trials=20)
        runs.append(lab.runs)
    assert runs[0] == runs[1]


def test_of_two_twins_that_are_decided_at_the_same_time_the_second_counts_as_the_first(
    tmp_path: Path,
) -> None:
    store = new_study(tmp_path, SPACE, trials=0)
    work(store, SPACE, Scripted(), one_of(1))
    records.extend(store, 2)
    decided = []
    for worker, way in (("me", 0), ("you", 1)):
        slot = slots.take(store, worker)
        assert isinstance(slot, Slot)
        cell = written(1, way)
        decided.append(
            slots.decide(
                store, worker, slot, "propose", fingerprint(cell), function=functional(cell),
                name=f"m{way}", text="cell m(x; h)\nh' = x\n", parent=SEEDS["gru"],
            )
        )  # fmt: skip
    assert decided[0].fingerprint == decided[1].fingerprint == fingerprint(written(1, 0))
    assert [row.fingerprint for row in twins(store)] == [fingerprint(written(1, 1))]
    assert slots.take(store, "you") == decided[1]  # a retry is about the same cell


def test_seeds_that_are_twins_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy.cell"
    copy.write_text(
        "cell other(x; h)\nz = sigmoid[x, h]\nr = sigmoid[x, h]\nn = tanh[x, r * h]\nh' = n + z * (h - n)\n"
    )
    space = parse_space(TEXT.replace("[lstm, gru]", f"[lstm, gru, '{copy}']"))
    with pytest.raises(RunError, match=r"'gru' and 'copy' are the same function \(twins\)"):
        seeds_of(space)


def test_optuna_sees_what_was_proposed(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(PASSING.accuracy), SPACE, ways(2), trials=5)
    copy = mirror.open_mirror(store)
    assert mirror.write_due(store, copy, records.facts(store), "me") == 5
    proposed = {t.params["slot"]: t.user_attrs["record"].get("twin") for t in copy.get_trials()}
    assert {slot: text for slot, text in proposed.items() if text} == {t.slot: t.text for t in twins(store)}


def test_a_study_of_before_twins_is_read_and_not_continued(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    store = searched(tmp_path / "s", Scripted(), SPACE, one_of(9), trials=4)
    before = board.leaderboard(store, SPACE, every=True)
    with schema.writing(store) as connection:
        connection.exec_driver_sql("drop table cellsearch_twins")
        connection.exec_driver_sql("drop table cellsearch_functions")
        connection.exec_driver_sql("update cellsearch_studies set numerics = 1")
    assert board.leaderboard(store, SPACE, every=True) == before
    assert board.status(store, SPACE).counts.twins == 0
    assert cellrecords.matching(store, SEEDS["gru"])[0].name == "gru"
    with pytest.raises(RunError, match=f"numerics: the study has 1, this program {records.NUMERICS}"):
        run.start(SPACE, "s", lambda _: DIGESTS, Options(results=tmp_path), None)
    assert Identity(SPACE.text, 1, DIGESTS).numerics == records.NUMERICS
