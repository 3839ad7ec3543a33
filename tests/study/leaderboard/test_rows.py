"""What a line of the board knows besides numbers: parent, edits, changes, epochs, and why a cell failed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.study.leaderboard import board
from cellsearch.study.tables import queries
from cellsearch.study.workers.evaluator import Say
from cellsearch.train.outcome import Outcome
from tests.study.scripted import SEEDS, Scripted, one_of, searched, space_of, uniform

TEXT = "cell child(x; h)\nz = sigmoid[x, h]\nr = sigmoid[x, h, bias={k}]\nrh = r * h\nn = relu[x, rh]\nh' = z * h + (1 - z) * n\n"


def child(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[dict[str, str]]]:
    k = int(rng.integers(1, 9))
    edit = {"mutation": "set_bias", "node": "r", "detail": str(k)}
    return parse(TEXT.format(k=k)), [edit]


class Measured(Scripted):
    """With epochs that follow from the setting; some stages of mutants fail."""

    def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> list[Outcome]:
        mark = fingerprint(cell)
        found = []
        for outcome in super().evaluate(cell, task, settings, seed, say):
            epochs = 1 + int(9 * uniform(outcome.setting, task, mark))
            if mark not in SEEDS.values() and uniform("fails", mark) < 0.4 and task != "filter":
                outcome = Outcome(outcome.setting, "failed", None, None, 0, 8, 100, "out of memory")
            elif outcome.accuracy is not None:
                outcome = Outcome(
                    outcome.setting, "done", outcome.accuracy, 0.5, epochs, 8, 100, "", epochs + 2
                )
            found.append(outcome)
        return found


@pytest.mark.long
def test_a_mutant_tells_its_parent_and_where_it_differs(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(), space_of(), child, trials=12)
    rows = board.leaderboard(store, space_of(), every=True)
    mutants = [row for row in rows if not row.seed]
    names = {row.fingerprint: row.name for row in rows}
    assert mutants and {row.parent_name for row in mutants} >= {"gru"}
    for row in mutants:
        assert row.parent_name == names[row.parent]
        bias = row.text.split("bias=")[1].split("]")[0]
        assert row.edits == (f"set bias at r: {bias}",)
        if row.parent_name == "gru":
            assert row.changes == (f"r = sigmoid[x, h, bias={bias}]", "n: tanh -> relu")
    assert all((row.parent_name, row.edits, row.changes) == ("", (), ()) for row in rows if row.seed)
    assert board.find(store, space_of(), mutants[0].name)[0] == mutants[0]
    store.engine.dispose()


@pytest.mark.long
def test_epochs_are_those_of_the_best_setting(tmp_path: Path) -> None:
    store = searched(tmp_path, Measured(), space_of(), one_of(40), trials=15)
    rows = board.leaderboard(store, space_of(), every=True)
    seen = 0
    for row in rows:
        for result in row.tasks:
            if result.accuracy is None:
                assert (result.epochs, result.trained, result.values) == (None, None, {})
                continue
            seen += 1
            assert result.setting is not None
            assert result.epochs == 1 + int(9 * uniform(result.setting, result.task, row.fingerprint))
            assert result.trained == result.epochs + 2
            assert list(result.values) == ["init_scale", "learning_rate", "max_norm", "layers", "parameters"]
    assert seen > 6
    store.engine.dispose()


@pytest.mark.long
def test_a_cell_whose_last_trial_failed_is_not_called_filtered(tmp_path: Path) -> None:
    store = searched(tmp_path, Measured(), space_of(), one_of(400), trials=25)
    rows = board.leaderboard(store, space_of(), every=True)
    counts = queries.counts(store)
    failed = [row for row in rows if row.status.startswith("failed")]
    assert {row.status for row in failed} == {"failed at arithmetic"}
    assert len(failed) == counts.failed > 0  # 400 cells: none comes twice
    assert sum(row.status.startswith("filtered") for row in rows) == counts.filtered > 0
    assert {uniform("fails", row.fingerprint) < 0.4 for row in failed} == {True}
    assert board.find(store, space_of(), failed[0].name)[0] == failed[0]
    store.engine.dispose()
