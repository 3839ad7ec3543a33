"""The sampler of cells in studies of one's own: alone, by threads, by processes, resumed, and quick."""

import multiprocessing
import pickle
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState, create_trial

import cellsearch as cs
from cellsearch.dsl.describe import describe
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import CellError, CellsearchError
from cellsearch.study.mutation.spec import Limits
from cellsearch.study.space import load_space
from cellsearch.study.storage import attributes
from cellsearch.study.storage import sampler as sampler_module
from cellsearch.study.storage.pruner import steps
from tests.study.scripted import space_of

SEEDS = ("lstm", "gru")


def score(cell: cs.Cell) -> float:
    """Many gates and few matrices."""
    found = describe(cell)
    return len(found.gates) - 0.2 * found.matrices


def objective(trial: Trial) -> float:
    return score(cs.suggest_cell(trial))


def study_of(seed: int = 1, storage: Any = None, space: Any = SEEDS, **keys: Any) -> optuna.Study:
    return optuna.create_study(
        storage=storage, study_name="own", direction="maximize", load_if_exists=True,
        sampler=cs.MutationSampler(space, seed=seed, **keys),
    )  # fmt: skip


def parent_of(study: optuna.Study, trial: FrozenTrial) -> int:
    """The number of the first trial of the cell that a trial's cell was made from."""
    marks = [one.user_attrs["record"]["fingerprint"] for one in study.trials]
    return marks.index(trial.user_attrs["record"]["parent"])


def texts(study: optuna.Study) -> list[str]:
    return [trial.user_attrs["record"]["cell"] for trial in study.trials]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Optuna's words, which are many, as they were afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def test_the_example_in_its_docstring_runs() -> None:
    text = sampler_module.__doc__ or ""
    code = re.search(r"\n\n((?:    .*\n|\n)+)", text)
    assert code is not None
    names = {"accuracy": lambda cell, rate: score(cell) - abs(rate - 0.5)}
    exec("\n".join(line[4:] for line in code[1].splitlines()), names)
    best = names["best"]
    assert isinstance(best, cs.Cell)
    assert score(best) > max(score(cs.load(name)) for name in SEEDS)


@pytest.mark.long
def test_ten_lines_of_a_user(tmp_path: Path) -> None:
    """On a file, with two jobs; the stages that are reported are those of the space."""
    space = load_space("quick")
    steps_of = steps(space)

    def mine(trial: Trial) -> float:
        cell = cs.suggest_cell(trial)
        learns = 0.99 if len(describe(cell).gates) >= 1 else 0.5  # what the filter asks for
        trial.report(learns, steps_of["filter"])
        if trial.should_prune():
            raise optuna.TrialPruned
        for task in space.tasks:
            trial.report(1 + score(cell) / 10, steps_of[task.name])
            if trial.should_prune():
                raise optuna.TrialPruned
        return score(cell)

    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/own.db", direction="maximize", sampler=cs.MutationSampler("quick"),
        pruner=cs.StagePruner("quick"),
    )  # fmt: skip
    study.optimize(mine, n_trials=20, n_jobs=2)
    there = study.trials
    assert [trial.number for trial in there] == list(range(20))
    for trial in there:
        record, last = trial.user_attrs["record"], trial.last_step
        assert trial.params == attributes.within(
            attributes.structure(cs.suggest_cell(trial)), trial.distributions
        )
        assert last is not None
        reported = trial.intermediate_values[last]
        passes = reported >= 0.95 if last == 0 else reported > space.strategy.threshold
        if record["kind"] == "propose":
            assert trial.state == (
                TrialState.COMPLETE if passes and last == len(space.tasks) else TrialState.PRUNED
            )
            assert not (passes and trial.state == TrialState.PRUNED)
        else:  # seeds and refinements are never pruned
            assert (trial.state, last) == (TrialState.COMPLETE, len(space.tasks))
    kinds = Counter(trial.user_attrs["record"]["kind"] for trial in there)
    assert kinds["seed"] >= 2 and kinds["propose"] > 3
    assert cs.suggest_cell(study.best_trial)


def test_seeds_come_first_and_then_mutants_of_the_best() -> None:
    study = study_of()
    study.optimize(objective, n_trials=40)
    assert [cs.parse(text) for text in texts(study)[:2]] == [cs.load(name) for name in SEEDS]
    marks = [trial.user_attrs["record"]["fingerprint"] for trial in study.trials]
    assert marks == [fingerprint(cs.parse(text)) for text in texts(study)]
    assert len(set(marks)) == 40
    values = [trial.value or 0.0 for trial in study.trials]
    for trial in study.trials[2:]:
        record = trial.user_attrs["record"]
        assert record["kind"] == "propose"
        assert marks.index(record["parent"]) < trial.number
        assert record["edits"]
        assert 0 <= record["strength"] < 1
    assert max(values) > max(values[:2])


def test_only_the_best_of_a_list_are_mutated() -> None:
    space = space_of(list=3, refine=0)
    study = study_of(space=space)
    study.optimize(objective, n_trials=40)
    values = [trial.value or 0.0 for trial in study.trials]
    for trial in study.trials[2:]:
        third = sorted(values[: trial.number], reverse=True)[:3][-1]
        assert values[parent_of(study, trial)] >= third


def test_the_best_are_the_least_where_the_study_minimizes() -> None:
    study = optuna.create_study(
        direction="minimize", sampler=cs.MutationSampler(space_of(list=1, refine=0), seed=1)
    )
    study.optimize(objective, n_trials=20)
    values = [trial.value or 0.0 for trial in study.trials]
    for trial in study.trials[2:]:
        assert values[parent_of(study, trial)] == min(values[: trial.number])


def test_as_often_as_the_space_says_a_cell_comes_again() -> None:
    study = study_of(space=space_of(refine=0.5))
    study.optimize(objective, n_trials=60)
    records = [trial.user_attrs["record"] for trial in study.trials]
    kinds = Counter(record["kind"] for record in records)
    assert kinds["seed"] == 2 and 15 < kinds["refine"] < 45
    for trial, record in zip(study.trials, records, strict=True):
        if record["kind"] == "refine":
            assert record["parent"] == record["fingerprint"]
            assert parent_of(study, trial) < trial.number
            assert "edits" not in record


def test_the_structure_of_a_cell_is_in_its_parameters() -> None:
    study = study_of()
    study.optimize(objective, n_trials=5)
    for trial in study.trials:
        counts = attributes.structure(cs.parse(trial.user_attrs["record"]["cell"]))
        assert trial.params.keys() == counts.keys()
        for name, value in counts.items():
            bounds = trial.distributions[name]
            assert isinstance(bounds, IntDistribution)
            assert trial.params[name] == min(value, bounds.high)
    ranges = attributes.distributions(Limits(), [cs.load(name) for name in SEEDS])
    assert all(trial.distributions == ranges for trial in study.trials)


def test_without_parameters_a_trial_has_its_record_alone() -> None:
    study, full = study_of(parameters=False), study_of()
    for one in (study, full):
        one.optimize(objective, n_trials=10)
    assert texts(study) == texts(full)
    assert all(trial.params == {} for trial in study.trials)


def test_parameters_of_the_objective_keep_their_names_and_their_sampler() -> None:
    def mine(trial: Trial) -> float:
        depth = trial.suggest_int("depth", 1, 4)
        cell = cs.suggest_cell(trial)
        assert cs.suggest_cell(trial) == cell  # asked again
        return score(cell) - abs(trial.suggest_float("rate", 0, 1) - 0.7) - depth

    study = study_of(others=TPESampler(seed=3))
    study.optimize(mine, n_trials=60)
    depths = [trial.params["depth"] for trial in study.trials]
    assert set(depths) == {1, 2, 3, 4}
    assert Counter(depths[30:])[1] > 15  # TPE has learnt it
    assert study.best_trial.params["cell.depth"] == describe(cs.suggest_cell(study.best_trial)).depth


def test_the_same_seed_proposes_the_same_cells() -> None:
    first, again, other = study_of(1), study_of(1), study_of(2)
    for study in (first, again, other):
        study.optimize(objective, n_trials=15)
    assert texts(first) == texts(again) != texts(other)


@pytest.mark.long
def test_a_study_goes_on_in_another_process_as_if_there_were_one(tmp_path: Path) -> None:
    whole = study_of()
    whole.optimize(objective, n_trials=16)
    storage = f"sqlite:///{tmp_path}/own.db"
    for _ in range(2):
        part = study_of(storage=storage)
        part.optimize(objective, n_trials=8)
    assert texts(part) == texts(whole)


def test_trials_are_asked_for_and_told() -> None:
    study = study_of()
    asked = [study.ask() for _ in range(6)]
    cells = [cs.suggest_cell(trial) for trial in asked]
    assert len({fingerprint(cell) for cell in cells}) == 6  # while nothing is told the seeds are mutated
    for trial, cell in zip(asked, cells, strict=True):
        study.tell(trial, score(cell))
    assert cs.suggest_cell(study.best_trial) == max(cells, key=score)


def test_what_failed_or_was_pruned_or_is_not_finite_is_no_parent() -> None:
    def mine(trial: Trial) -> float:
        cell = cs.suggest_cell(trial)
        if trial.number % 4 == 1:
            raise optuna.TrialPruned
        return (
            float("inf") if trial.number % 4 == 2 else float("nan") if trial.number % 4 == 3 else score(cell)
        )

    study = study_of()
    study.optimize(mine, n_trials=32)
    states = Counter(trial.state for trial in study.trials)
    assert states[TrialState.PRUNED] == states[TrialState.FAIL] == 8
    parents = {parent_of(study, trial) for trial in study.trials if "parent" in trial.user_attrs["record"]}
    assert parents
    assert all(parent % 4 == 0 for parent in parents)


def test_several_threads_share_a_sampler() -> None:
    study = study_of()
    study.optimize(objective, n_trials=40, n_jobs=4)
    assert len(study.trials) == 40
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    assert len({trial.user_attrs["record"]["fingerprint"] for trial in study.trials}) == 40
    for trial in study.trials:  # no thread took the parameters of another one
        assert trial.params["cell.depth"] == describe(cs.suggest_cell(trial)).depth


def _job(storage: str, seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study_of(seed, storage).optimize(objective, n_trials=8)


@pytest.mark.long
def test_several_processes_share_a_study(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/own.db"
    study = study_of(storage=storage)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_job, args=(storage, 1), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 16
    marks = Counter(trial.user_attrs["record"]["fingerprint"] for trial in study.trials)
    assert len(marks) >= 13  # two that ask at one instant may propose the same cell, a seed most of all
    parents = {parent_of(study, trial) for trial in study.trials if "parent" in trial.user_attrs["record"]}
    assert max(parents) > 2


def test_a_sampler_can_be_pickled() -> None:
    study = study_of()
    study.optimize(objective, n_trials=5)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(objective, n_trials=5)
    other = study_of()
    other.optimize(objective, n_trials=10)
    assert texts(study) == texts(other)


def test_a_sampler_may_serve_one_study_after_another() -> None:
    sampler = cs.MutationSampler(["gru"], seed=1)
    found = []
    for _ in range(2):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(objective, n_trials=6)
        found.append(texts(study))
    assert found[0] == found[1]


def test_an_enqueued_cell_is_the_cell_of_the_trial() -> None:
    study = study_of()
    text = "cell mine(x; h)\nh' = tanh[x, h, bias=3]\n"
    mark = fingerprint(cs.parse(text))
    study.enqueue_trial({}, user_attrs={"record": {"cell": text, "fingerprint": mark}})
    study.optimize(lambda trial: 9.0 if objective(trial) < -0.3 else 0.0, n_trials=1)
    study.optimize(objective, n_trials=10)
    assert cs.suggest_cell(study.trials[0]) == cs.parse(text)
    assert study.trials[1].user_attrs["record"]["kind"] == "seed"  # the seeds are still to come


@pytest.mark.parametrize(
    ("space", "seeds"),
    [
        ("quick", ["lstm", "gru"]),
        (["gru"], ["gru"]),
        (cs.load("gru"), ["gru"]),
        ([cs.load("gru"), "mut1"], ["gru", "mut1"]),
        (space_of(), ["lstm", "gru"]),
    ],
)
def test_what_a_sampler_is_made_of(space: Any, seeds: list[str]) -> None:
    assert [cell.name for cell in cs.MutationSampler(space).seeds] == seeds


def test_errors_say_what_to_do() -> None:
    with pytest.raises(CellsearchError, match="no cell to start from"):
        cs.MutationSampler([])
    with pytest.raises(CellsearchError, match="nosuch"):
        cs.MutationSampler("nosuch")
    study = optuna.create_study()
    with pytest.raises(CellsearchError, match=r"trial 0 has no cell.*\n.*MutationSampler"):
        cs.suggest_cell(study.ask())
    with pytest.raises(CellsearchError, match="has no cell"):
        cs.suggest_cell(FixedTrial({"rate": 0.1}))
    two = optuna.create_study(directions=["maximize", "minimize"], sampler=cs.MutationSampler(["gru"]))
    with pytest.raises(CellsearchError, match="several objectives"):
        cs.suggest_cell(two.ask())


def test_a_cell_that_cannot_be_mutated_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CellError("none of 200 mutants was accepted")

    study = study_of(space=["gru"])
    study.optimize(objective, n_trials=1)
    monkeypatch.setattr(sampler_module, "breed", refuse)
    with pytest.raises(
        CellsearchError, match=r"nothing left to evaluate among 1 listed cells .*: none of 200"
    ):
        cs.suggest_cell(study.ask())


@pytest.mark.long
def test_twenty_thousand_trials_do_not_slow_it_down() -> None:
    study = study_of()
    text = cs.show(cs.load("mut1"))
    for k in range(20_000):
        record = {"cell": text, "fingerprint": f"{k:064x}"}
        study.add_trial(create_trial(value=k % 997, user_attrs={"record": record}))
    sampler = study.sampler
    assert isinstance(sampler, cs.MutationSampler)
    cs.suggest_cell(study.ask())  # reads them all
    times = []
    for number in range(10):
        study.add_trial(create_trial(value=1.0, user_attrs={"record": record}))
        began = time.process_time()
        sampler.decide(study, 20_100 + number)
        times.append(time.process_time() - began)
    print(f"a proposal at 20,000 trials: {1e3 * sorted(times)[5]:.1f} ms CPU")
    assert sorted(times)[5] < 0.05
