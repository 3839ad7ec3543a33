"""One pure `decide` for a search and for a study of one's own; the sampler of a whole space in such a study."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import Trial, TrialState, create_trial

import cellsearch as cs
from cellsearch.dsl.describe import describe
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse, show
from cellsearch.study import strategies
from cellsearch.study.space import Space, load_space
from cellsearch.study.storage.attributes import RECORD
from cellsearch.study.storage.trial_view import TrialView
from cellsearch.study.tables import cellrecords, records
from cellsearch.study.tables.costs import Costs
from cellsearch.study.tables.table_view import TableView
from cellsearch.study.tables.transactions import Store
from tests.study.scripted import SEEDS, Scripted, based, space_of, uniform, work
from tests.study.storage.snapshots import plain

pytestmark = pytest.mark.long

WAYS: list[dict[str, Any]] = [
    {"name": "jozefowicz2015", "list": 4},
    {"name": "jozefowicz2015", "list": 6, "rank": "pareto", "cost": "matrices"},
    {"name": "evolution", "population": 6, "sample": 3},
    {"name": "evolution", "population": 6, "sample": 4, "rank": "pareto"},
    {"name": "random", "walk": "[1, 3]"},
]
WHOLE = {"refine": 0, "settings": 12}  # a trial runs the whole grid: a cell is met once, by either view
EACH = pytest.mark.parametrize("changes", WAYS, ids=lambda changes: " ".join(map(str, changes.values())))


def passing(mark: str, task: str, setting: int) -> float | None:
    """Every cell passes every stage, no two are equally good, and a setting makes no difference."""
    if task == "filter":
        return 1.0
    return 0.8 if mark in SEEDS.values() else 0.75 + 0.1 * uniform(mark)


def step(cell: cs.Cell, rng: np.random.Generator) -> tuple[cs.Cell, list[Any]]:
    """A mutant that follows from its parent, of one to four matrices, equivalent to no other one: an own study
    does not look for equivalent cells."""
    number = int(1e6 * uniform(show(cell), int(rng.integers(1_000_000))))
    more = "".join(f" + tanh[h, bias={k}]" for k in range(number % 3))
    return parse(f"cell m(x; h)\nh' = tanh[x, h, bias={number}]{more}\n"), [{"to": number}]


def table_view(store: Store, space: Space) -> TableView:
    costs = Costs(store, space.strategy.cost, space.limits.width)
    seeds = cellrecords.recorded_cells(store, seeds=True)
    return TableView(store, space, records.facts(store), costs, seeds)


def trial_view(study: optuna.Study, space: Space) -> TrialView:
    seeds = [cs.load(name) for name in space.seeds]
    view = TrialView(seeds, space.strategy, space.limits)
    view.read(study)
    return view


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Store, optuna.Study]]:
    """A search of each strategy, and a study of somebody's own with the same cells and values."""
    found = {}
    for changes in WAYS:
        space = space_of(**WHOLE, **changes)
        store = based(tmp_path_factory.mktemp("search"), space, 14)
        work(store, space, Scripted(passing), step)
        own = optuna.create_study(direction="maximize")
        for trial in plain(store).trials:
            record = {"kind": trial.user_attrs[RECORD]["kind"], "cell": trial.user_attrs[RECORD]["cell"]}
            mark = fingerprint(parse(record["cell"]))
            own.add_trial(
                create_trial(value=trial.value, user_attrs={RECORD: record | {"fingerprint": mark}})
            )
        found[str(changes)] = store, own
    return found


@EACH
def test_the_same_trials_give_the_same_decision_by_either_view(
    searches: dict[str, tuple[Store, optuna.Study]], changes: dict[str, Any]
) -> None:
    space = space_of(**WHOLE, **changes)
    store, own = searches[str(changes)]
    tables, trials = table_view(store, space), trial_view(own, space)
    assert list(tables.listed()) == list(trials.listed())
    assert [m.fingerprint for m in tables.population()] == [m.fingerprint for m in trials.population()]
    assert list(tables.seeds) == list(trials.seeds)
    decisions = []
    for seed in range(12):
        first, second = (
            strategies.decide(space.strategy, view, step, np.random.default_rng((seed, 3)))
            for view in (tables, trials)
        )
        assert first == second
        decisions.append(first)
    assert len({decision.fingerprint for decision in decisions}) > 6
    assert {decision.kind for decision in decisions} == {"propose"}


@EACH
def test_a_decision_is_pure(searches: dict[str, tuple[Store, optuna.Study]], changes: dict[str, Any]) -> None:
    space = space_of(**WHOLE, **changes)
    store, own = searches[str(changes)]
    for view in (table_view(store, space), trial_view(own, space)):
        first, second = (
            strategies.decide(space.strategy, view, step, np.random.default_rng(5)) for _ in range(2)
        )
        assert first == second


@pytest.mark.long
def test_a_search_refines_while_settings_are_left_and_an_own_study_any_cell(
    searches: dict[str, tuple[Store, optuna.Study]], tmp_path: Path
) -> None:
    space = space_of(refine=0.5, **WAYS[0])
    store = based(tmp_path, space, 5)
    work(store, space, Scripted(passing), step)
    run = table_view(store, space)
    own = trial_view(searches[str(WAYS[0])][1], space)
    for view in (run, own):
        found = [
            strategies.decide(space.strategy, view, step, np.random.default_rng(seed)) for seed in range(60)
        ]
        refined = [decision for decision in found if decision.kind == "refine"]
        assert 18 < len(refined) < 42
        assert {decision.fingerprint for decision in refined} == set(view.refinable(view.listed()))
        assert all(decision.parent == decision.fingerprint and not decision.edits for decision in refined)
    assert set(SEEDS.values()).isdisjoint(run.refinable(run.listed()))  # they have run the whole grid
    assert own.refinable(list(SEEDS.values())) == list(SEEDS.values())


def test_the_sampler_of_a_search_decides_as_that_of_an_own_study_with_its_trials(
    searches: dict[str, tuple[Store, optuna.Study]],
) -> None:
    changes = WAYS[0]
    space = space_of(**WHOLE, **changes)
    store, own = searches[str(changes)]
    sampler = cs.MutationSampler(space, seed=3)
    for number in range(16, 22):
        assert sampler.decide(own, number) == sampler.decide(plain(store), number, table_view(store, space))


# The sampler of a space in a study of one's own.

QUICK = load_space("quick")


def score(trial: Trial) -> float:
    """Many gates and few matrices."""
    found = describe(cs.suggest_cell(trial))
    rate = trial.suggest_float("rate", 0.1, 1, log=True)
    return len(found.gates) - 0.2 * found.matrices - 0.01 * rate


def own_study(storage: Any = None) -> optuna.Study:
    return optuna.create_study(
        storage=storage, study_name="own", direction="maximize", load_if_exists=True,
        sampler=cs.MutationSampler("quick", seed=1),
    )  # fmt: skip


def sound(study: optuna.Study, count: int) -> None:
    """All trials are complete, each with its own cell and that cell's parameters; the seeds come first."""
    there = study.trials
    assert [(trial.number, trial.state) for trial in there] == [
        (n, TrialState.COMPLETE) for n in range(count)
    ]
    marks = [trial.user_attrs[RECORD]["fingerprint"] for trial in there]
    for trial, mark in zip(there, marks, strict=True):
        cell, record = cs.suggest_cell(trial), trial.user_attrs[RECORD]
        assert fingerprint(cell) == mark
        assert trial.params["cell.states"] == min(
            len(cell.states),
            trial.distributions["cell.states"].high,  # type: ignore[attr-defined]
        )
        assert 0.1 <= trial.params["rate"] <= 1
        if record["kind"] == "propose":
            assert record["parent"] in marks
    seeds = {fingerprint(cs.load(name)) for name in QUICK.seeds}
    assert seeds <= set(marks[: len(seeds) + 3])
    kinds = Counter(trial.user_attrs[RECORD]["kind"] for trial in there)
    assert kinds["seed"] >= len(seeds) and kinds["propose"] > 0
    assert kinds["refine"] > 0  # as the space says
    best = study.best_trial
    assert best.value is not None and best.value > max(t.value or 0.0 for t in there[: len(seeds)])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Without Optuna's words, which are many."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def test_two_jobs_share_the_sampler_of_a_space() -> None:
    study = own_study()
    study.optimize(score, n_trials=30, n_jobs=2)
    sound(study, 30)
    assert threading.active_count() < 10


def _job(storage: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own_study(storage).optimize(score, n_trials=14)


def test_two_processes_share_a_study_with_the_sampler_of_a_space(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/own.db"
    study = own_study(storage)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_job, args=(storage,), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    sound(study, 28)
