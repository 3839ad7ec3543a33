"""A new study: what an earlier one has left behind in Optuna's tables does not get into it."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution, distribution_to_json
from optuna.storages._rdb import models
from sqlalchemy import insert, select

from cellsearch.errors import RunError
from cellsearch.study.tables import integrity, queries, schema, transactions
from tests.study.scripted import Scripted, new_study, one_of, space_of, work

SPACE = space_of()
RANGE = distribution_to_json(IntDistribution(0, 64))


@pytest.mark.long
def test_what_a_deletion_has_left_is_not_taken_for_the_new_study(tmp_path: Path) -> None:
    """Optuna deletes a study on SQLite in several steps: a trial that a worker creates meanwhile is left, and so
    is what belongs to it; then the ids are used again."""
    store = new_study(tmp_path, SPACE)
    optuna.delete_study(study_name="s", storage=store.url)
    with transactions.writing(store) as connection:
        trial = {"trial_id": 1, "number": 0, "study_id": 1, "state": "RUNNING"}
        connection.execute(insert(models.TrialModel.__table__), [trial])
        of = {"param_name": "cell.nodes", "param_value": 4.0, "distribution_json": RANGE}
        rows = [{"trial_id": number} | of for number in (1, 3, 4, 5)]
        connection.execute(insert(models.TrialParamModel.__table__), rows)
    store.engine.dispose()
    store = new_study(tmp_path, SPACE)
    with transactions.reading(store.engine, store.url) as connection:
        items = schema.items
        numbers = connection.execute(select(items.c.trial).where(items.c.study == store.study).distinct())
        assert sorted(numbers.scalars()) == [0, 1]
    work(store, SPACE, Scripted(), one_of(40))
    assert queries.counts(store).trials == 12
    assert integrity.damages(store) == []
    study = optuna.load_study(study_name="s", storage=store.url)
    assert [trial.number for trial in study.trials] == list(range(14))


@pytest.mark.long
def test_a_study_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="s", storage=url)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    with pytest.raises(RunError, match="Optuna already has a study 's'"):
        new_study(tmp_path, SPACE)
    assert len(optuna.load_study(study_name="s", storage=url).trials) == 3
    other = new_study(tmp_path, SPACE, name="mine")
    work(other, SPACE, Scripted(), one_of(40))
    assert len(optuna.load_study(study_name="s", storage=url).trials) == 3
    assert integrity.damages(other) == []


def test_a_cell_that_never_gets_recorded_is_an_error_and_not_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_study(tmp_path, SPACE, trials=3)
    with transactions.writing(
        store
    ) as connection:  # for the third trial, as a deletion beside this study leaves it
        of = {"param_name": "cell.nodes", "param_value": 4.0, "distribution_json": RANGE}
        connection.execute(insert(models.TrialParamModel.__table__), [{"trial_id": 3} | of])
    with pytest.raises(RunError, match=r"UNIQUE(?s:.*)contradicts the records"):
        work(store, SPACE, Scripted(), one_of(40))
