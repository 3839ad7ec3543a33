"""Near-ties that are trained again within a search (`strategy.repeats`): which, on what seeds, across kills,
with several workers, and on the board."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cellsearch.cli.main import main
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.zoo import load
from cellsearch.study.leaderboard import board, eta
from cellsearch.study.leaderboard.repeated import repeated
from cellsearch.study.leaderboard.rows import Repeated
from cellsearch.study.space import Space, difference, parse_space
from cellsearch.study.space.model import repeat_of, task_of
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Heart, Worker
from cellsearch.study.tables import integrity, queries, records, schema, transactions
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import outcomes_of
from cellsearch.study.workers import worker
from cellsearch.study.workers.evaluator import Say, TorchEvaluator
from cellsearch.study.workers.trial import runner
from cellsearch.study.workers.trial.setting_sampler import fresh_seed
from cellsearch.train.outcome import Outcome, Status
from cellsearch.train.settings import keys
from tests.study.dying import Killed, kept_dying
from tests.study.scripted import (
    PLACES,
    SEEDS,
    Scripted,
    based,
    items_of,
    new_study,
    one_of,
    space_of,
    uniform,
)
from tests.study.storage.snapshots import plain, result_of, snapshot
from tests.study.storage.test_adoption import each_write

TINY = """\
seeds: [rnn]
baseline: rnn
tasks: [{name: memorize, options: {symbols: 1, alphabet: 2, train: 400, valid: 100, test: 100}}]
grid: {init_scale: [1], learning_rate: [0.5], max_norm: [5], layers: [1], parameters: [500]}
training: {max_epochs: 2}
"""
SPACE = space_of(settings=4, refine=0.3, repeats=2)
TRIALS, MUTANTS = 14, 30
TASKS = ("arithmetic", "xml")
Run = tuple[str, str, str, int]  # cell, task, setting, seed


def accuracy(mark: str, task: str, setting: int) -> float | None:
    """Some mutants are as good as the baseline; settings matter alike to all cells."""
    if task == "filter":
        return 0.99
    quality = 0.8 if mark in SEEDS.values() else 0.72 + 0.1 * uniform(mark)
    return quality * (0.97 + 0.03 * uniform(task, setting))


@dataclass
class Noisy(Scripted):
    """A training has a noise of its own, which follows from its seed."""

    trained: list[Run] = field(default_factory=list)
    noise: float = 0.02

    def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> list[Outcome]:
        mark, found = fingerprint(cell), super().evaluate(cell, task, settings, seed, say)
        self.trained += [(mark, task, setting, seed) for setting in settings]

        def noisy(one: Outcome) -> Outcome:
            shift = 1 + self.noise * (uniform(seed, mark, task, one.setting) - 0.5)
            return one if one.accuracy is None else replace(one, accuracy=min(1.0, one.accuracy * shift))

        return found if task == "filter" else list(map(noisy, found))

    @property
    def again(self) -> list[Run]:
        """What was trained with another seed than the study's."""
        return [run for run in self.trained if run[3] != 1]


def noisy() -> Noisy:
    return Noisy(accuracy)


def once(store: Store, lab: Scripted, name: str = "one", space: Space = SPACE, cohort: int = 1) -> None:
    """One worker of this name, until nothing is left."""
    heart = Heart(store, Worker(name, "worker", "elsewhere", 1, "1"), space.strategy.failures)
    worker.work(store, space, lab, one_of(MUTANTS), heart, cohort=cohort)


def recorded(store: Store) -> dict[tuple[str, str], list[tuple[str, float | None]]]:
    """Cell and stage -> (setting, accuracy) of all trials in order, repeats under their own names."""
    stages, found = schema.stages, dict[tuple[str, str], list[tuple[str, float | None]]]()
    query = select(stages.c.fingerprint, stages.c.task, stages.c.outcomes).where(
        stages.c.study == store.study
    )
    with transactions.reading(store.engine, store.url) as connection:
        for mark, name, text in connection.execute(query.order_by(stages.c.trial)):
            here = [(one.setting, one.accuracy) for one in outcomes_of(text)]
            found.setdefault((mark, name), []).extend(here)
    return found


def best_of(results: Sequence[tuple[str, float | None]]) -> tuple[str, float]:
    """The most accurate setting, the first of equal ones."""
    return max(((s, a) for s, a in results if a is not None), key=lambda pair: pair[1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Noisy]:
    """A search that nothing interrupts."""
    store, lab = new_study(tmp_path_factory.mktemp("whole"), SPACE, TRIALS), noisy()
    once(store, lab)
    return store, lab


@pytest.mark.long
def test_near_ties_and_the_baseline_are_trained_again_at_their_best_settings(
    whole: tuple[Store, Noisy],
) -> None:
    store, lab = whole
    found, repeats = recorded(store), items_of(store, "repeat")
    marks = [item.fingerprint for item in repeats]
    assert len(marks) >= 3 and SEEDS["gru"] in marks and set(marks) - set(SEEDS.values())
    assert {item.outcome for item in repeats} == {"ranked"}
    for mark in marks:
        for task in TASKS:
            first = [(setting, a) for name, setting, a in _before(store, mark, task, repeats)]
            for k in (1, 2):
                assert best_of(first)[0] in [setting for setting, _ in found[mark, repeat_of(task, k)]]
    seeds = {k: fresh_seed(1, k) for k in (1, 2)}
    assert {run[3] for run in lab.again} == set(seeds.values()) and 1 not in seeds.values()
    assert max(Counter(lab.trained).values()) == 1  # no setting with the same seed twice


def _before(
    store: Store, mark: str, task: str, repeats: Sequence[Any]
) -> list[tuple[int, str, float | None]]:
    """(trial, setting, accuracy) of a cell on a task that was recorded before its first repeat."""
    first = min(item.trial for item in repeats if item.fingerprint == mark)
    stages = schema.stages
    query = select(stages.c.trial, stages.c.outcomes).where(
        stages.c.study == store.study, stages.c.fingerprint == mark, stages.c.task == task,
        stages.c.trial < first,
    )  # fmt: skip
    with transactions.reading(store.engine, store.url) as connection:
        return [
            (trial, one.setting, one.accuracy)
            for trial, text in connection.execute(query)
            for one in outcomes_of(text)
        ]


def test_repeats_are_trials_of_the_budget_and_settings_of_the_totals(whole: tuple[Store, Noisy]) -> None:
    store, lab = whole
    counts = queries.counts(store)
    assert counts.trials == TRIALS == len(items_of(store, "propose", "refine", "repeat", ""))
    assert counts.repeats == len(items_of(store, "repeat")) > 0
    assert counts.proposals + counts.refinements + counts.repeats == TRIALS
    assert counts.settings == len(lab.trained)
    assert integrity.damages(store) == []
    for item in items_of(store, "repeat"):
        trial = plain(store).trials[item.trial]
        assert (trial.state.name, trial.value, trial.intermediate_values) == ("COMPLETE", item.score, {})


@pytest.mark.long
def test_scores_and_ranks_are_those_of_the_first_trainings(tmp_path: Path) -> None:
    """Also where every repeat comes out higher than anything before."""

    class Lucky(Noisy):
        def evaluate(
            self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
        ) -> list[Outcome]:
            found = super().evaluate(cell, task, settings, seed, say)
            return found if seed == 1 else [replace(one, accuracy=0.999) for one in found]

    store, lab = new_study(tmp_path, SPACE, TRIALS), Lucky(accuracy)
    once(store, lab)
    found, units = recorded(store), records.facts(store).units
    rows = [row for row in board.leaderboard(store, SPACE) if row.rank is not None]
    assert len(lab.again) >= 8
    for row in rows:
        ratios = [best_of(found[row.fingerprint, task])[1] / units[task] for task in TASKS]
        assert row.score == min(ratios)
        assert row.settings == sum(
            len(some) for (mark, name), some in found.items() if mark == row.fingerprint and "#" not in name
        )
    assert [row.score for row in rows] == sorted((row.score or 0 for row in rows), reverse=True)
    lucky = [row for row in rows if row.repeated]
    assert lucky and all(
        row.repeated == Repeated(2, min(0.999 / units[task] for task in TASKS), 0) for row in lucky
    )


def test_the_board_shows_the_mean_of_the_repeats(whole: tuple[Store, Noisy]) -> None:
    store, _ = whole
    found, units = recorded(store), records.facts(store).units
    shown = {row.fingerprint: row.repeated for row in board.leaderboard(store, SPACE)}
    some = 0
    for mark, value in shown.items():
        means = []
        for task in TASKS:
            best = best_of(found[mark, task])[0]
            again = [a for k in (1, 2) for s, a in found.get((mark, repeat_of(task, k)), ()) if s == best]
            means.append(sum(a or 0 for a in again) / len(again) / units[task] if again else None)
        if None in means:
            assert value is None
        else:
            some += 1
            assert value is not None and (value.count, value.diverged) == (2, 0)
            assert value.ratio == pytest.approx(min(m for m in means if m is not None), rel=1e-12)
    assert some >= 2
    (row,) = [row for row in board.top(store, SPACE, 1)[0] if row.rank == 1]
    assert row.repeated == shown[row.fingerprint]


def test_a_repeated_cell_is_shown_with_the_mean_of_its_repeats(
    whole: tuple[Store, Noisy], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = whole
    monkeypatch.setenv("COLUMNS", "160")
    rows = [row for row in board.leaderboard(store, SPACE) if not row.seed]
    row = next(row for row in rows if row.repeated)
    assert row.repeated is not None and row.repeated.ratio is not None
    assert main(["show", row.fingerprint, "--storage", store.url]) == 0
    mean = f"repeated    {row.repeated.ratio:.4f}, the mean of 2 trainings with fresh seeds on each task"
    assert mean in capsys.readouterr().out
    assert main(["show", row.fingerprint, "--storage", store.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repeated"] == asdict(row.repeated)
    none = next(row for row in rows if not row.repeated)
    assert main(["show", none.fingerprint, "--storage", store.url]) == 0
    assert "repeated" not in capsys.readouterr().out


def test_means_leave_out_what_diverged_and_settings_that_are_no_longer_the_best(
    whole: tuple[Store, Noisy],
) -> None:
    row = board.leaderboard(whole[0], SPACE)[0]
    mark, units = row.fingerprint, {"arithmetic": 0.5, "xml": 0.4}
    at = {result.task: result.setting or "" for result in row.tasks}
    known: dict[tuple[str, str, str], list[float | None]] = {
        (mark, "arithmetic", at["arithmetic"]): [0.5, None, 0.3],
        (mark, "xml", at["xml"]): [0.4, 0.4],
    }
    assert repeated(row, known, units) == Repeated(2, pytest.approx(0.8), 1)
    assert repeated(row, known, {"xml": 0.4}) == Repeated(2, 1.0, 0)
    assert repeated(row, known | {(mark, "xml", at["xml"]): [None]}, units) == Repeated(1, None, 2)
    assert repeated(row, known | {(mark, "xml", at["xml"]): []}, units) is None
    moved = replace(row, tasks=tuple(replace(result, setting="another") for result in row.tasks))
    assert repeated(moved, known, units) is None


@pytest.mark.long
def test_nothing_is_repeated_by_default(tmp_path: Path) -> None:
    space = space_of(settings=4, refine=0.3)
    store, lab = new_study(tmp_path, space, TRIALS), noisy()
    once(store, lab, space=space)
    assert not items_of(store, "repeat") and not lab.again
    assert {row.repeated for row in board.leaderboard(store, space)} == {None}


@pytest.mark.long
def test_clear_differences_are_not_repeated(tmp_path: Path) -> None:
    def clear(mark: str, task: str, setting: int) -> float | None:
        found = accuracy(mark, task, setting)
        steps = {SEEDS["gru"]: 0.9, SEEDS["lstm"]: 0.7}
        return found if task == "filter" or found is None else found * steps.get(mark, 0.5)

    store, lab = new_study(tmp_path, SPACE, TRIALS), Noisy(clear, noise=0.002)
    once(store, lab)
    assert not items_of(store, "repeat") and not lab.again


@pytest.mark.long
def test_a_search_that_goes_on_repeats_what_has_come_into_the_tie_since(tmp_path: Path) -> None:
    store, lab = new_study(tmp_path, SPACE, 6), noisy()
    once(store, lab)
    records.extend(store, Target(TRIALS))
    once(store, lab, "two")
    other = new_study(tmp_path / "whole", SPACE, TRIALS) if (tmp_path / "whole").mkdir() is None else store
    once(other, again := noisy())
    assert snapshot(store) == snapshot(other)
    assert lab.trained == again.trained


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers begin without a look at the version of Optuna's tables, which takes most of a short life."""
    monkeypatch.setattr(worker, "check_optuna", lambda store: None)


@pytest.mark.long
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_worker_killed_at_each_write_of_a_repeat_leaves_a_trial_that_another_one_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[Store, Noisy], when: str
) -> None:
    numbers = {item.trial for item in items_of(whole[0], "repeat")}
    killed = Counter[str]()

    def die(write: str, now: str) -> None:
        of_repeat = any(f" {number}-0" in write for number in numbers)
        if of_repeat and now == when and not killed[write]:
            killed[write] += 1
            raise Killed

    store, lab = new_study(tmp_path, SPACE, TRIALS), noisy()
    with monkeypatch.context() as patch:
        each_write(patch, die)
        assert kept_dying(store, lambda name: once(store, lab, name)) == len(killed)
    writes = Counter(write.split()[0] for write in killed)
    stages = sum("#" in name for _, name in recorded(whole[0]))
    assert writes["decide"] == writes["finish"] == len(numbers)
    assert writes["claim"] >= stages and writes["commit"] >= stages
    assert snapshot(store) == snapshot(whole[0])
    assert max(Counter(lab.trained).values()) <= (1 if when == "after" else 2)
    assert set(lab.trained) == set(whole[1].trained)


@pytest.mark.long
def test_a_repeat_that_fails_or_is_at_work_elsewhere_is_not_begun_again(tmp_path: Path) -> None:
    class Broken(Noisy):
        def evaluate(
            self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
        ) -> list[Outcome]:
            found = super().evaluate(cell, task, settings, seed, say)
            lost = [replace(one, status=Status.FAILED, accuracy=None, cause="no memory") for one in found]
            return found if seed == 1 else lost

    store, lab = new_study(tmp_path, SPACE, TRIALS), Broken(accuracy)
    once(store, lab)
    tried = Counter(item.fingerprint for item in items_of(store, "repeat"))
    assert tried and set(tried.values()) == {1}
    causes = {(item.outcome, item.task, item.cause) for item in items_of(store, "repeat")}
    assert causes == {("failed", "arithmetic", "failed: no memory")}
    assert queries.counts(store).trials == TRIALS and not records.facts(store).stopped
    assert integrity.damages(store) == []


@pytest.mark.long
def test_a_repeat_that_crashes_its_workers_fails_once(tmp_path: Path) -> None:
    class Crashing(Noisy):
        def evaluate(
            self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
        ) -> list[Outcome]:
            if seed != 1:
                raise Killed
            return super().evaluate(cell, task, settings, seed, say)

    store, lab = new_study(tmp_path, SPACE, TRIALS), Crashing(accuracy)
    for count in range(200):
        try:
            once(store, lab, f"w{count}")
            break
        except Killed:
            heartbeat.leave(store, [f"w{count}"], "other", crash="signal 9", failures=9)
    repeats = items_of(store, "repeat")
    assert count == 3 * len(repeats) > 0
    assert {item.outcome for item in repeats} == {"failed"}
    assert max(Counter(item.fingerprint for item in repeats).values()) == 1
    assert result_of(plain(store).trials[repeats[0].trial])["cause"].startswith("the worker crashed 3 times")


@pytest.mark.long
@pytest.mark.usefixtures("unchecked")
def test_a_cohort_repeats_each_cell_once_and_is_the_same_across_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    store, lab = new_study(tmp_path / "whole", SPACE, TRIALS), noisy()
    once(store, lab, cohort=3)
    marks = [item.fingerprint for item in items_of(store, "repeat")]
    assert len(marks) >= 2 and max(Counter(lab.trained).values()) == 1
    reached = Counter[str]()

    def die(name: str) -> None:
        reached[name] += 1
        if reached[name] % 5 == 0:
            raise Killed

    (tmp_path / "killed").mkdir()
    other = new_study(tmp_path / "killed", SPACE, TRIALS)
    monkeypatch.setattr(runner, "failpoint", die)
    assert kept_dying(other, lambda name: once(other, noisy(), name, cohort=3)) > 10
    assert snapshot(other) == snapshot(store)


@pytest.mark.long
def test_two_workers_by_turns_repeat_nothing_twice(tmp_path: Path) -> None:
    """One begins a repeat and is silent; the other one goes on beside it with other trials."""
    store, first, second = based(tmp_path, SPACE, TRIALS), noisy(), noisy()

    class Silent(Noisy):
        def evaluate(
            self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
        ) -> list[Outcome]:
            if seed != 1:
                raise Killed  # it keeps its trial
            return super().evaluate(cell, task, settings, seed, say)

    with pytest.raises(Killed):
        once(store, Silent(accuracy), "silent")
    (open_,) = [item for item in items_of(store, "repeat") if not item.outcome]
    once(store, second, "second")
    others = [item.fingerprint for item in items_of(store, "repeat") if item.trial != open_.trial]
    assert open_.fingerprint not in others
    once(store, first, "silent")  # it comes back
    assert queries.counts(store).trials == TRIALS
    assert max(Counter([*first.again, *second.again]).values()) == 1
    assert open_.fingerprint in {run[0] for run in first.again}
    assert integrity.damages(store) == []


def test_a_repeat_counts_for_no_forecast_of_other_trials(whole: tuple[Store, Noisy]) -> None:
    store, _ = whole
    found, counts = eta.history(store, SPACE, TASKS), queries.counts(store)
    assert found.trials == TRIALS
    assert (found.repeated.count, found.refined.count) == (counts.repeats, counts.refinements)
    assert eta.estimate(found, TRIALS, 1, SPACE) == (0.0, 0.0)


def test_a_study_from_before_goes_on_and_another_number_is_another_space() -> None:
    text = space_of().text
    before = "\n".join(line for line in text.splitlines() if "repeats" not in line)
    assert before != text and difference(parse_space(before), space_of()) == []
    assert difference(space_of(), SPACE, ()) == [
        "strategy.refine: 0.5 before, 0.3 now", "strategy.repeats: 0 before, 2 now"
    ]  # fmt: skip


def test_a_fresh_seed_is_another_training_and_the_same_each_time() -> None:
    space = parse_space(TINY)
    evaluator, settings = TorchEvaluator(space, 1), list(keys(space.tasks[0].grid))

    def trained(seed: int) -> list[float | None]:
        return [one.loss for one in evaluator.evaluate(load("rnn"), "memorize", settings, seed, print)]

    found = {seed: trained(seed) for seed in (1, fresh_seed(1, 1), fresh_seed(1, 2))}
    assert len({tuple(losses) for losses in found.values()}) == 3
    assert all(trained(seed) == losses for seed, losses in found.items())


def test_names_of_repeats() -> None:
    assert (repeat_of("xml", 2), task_of("xml#2"), task_of("xml")) == ("xml#2", "xml", "xml")
    assert len({fresh_seed(seed, k) for seed in range(5) for k in range(5)}) == 25
    assert set(PLACES)  # settings have no such sign in their names
    assert not any("#" in key for key in PLACES)
