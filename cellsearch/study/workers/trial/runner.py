"""The work on one trial, from its recorded state to its end.

seed       pieces of its grids, then the filter; completed with its score once the units are frozen
proposal   the filter and the tasks in turn; `should_prune` ends it after a failed stage
refinement every task
repeat     every task at the best setting, with fresh seeds; reports nothing

It is a generator that does not train: it yields the stages to train and receives their outcomes. It also
yields after its decision and after each recorded stage, so that the trials of a cohort can synchronise
(`cohorts.rounds`).
"""

import math
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from optuna.trial import Trial

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError
from cellsearch.study.scoring import ranking
from cellsearch.study.scoring.ranking import Best, Origin
from cellsearch.study.space import Space, grids
from cellsearch.study.space.model import FILTER
from cellsearch.study.states import Ending, Kind
from cellsearch.study.storage import endings, trials
from cellsearch.study.storage.attributes import record_of
from cellsearch.study.storage.driver import Driver, report
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.storage.pruner import steps
from cellsearch.study.storage.sampler import MutationSampler
from cellsearch.study.storage.trials import Proposed
from cellsearch.study.strategies import Decision, NothingLeft
from cellsearch.study.system.failpoint import failpoint
from cellsearch.study.tables import cellrecords, costs, queries, work_items
from cellsearch.study.tables.outbox import Outbox
from cellsearch.study.tables.records import freeze
from cellsearch.study.tables.table_view import Offered, TableView
from cellsearch.study.tables.transactions import Superseded
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers.evaluator import Evaluator, Prepares
from cellsearch.study.workers.retry import patiently
from cellsearch.study.workers.trial import recording
from cellsearch.study.workers.trial.outcome_checks import Broken, first_cause, judged
from cellsearch.study.workers.trial.recording import Stage
from cellsearch.study.workers.trial.setting_sampler import Choose, Repeat, among, chooser, repeats
from cellsearch.study.workers.trial.walk import Claimed, Trained, Walk
from cellsearch.train.outcome import Outcome


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """The work on the trials that a worker has taken. With `together` several run at once: a trial then
    reports the records at the time when all of them have trained a stage."""

    driver: Driver
    sampler: MutationSampler
    space: Space
    evaluator: Evaluator
    heart: Heart
    look: Callable[[], TableView]  # of the current study at the start of an item
    outbox: Outbox | None = None
    offered: Offered | None = None
    together: bool = False

    def walk(self, item: Item) -> Walk:
        """From the recorded state of the trial to the end of its item."""
        trial = self.driver.trial(item.trial_id) if item.kind != Kind.BASELINE else None
        view = self.look()
        try:
            if trial is None:
                yield None
                yield from self.piece(item, view)
            elif item.kind == Kind.SEED:
                yield None
                yield from self.seed(item, trial)
            else:
                begun: Collection[str] = ()
                if item.kind:
                    begun = work_items.claimed(self.driver.store, item)
                else:
                    item = self.decide(item, trial, view)
                    failpoint("after-decide")
                yield None
                again = item.kind == Kind.REPEAT
                yield from self.repeats(item, trial, view) if again else self.stages(item, trial, view, begun)
        except Broken as broken:
            self.finish(item, trial, Ending.FAILED, task=broken.task, cause=broken.cause)
        except (NothingLeft, CellError) as error:
            self.finish(item, trial, Ending.FAILED, cause=str(error))

    def piece(self, item: Item, view: TableView) -> Walk:
        """A seed on a piece of the grid of one task."""
        done = work_items.recorded(self.driver.store, item)
        if item.task not in done:
            yield from self.stage(item, None, view, item.task, lambda taken: [], view.cell(item.fingerprint))
            done = work_items.recorded(self.driver.store, item)
        yield None
        outcomes = judged(item.task, done[item.task])
        self.finish(item, None, Ending.BASELINE, task=item.task, cause=first_cause(outcomes))

    def seed(self, item: Item, trial: Trial) -> Walk:
        """Measures the pass rate of a seed in the filter, freezes the units after the baseline, reports the
        stages of the seed, and completes it."""
        if self.space.filter is not None and FILTER not in work_items.recorded(self.driver.store, item):
            view = self.look()
            cell, count = view.cell(item.fingerprint), self.space.strategy.settings
            yield from self.stage(item, trial, view, FILTER, self.choose(item, view, FILTER, count), cell)
        yield None
        recorded = cellrecords.recorded_cells(self.driver.store, seeds=True)
        baseline = next(seed.fingerprint for seed in recorded if seed.name == self.space.baseline)
        floors = {task.name: self.evaluator.floor(task.name) for task in self.space.tasks}
        known = freeze(self.driver.store, baseline, floors, self.space.strategy.margin)
        best, mark = self.best(item.fingerprint), item.fingerprint
        origin, threshold = Origin(item.trial, True), self.space.strategy.threshold
        standing = ranking.stand(mark, best, origin, known.units, threshold)
        with self.driver.apart():
            for task, unit in known.units.items():
                report(trial, steps(self.space)[task], ratio(best.get(task, Best()).accuracy, unit))
        if not known.units:
            self.finish(item, trial, Ending.FAILED, cause="no task is kept", counts=False)
        elif standing.place:
            cause = f"every setting diverged or failed on {standing.place}"
            self.finish(item, trial, Ending.FAILED, task=standing.place, cause=cause, counts=False)
        else:
            self.finish(item, trial, Ending.RANKED, score=standing.score)

    def decide(self, item: Item, trial: Trial, view: TableView) -> Item:
        """The cell of a trial, from the sampler; recorded before anything runs."""
        self.heart.doing = f"trial {item.trial}: choosing a cell"
        decision = self.sampler.decide(self.driver.study, item.trial, view)
        cell, mark = decision.cell, fingerprint(decision.cell)
        proposed = Proposed(
            decision.kind,
            mark,
            functional_fingerprint(cell),
            cell.name,
            show(cell),
            decision.parent,
            decision.edits,
        )

        def write(about: str, text: str) -> None:
            self.write(trial, decision, proposed, about, text, view)

        found = trials.decide(self.driver, item, proposed, write)
        if isinstance(self.evaluator, Prepares):
            self.evaluator.prepare(cell)  # meanwhile others of a cohort decide and train
        return found

    def write(
        self, trial: Trial, decision: Decision, proposed: Proposed, about: str, text: str, view: TableView
    ) -> None:
        """The record of a trial in Optuna; its cell is evaluated as the recorded cell `about` with that
        text."""
        cell = decision.cell if text == proposed.text else parse(text)
        more = {"proposed": proposed.text} if about != proposed.fingerprint else {}
        if about in view.seeds and decision.kind == Kind.PROPOSE:
            more["seed"] = cell.name
        record = record_of(decision.kind, cell, about, parent=decision.parent, edits=decision.edits, **more)
        self.sampler.write(trial, record, cell)

    def stages(self, item: Item, trial: Trial, view: TableView, begun: Collection[str] = ()) -> Walk:
        """The stages of a trial in order, each recorded and reported; a pruner ends a proposal. An earlier
        worker has claimed settings for those in `begun`."""
        cell, known, store = view.cell(item.fingerprint), view.known(item.fingerprint), self.driver.store
        done = work_items.recorded(store, item) if begun else {}
        counts = dict.fromkeys(view.facts.units, self.space.strategy.settings)
        if item.kind == Kind.PROPOSE and (FILTER in begun or not view.admitted(known)):
            assert self.space.filter is not None
            counts = {FILTER: self.space.filter.settings} | counts
        order = list(counts)
        trained: list[Outcome] = []
        for place, task in enumerate(order):
            step, unit = steps(self.space)[task], view.units.get(task, 1.0)
            best: float | None = None
            if task in done:
                outcomes = done[task]
            else:
                choose = self.choose(item, view, task, counts[task])
                outcomes, best = yield from self.stage(item, trial, view, task, choose, cell)
            yield None
            if task in done or self.together:
                best = self.best(item.fingerprint).get(task, Best()).accuracy
                self.report(trial, step, ratio(best, unit))
            trained += judged(task, outcomes)
            if set(begun) & set(order[place + 1 :]):
                continue  # an earlier worker continued from here
            if self.driver.prunes(trial, step, ratio(best, unit)):
                self.finish(item, trial, Ending.FILTERED, task=task, cause=first_cause(outcomes))
                return
        if item.kind == Kind.PROPOSE:
            costs.note(store, item.fingerprint, cell, self.space.limits.width)
        score = ranking.score(self.best(item.fingerprint), view.units)
        outcome = Ending.FAILED if score is None else Ending.RANKED
        self.finish(item, trial, outcome, score=score, cause=first_cause(trained))

    def repeats(self, item: Item, trial: Trial, view: TableView) -> Walk:
        """The repeats of a cell that no trial has claimed. Its score stays that of the other stages."""
        cell, store = view.cell(item.fingerprint), self.driver.store
        done = work_items.recorded(store, item)
        trained: list[Outcome] = []
        for again in repeats(self.space, view.facts, view.known(item.fingerprint).best):
            outcomes = done.get(again.stage)
            if outcomes is None:
                outcomes, _ = yield from self.stage(item, trial, view, again.task, again.choose, cell, again)
            yield None
            trained += judged(again.task, outcomes)
        score = ranking.score(self.best(item.fingerprint), view.units)
        self.finish(item, trial, Ending.RANKED, score=score, cause=first_cause(trained))

    def report(self, trial: Trial, step: int, value: float) -> None:
        """Reports the result of a recorded stage, if no worker has: a shown report does not change."""
        with self.driver.apart():
            if step not in trial.storage.get_trial(trial._trial_id).intermediate_values:
                report(trial, step, value)

    def best(self, fingerprint: str) -> dict[str, Best]:
        """Stage -> the merged records of a cell, including this trial."""
        stages = queries.recorded_stages(self.driver.store, among=[fingerprint])
        return ranking.bests(stages).get(fingerprint, {})

    def choose(self, item: Item, view: TableView, task: str, count: int) -> Choose:
        """How `count` settings of a stage are chosen."""
        choose = chooser(self.driver.store, self.space, view.facts, item, task, count)
        if self.offered is None:
            return choose
        return among(self.offered(item.fingerprint, task), grids(self.space)[task], choose)

    def stage(
        self,
        item: Item,
        trial: Trial | None,
        view: TableView,
        task: str,
        choose: Choose,
        cell: Cell,
        again: Repeat | None = None,
    ) -> Generator[Claimed, Trained, tuple[tuple[Outcome, ...], float | None]]:
        """Claims settings, has them trained, commits and reports: the outcomes, and the best accuracy of the
        cell on the task so far. A piece of the baseline has its claims from the start. What is trained
        `again` is recorded by its own name and not reported. In a cohort `stages` reports: another trial may
        train the same cell.
        """
        name, seed = (again.stage, again.seed) if again else (task, view.facts.seed)
        reported = None if again or (self.together and item.kind != Kind.SEED) else trial
        claimed = patiently(lambda: trials.claim(self.driver, item, name, choose), self.driver.store.timing)
        failpoint("after-claim")
        label = f"{label_of(item)}{f' {again.number} of' if again else ''} {cell.name} on {task}"
        outcomes: tuple[Outcome, ...] = ()
        seconds = 0.0
        if claimed:
            self.heart.doing = f"{label}: preparing"  # until the evaluator reports progress
            kept = self.outbox.find(item, name, claimed) if self.outbox else None
            if kept is None:
                kept = yield Claimed(item, trial, cell, task, claimed, seed, label, name)
            outcomes, seconds = kept
            assert tuple(o.setting for o in outcomes) == claimed, "one outcome for each setting, in order"
        failpoint("after-evaluate")

        def report_best(best: float | None) -> None:
            if reported is not None:
                report(reported, steps(self.space)[task], ratio(best, view.units.get(task, 1.0)))

        trained = Stage(item, name, outcomes, seconds, label)
        best = recording.record(self.driver, self.heart, self.outbox, trained, report_best)
        failpoint("after-commit")
        return outcomes, best

    def give_up(self, stage: Claimed, lost: Sequence[Outcome], seconds: float) -> None:
        """Records a hung stage as failed, from the thread of the heartbeat."""
        item = stage.item
        with suppress(Superseded):  # another worker owns the trial now
            trials.commit(self.driver, item, stage.recorded, lost, seconds)
            if item.kind != Kind.SEED:  # the filter is only measured on seeds and does not prune them
                cause = first_cause(lost)
                self.finish(item, stage.trial, Ending.FAILED, task=stage.task, cause=cause)

    def finish(
        self,
        item: Item,
        trial: Trial | None,
        outcome: str,
        *,
        task: str = "",
        cause: str = "",
        score: float | None = None,
        counts: bool = True,
    ) -> None:
        """Ends the item, and completes its trial. `counts`: a failure counts towards the streak that stops
        the search."""
        failures = self.space.strategy.failures if counts else None
        patiently(
            lambda: endings.finish(
                self.driver,
                item,
                outcome,
                trial=trial,
                task=task,
                cause=cause,
                score=score,
                failures=failures,
            ),
            self.driver.store.timing,
        )
        failpoint("after-finish")


def ratio(accuracy: float | None, unit: float) -> float:
    """The reported value of a stage: NaN if no setting has an accuracy."""
    return math.nan if accuracy is None else accuracy / unit


def label_of(item: Item) -> str:
    """The activity of a worker, for the live display and `status`."""
    kinds: dict[str, str] = {Kind.PROPOSE: "new cell", Kind.REFINE: "more settings of"}
    return f"trial {item.trial}: {kinds.get(item.kind, item.kind)}"
