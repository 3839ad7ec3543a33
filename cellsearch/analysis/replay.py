"""Compare strategies on the recorded results of a search, without training.

In: a study whose baseline is done, strategies by name. Out: a `Replay`: for each strategy a curve a repeat,
of the best score against the share spent of what all recorded evaluations cost.

The real worker runs on a database in memory. Three things are not those of a search:

- a setting is looked up, and only recorded settings of a cell can be asked for;
- a mutant is drawn among the recorded cells: evenly among those that were proposed from the parent and have
  a setting left to run, and where there are none, evenly among all cells that have;
- a replay ends when it has spent its share, or when nothing is left.

So it is a game on a table of so many cells, not a search of the open space. It tells how fast a strategy
finds what is in the table, under its own noise of settings and draws. It cannot tell what the strategy would
have found outside, and the table leans to whoever made it: all cells descend from those that were chosen
then, so that even a draw at random profits from that choice.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from sqlalchemy import select

from cellsearch.analysis.cost_curve import Amounts, Curve, cost, curve
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError, RunError
from cellsearch.study import strategies
from cellsearch.study.space import Space, parse_space
from cellsearch.study.space.model import grids
from cellsearch.study.states import Ending, Kind
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.create import create
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.studies import Study
from cellsearch.study.tables import cellrecords, records
from cellsearch.study.tables.schema import items, stages
from cellsearch.study.tables.study_facts import Identity, Seed, Target
from cellsearch.study.tables.transactions import reading
from cellsearch.study.tables.work_items import outcomes_of
from cellsearch.study.workers.evaluator import Say
from cellsearch.study.workers.worker import work
from cellsearch.train.outcome import Outcome, Status

MEMORY = "sqlite://"
ENDLESS = 1_000_000_000  # trials: what ends a replay is its cost


@dataclass(frozen=True, slots=True)
class Table:
    """The recorded evaluations of a study."""

    cells: Mapping[str, Cell]  # by fingerprint
    seeds: Sequence[Seed]
    children: Mapping[str, Sequence[str]]  # fingerprint -> what was proposed from it
    outcomes: Mapping[tuple[str, str], Mapping[str, Outcome]]  # fingerprint and stage -> setting -> outcome
    floors: Mapping[str, float]
    digests: Mapping[str, str]
    score: float | None  # the best of a ranked cell, the seeds left out
    mutants: Sequence[str]  # the cells that are no seeds, in the order in which they were met


@dataclass(frozen=True, slots=True)
class Replay:
    """What came out: the curves of each strategy, all repeats."""

    cells: int  # in the table, the seeds left out
    settings: int  # recorded of those
    spent: int  # what these cost in the recording
    score: float | None  # the best in the table
    curves: Mapping[str, Sequence[Curve]]

    def best(self, strategy: str, share: float) -> list[float | None]:
        """The best score of each repeat once `share` of the recorded cost was spent."""
        return [found.best(share * self.spent) for found in self.curves[strategy]]


def table(study: Study) -> Table:
    """The recorded evaluations, of all trials. Stages of one cell in several trials are put together."""
    store, units = study.store, study.facts.baseline
    if units is None:
        raise RunError(
            f"the baseline of {study.facts.name!r} is not done, so there is nothing to replay yet\n"
            f"continue it: cellsearch search … --name {study.facts.name}"
        )
    found = cellrecords.recorded_cells(store)
    cells = {record.fingerprint: parse(record.text) for record in found}
    seeds = [
        Seed(record.name, record.fingerprint, functional_fingerprint(cells[record.fingerprint]), record.text)
        for record in found if record.seed
    ]  # fmt: skip
    outcomes: dict[tuple[str, str], dict[str, Outcome]] = {}
    children: dict[str, dict[str, None]] = {}
    ranked: list[float] = []
    own = {seed.fingerprint for seed in seeds}
    with reading(store.engine, store.url) as connection:
        query = select(stages.c.fingerprint, stages.c.task, stages.c.outcomes)
        first = (stages.c.study == store.study, stages.c.task.in_(list(grids(study.space))))  # no repeats
        for row in connection.execute(query.where(*first).order_by(stages.c.trial)):
            here = outcomes.setdefault((row.fingerprint, row.task), {})
            here.update({outcome.setting: outcome for outcome in outcomes_of(row.outcomes)})
        made = items.c.kind.in_((Kind.PROPOSE, Kind.REFINE))
        trials = select(items).where(items.c.study == store.study, made)
        for row in connection.execute(trials.order_by(items.c.trial)):
            if row.kind == Kind.PROPOSE and row.fingerprint not in own:
                children.setdefault(row.parent, {})[row.fingerprint] = None
            if row.outcome == Ending.RANKED and row.score is not None and row.fingerprint not in own:
                ranked.append(row.score)
    return Table(
        cells, seeds, {parent: tuple(marks) for parent, marks in children.items()}, outcomes,
        {task: unit.floor for task, unit in units.items()}, study.facts.data, max(ranked, default=None),
        [mark for mark in cells if mark not in own],
    )  # fmt: skip


@dataclass(slots=True)
class Player:
    """A evaluator that looks results up, and the mutation that goes with it."""

    table: Table
    space: Space
    amounts: Amounts
    limit: float  # multiply-adds
    end: Callable[[], None]  # called when they are spent, or nothing is left
    left: dict[str, int] = field(default_factory=dict)  # fingerprint -> recorded settings not asked for yet
    spent: int = 0
    seeds: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.seeds = frozenset(seed.fingerprint for seed in self.table.seeds)
        for (mark, _), outcomes in self.table.outcomes.items():
            self.left[mark] = self.left.get(mark, 0) + len(outcomes)

    def digests(self) -> Mapping[str, str]:
        return self.table.digests

    def floor(self, task: str) -> float:
        return self.table.floors[task]

    def offered(self, mark: str, stage: str) -> Collection[str]:
        """The settings of a cell that can be asked for."""
        return self.table.outcomes.get((mark, stage), {}).keys()

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
    ) -> Sequence[Outcome]:
        """What was recorded, and its cost added up; that of the seeds is common to all."""
        mark = fingerprint(cell)
        known = self.table.outcomes.get((mark, task), {})
        missing = Outcome("", Status.FAILED, None, None, 0, 0, 0, "not in the recording")
        found = [known.get(setting, replace(missing, setting=setting)) for setting in settings]
        self.left[mark] = self.left.get(mark, 0) - len(found)
        if mark not in self.seeds:
            self.spent += cost(cell, grids(self.space)[task], self.amounts[task], found)
            if self.spent >= self.limit:
                self.end()
        return found

    def propose(self, cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]:
        """A recorded cell, by the rule of the module."""
        near = [mark for mark in self.table.children.get(fingerprint(cell), ()) if self.left.get(mark)]
        among = near or [mark for mark in self.table.mutants if self.left.get(mark)]
        if not among:
            self.end()
            raise CellError("every recorded setting is run")
        return self.table.cells[among[int(rng.integers(len(among)))]], []


def play(
    study: Study, found: Table, data: Amounts, space: Space, seed: int, limit: float, trials: int = ENDLESS
) -> Curve:
    """One strategy once, until it has spent `limit` or `trials` have ended; `seed` decides what it draws."""
    identity = Identity(space.text, seed, found.digests)
    store = create(
        MEMORY, study.facts.name, space, identity, study.facts.program, Target(trials), found.seeds
    )
    player = Player(found, space, data, limit, lambda: records.halt(store))
    space = replace(space, budget=replace(space.budget, patience=None))  # cost alone ends a replay
    heart = Heart(store, heartbeat.myself("worker"), space.strategy.failures)
    try:
        work(store, space, player, player.propose, heart, offered=player.offered)
        whole = curve(store, space, seed, data)
    finally:
        store.engine.dispose()
    points = tuple(point for point in whole.points if point.fingerprint)  # the others found nothing to run
    return replace(whole, points=points)


def replay(
    study: Study,
    data: Amounts,
    names: Sequence[str] = tuple(strategies.STRATEGIES),
    seeds: Sequence[int] = range(1, 6),
    trials: int = ENDLESS,
    overrides: Sequence[str] = (),
    tell: Callable[[str, int], None] = lambda name, number: None,
) -> Replay:
    """Each of the strategies `names` on the records of `study`, once for each of `seeds`, with the options of
    its space.

    `overrides` change these, as in "strategy.sample=3". `tell` is called before each repeat, with its number.
    """
    found = table(study)
    curves: dict[str, Sequence[Curve]] = {}
    mutants = frozenset(found.mutants)
    if not mutants:
        raise RunError(f"{study.facts.name!r} has no trial yet: there is nothing to replay")
    spaces = {name: _space(study, name, overrides) for name in names}
    known = grids(study.space)
    spent = sum(
        cost(found.cells[mark], known[stage], data[stage], outcomes.values())
        for (mark, stage), outcomes in found.outcomes.items() if mark in mutants
    )  # fmt: skip
    for name, space in spaces.items():
        played = []
        for number, seed in enumerate(seeds, 1):
            tell(name, number)
            played.append(play(study, found, data, space, seed, spent, trials))
        curves[name] = played
    settings = sum(len(outcomes) for (mark, _), outcomes in found.outcomes.items() if mark in mutants)
    return Replay(len(mutants), settings, spent, found.score, MappingProxyType(curves))


def _space(study: Study, name: str, overrides: Sequence[str]) -> Space:
    """The space of the recording with another strategy: nothing else may differ, or its records would not
    hold."""
    chosen = parse_space(study.facts.space, "space.yaml", [*overrides, f"strategy.name={name}"])
    if replace(chosen, strategy=study.space.strategy) != study.space:
        raise RunError("a replay can change only the strategy of its space: --set strategy.…")
    for key in ("threshold", "baseline", "margin"):
        if getattr(chosen.strategy, key) != getattr(study.space.strategy, key):
            raise RunError(f"strategy.{key} decided what was recorded; a replay cannot change it")
    return replace(chosen, strategy=replace(chosen.strategy, repeats=0))  # a table has one training of each
