"""One worker: takes a slot, decides, evaluates it stage by stage, records each stage, and takes the next.

In: a study, a `Lab` (data and training) and `propose` (mutation). Out: records. A worker has no state of its
own that matters: it may be killed at any moment, and whoever takes its slot goes on after the last recorded
stage.

Randomness of a slot comes from (study seed, slot, purpose), that of a training run from (study seed, cell,
task, setting).
"""

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.functional import functional
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError, CellsearchError, RunError, printable
from cellsearch.search import cellrecords, costs, queries, ranking, slots, strategies, views
from cellsearch.search.choosing import Offered, among, chooser
from cellsearch.search.costs import Costs
from cellsearch.search.database import Unavailable
from cellsearch.search.deadline import Deadline, Overdue, overdue
from cellsearch.search.failpoint import failpoint
from cellsearch.search.judging import Broken, checked, first_cause, judged
from cellsearch.search.liveness import Heart, register
from cellsearch.search.patience import patiently
from cellsearch.search.records import Facts, facts, freeze
from cellsearch.search.schema import Store
from cellsearch.search.sections import FILTER
from cellsearch.search.slots import Idle, Lost, Slot
from cellsearch.search.space import Space
from cellsearch.search.spool import Spool
from cellsearch.search.strategies import NothingLeft, Propose, View
from cellsearch.train.outcome import Outcome

WAIT_SECONDS = (0.2, 10.0)  # between two looks for a slot while others are at the baseline: first, at most
CRASHES = 3  # exceptions in a row after which a worker ends: something is wrong with the process itself

Say = Callable[[str], None]


class Lab(Protocol):
    """What a worker needs of data and training. Stage names are those of the space, and `filter`."""

    def digests(self) -> Mapping[str, str]:
        """Stage name -> digest of its data, as it is on this machine."""

    def floor(self, task: str) -> float:
        """The accuracy of the best predictor that sees the current symbol alone."""

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[int], seed: int, say: Say
    ) -> Sequence[Outcome]:
        """Trains `cell` once for each of the settings (indices in the grid of the stage); one outcome each,
        in order.

        What is random in a run follows from `seed` (the study's), the cell, the task and the setting alone.
        """


def work(
    store: Store,
    space: Space,
    lab: Lab,
    propose: Propose,
    heart: Heart,
    crashes_allowed: int = CRASHES,
    spool: Spool | None = None,
    offered: Offered | None = None,
) -> None:
    """Works on slots until there is none left to take. Stages that cannot be recorded are kept in `spool`.

    `offered` limits the settings that a cell can be run with, for a laboratory that has no others; None: all.

    An error for people ends the worker, except a cell that cannot be used: that is a failed slot. Any other
    exception gives the slot back, as a crash of the worker does; the last of `crashes_allowed` in a row is
    raised.
    """
    failures = space.strategy.failures
    check_data(patiently(lambda: facts(store)), lab)
    patiently(lambda: costs.ready(store))
    counted = Costs(store, space.strategy.cost, space.limits.width)
    crashes = 0
    while True:
        heart.doing = "looking for a slot"
        taken = patiently(lambda: slots.take(store, heart.worker.id))
        if taken is Idle.DONE:
            return
        if taken is Idle.WAIT:
            heart.doing = "waiting for the baseline"
            wait(store)
        elif taken is Idle.FREEZE:
            patiently(lambda: settle(store, space, lab))
        elif isinstance(taken, Slot):
            try:
                known = patiently(lambda: facts(store))
                shift = Shift(store, space, known, lab, propose, heart, counted, spool, offered)
                patiently(lambda: shift.run(taken))  # noqa: B023  (called at once)
                crashes = 0
            except Lost:  # this worker was silent for long, and its slot went to another one
                patiently(lambda: register(store, heart.worker))
            except CellsearchError:
                raise
            except Exception as error:
                crashes += 1
                cause = printable(f"{type(error).__name__}: {error}", 1_000)
                slots.release(store, [heart.worker.id], crash=cause, failures=failures)
                if crashes >= crashes_allowed:
                    raise


def wait(store: Store) -> None:
    """Until there may be a slot. The longer it takes, the rarer is a look: a thousand workers may wait."""
    pause, most = WAIT_SECONDS
    while True:
        time.sleep(pause * random.uniform(0.75, 1.25))
        if not patiently(lambda: slots.waiting(store)):
            return
        pause = min(1.5 * pause, most)


def settle(store: Store, space: Space, lab: Lab) -> None:
    """Freezes the units after the baseline."""
    baseline = next(
        seed for seed in cellrecords.recorded_cells(store, seeds=True) if seed.name == space.baseline
    )
    floors = {task.name: lab.floor(task.name) for task in space.tasks}
    freeze(store, baseline.fingerprint, floors, space.strategy.margin)


def check_data(known: Facts, lab: Lab) -> None:
    """Refuses data that is not what the study was started on."""
    for task, digest in lab.digests().items():
        if known.data.get(task) != digest:
            raise RunError(
                f"the data of {task} on this machine is not what the study {known.name!r} was started on "
                f"({digest[:12]}, not {known.data.get(task, 'none')[:12]})\n"
                "bring that data here (`--data DIR`), or start a study of another --name"
            )


@dataclass(frozen=True, slots=True)
class Shift:
    """The work on one slot."""

    store: Store
    space: Space
    facts: Facts
    lab: Lab
    propose: Propose
    heart: Heart
    costs: Costs
    spool: Spool | None = None
    offered: Offered | None = None

    @property
    def worker(self) -> str:
        return self.heart.worker.id

    @property
    def grids(self) -> dict[str, int]:
        return strategies.grids(self.space)

    def run(self, slot: Slot) -> None:
        """From wherever the slot stands to its end."""
        try:
            if slot.kind == "baseline":
                self.baseline(slot)
                return
            if not slot.kind:
                slot = self.decide(slot)
                failpoint("after-decide")
            self.trial(slot)
        except Broken as broken:
            self.finish(slot, "failed", task=broken.task, cause=broken.cause)
        except (NothingLeft, CellError) as error:
            self.finish(slot, "failed", cause=str(error))

    def baseline(self, slot: Slot) -> None:
        """A seed on a piece of the grid of one task."""
        outcomes = self.stage(slot, self.cell(slot.fingerprint), slot.task, 0)
        if any(outcome.status == "done" for outcome in outcomes):
            self.finish(slot, "baseline", task=slot.task)
        else:
            self.finish(slot, "failed", task=slot.task, cause=first_cause(outcomes))

    def decide(self, slot: Slot) -> Slot:
        """Refine or propose, and what; recorded before anything runs."""
        self.heart.doing = f"trial {self.number(slot)}: choosing a cell"
        rng = np.random.default_rng((self.facts.seed, slot.number, 0))
        decision = strategies.decide(self.space.strategy, self.view(), self.propose, rng)
        name = f"m{self.number(slot)}"  # kept where the cell is new; the fingerprint ignores names
        return slots.decide(
            self.store, self.worker, slot, decision.kind, fingerprint(decision.cell),
            function=functional(decision.cell), name=name, text=show(replace(decision.cell, name=name)),
            parent=decision.parent, edits=decision.edits,
        )  # fmt: skip

    def trial(self, slot: Slot) -> None:
        """The filter and the tasks in turn for a proposal, every task for a refinement."""
        cell = self.cell(slot.fingerprint)
        view = self.view()
        known = view.known(slot.fingerprint)
        if slot.kind == "propose" and not strategies.admitted(view, known):
            assert self.space.filter is not None
            outcomes = self.stage(slot, cell, FILTER, self.space.filter.settings)
            best = max((o.accuracy for o in outcomes if o.accuracy is not None), default=-1.0)
            if best < self.space.filter.accuracy:
                self.finish(slot, "filtered", task=FILTER, cause=first_cause(outcomes))
                return
        all_: list[Outcome] = []
        for task, unit in view.units.items():
            all_ += self.stage(slot, cell, task, self.space.strategy.settings)
            stages = queries.recorded_stages(self.store, among=[slot.fingerprint])
            reached = ranking.bests(stages).get(slot.fingerprint, {}).get(task)
            passed = known.seed or ranking.passed(reached, unit, self.space.strategy.threshold)
            if slot.kind == "propose" and not passed:
                self.close(slot, "filtered", task, all_)
                return
        if slot.kind == "propose":
            costs.note(self.store, slot.fingerprint, cell, self.space.limits.width)
        self.close(slot, "ranked", "", all_)

    def close(self, slot: Slot, outcome: str, task: str, outcomes: Sequence[Outcome]) -> None:
        """Ends a trial that was evaluated: it has failed only where not one of its settings could be
        trained."""
        if outcomes and not any(o.status == "done" for o in outcomes):
            outcome = "failed"
        self.finish(slot, outcome, task=task, cause=first_cause(outcomes))

    def stage(self, slot: Slot, cell: Cell, task: str, count: int) -> tuple[Outcome, ...]:
        """The outcomes of a stage: those on record, or `count` settings claimed, trained and committed.

        A stage of the baseline has its claims from the start. A stage that failed as a whole, and not for
        the numbers that came out, is a Broken.
        """
        done = slots.recorded(self.store, slot)
        if task in done:
            return judged(task, done[task])
        choose = chooser(self.store, self.space, self.facts, slot, task, count)
        if self.offered is not None:
            choose = among(self.offered(slot.fingerprint, task), self.grids[task], choose)
        claimed = patiently(lambda: slots.claim(self.store, self.worker, slot, task, choose))
        failpoint("after-claim")
        if not claimed:
            return ()
        label = f"{self.label(slot)} {cell.name} on {task}"
        self.heart.doing = f"{label}: {len(claimed)} setting{'s' * (len(claimed) > 1)}"

        kept = self.spool.find(slot, task, claimed) if self.spool else None
        outcomes, seconds = kept or self.train(slot, cell, task, claimed, label)
        assert tuple(o.setting for o in outcomes) == claimed, "one outcome for each setting, in order"
        failpoint("after-evaluate")
        self.record(slot, task, outcomes, seconds, label)
        failpoint("after-commit")
        return judged(task, outcomes)

    def train(
        self, slot: Slot, cell: Cell, task: str, claimed: Sequence[int], label: str
    ) -> tuple[tuple[Outcome, ...], float]:
        """What came out of a stage, and the seconds it took."""
        hours = self.space.budget.stage_hours
        lost = overdue(claimed, hours)
        deadline = Deadline(
            3600 * hours, lambda: self.give_up(slot, task, lost, 3600 * hours), self.heart.end
        )

        def say(text: str) -> None:
            self.heart.doing = f"{label}: {text}"
            deadline.check()

        start = time.monotonic()
        self.heart.deadline = deadline
        try:
            with deadline:
                found = self.lab.evaluate(cell, task, claimed, self.facts.seed, say)
            outcomes = tuple(checked(outcome) for outcome in found)
        except Overdue:
            outcomes = lost
        return outcomes, time.monotonic() - start

    def record(self, slot: Slot, task: str, outcomes: Sequence[Outcome], seconds: float, label: str) -> None:
        """Commits a stage, once the database answers; until then it is in the spool. It stays there where the
        database refuses (its disk is full, the password was changed): the next worker finds it."""

        def commit() -> None:
            slots.commit(self.store, self.worker, slot, task, outcomes, seconds)

        try:
            commit()
        except RunError as error:
            self.heart.doing = f"{label}: trained; the database is away"
            if self.spool is not None:
                try:
                    self.spool.keep(slot, task, outcomes, seconds)
                except RunError as failure:  # it is still in memory
                    with suppress(OSError):  # the same disk may hold what is said here
                        print(f"{error}\n{failure}", file=sys.stderr, flush=True)
            if not isinstance(error, Unavailable):
                raise
            patiently(commit)
        if self.spool is not None:
            self.spool.forget(slot, task)

    def give_up(self, slot: Slot, task: str, lost: Sequence[Outcome], seconds: float) -> None:
        """Records that a stage failed which does not end, from the thread of the heartbeat."""
        with suppress(Lost):  # then another worker has the slot by now
            slots.commit(self.store, self.worker, slot, task, lost, seconds)
            slots.finish(
                self.store, self.worker, slot, "failed",
                task=task, cause=first_cause(lost), failures=self.space.strategy.failures,
            )  # fmt: skip

    def view(self) -> View:
        """The records as decisions read them."""
        view = views.look(self.store, self.space, self.facts, self.costs)
        return view if self.offered is None else views.limited(view, self.offered)

    def cell(self, fingerprint: str) -> Cell:
        """A recorded cell."""
        return parse(cellrecords.recorded_cells(self.store, [fingerprint])[0].text)

    def number(self, slot: Slot) -> int:
        """Trials count from 1, after the baseline."""
        return slot.number - self.facts.baseline_slots + 1

    def label(self, slot: Slot) -> str:
        return "baseline:" if slot.kind == "baseline" else f"trial {self.number(slot)}: {slot.kind}"

    def finish(self, slot: Slot, outcome: str, *, task: str = "", cause: str = "") -> None:
        """Ends the slot, with the score of its cell so far."""
        score = None
        if slot.kind != "baseline" and outcome != "failed":
            found = ranking.bests(queries.recorded_stages(self.store, among=[slot.fingerprint]))
            score = ranking.score(found.get(slot.fingerprint, {}), self.facts.units)
        patiently(
            lambda: slots.finish(
                self.store, self.worker, slot, outcome,
                task=task, cause=cause, score=score, failures=self.space.strategy.failures,
            )
        )  # fmt: skip
        failpoint("after-finish")
