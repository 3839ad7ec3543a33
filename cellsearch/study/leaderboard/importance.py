"""The importance of each hyperparameter on each task, over all trained settings of a search.

A trial has many settings, so they are not its parameters: each outcome becomes a trial of an in-memory study,
and Optuna's PED-ANOVA (Watanabe et al. 2023) compares the best ones with the rest. The value of an outcome is
its accuracy relative to the best of its cell on the task, so that good and bad cells count equally.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial
from sqlalchemy import select

from cellsearch.study.space import Space, grids
from cellsearch.study.tables.schema import stages
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.tables.work_items import outcomes_of
from cellsearch.train.settings import Grid, keys

LEAST = 20  # minimum number of outcomes of a task


def importances(store: Store, space: Space) -> dict[str, dict[str, float]]:
    """Task -> hyperparameter -> share of the importance, largest first; only hyperparameters with several
    values in the grid, and tasks with at least `LEAST` accuracies."""
    found = {}
    for task in space.tasks:
        outcomes = relative(store, task.name)
        if len(outcomes) >= LEAST:
            found[task.name] = shares(grids(space)[task.name], outcomes)
    return found


def relative(store: Store, task: str) -> list[tuple[str, float]]:
    """Every trained setting of every cell, and its accuracy relative to the best of that cell."""
    here = (stages.c.study == store.study, stages.c.task == task)
    best: dict[str, float] = {}
    trained: list[tuple[str, str, float]] = []
    with reading(store.engine, store.url) as connection:
        for row in connection.execute(select(stages.c.fingerprint, stages.c.outcomes).where(*here)):
            for outcome in outcomes_of(row.outcomes):
                if outcome.accuracy is not None:
                    trained.append((row.fingerprint, outcome.setting, outcome.accuracy))
                    best[row.fingerprint] = max(outcome.accuracy, best.get(row.fingerprint, 0.0))
    return [(setting, accuracy / best[mark]) for mark, setting, accuracy in trained if best[mark] > 0]


def shares(grid: Grid, outcomes: list[tuple[str, float]]) -> dict[str, float]:
    """The importances of one task."""
    place = keys(grid)
    lists = {f.name: getattr(grid, f.name) for f in fields(grid)}
    return of_drawn({}, lists, [(asdict(grid[place[setting]]), value) for setting, value in outcomes])


def of_drawn(
    intervals: Mapping[str, tuple[float, float]],
    lists: Mapping[str, Sequence[float | int]],
    outcomes: Iterable[tuple[Mapping[str, float | int], float]],
) -> dict[str, float]:
    """The importances of hyperparameters that were drawn log-uniformly from `intervals` or from `lists` of
    values, the largest first; of those that had several values. `outcomes` are settings by name, and what
    they gave: more is better."""
    space: dict[str, BaseDistribution] = {
        name: FloatDistribution(low, high, log=True) for name, (low, high) in intervals.items()
    }
    space |= {name: CategoricalDistribution(values) for name, values in lists.items() if len(values) > 1}
    if not space:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for setting, value in outcomes:
        params = {name: setting[name] for name in space}
        study.add_trial(create_trial(params=params, distributions=dict(space), value=value))
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        evaluator = PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(study, evaluator=evaluator)
