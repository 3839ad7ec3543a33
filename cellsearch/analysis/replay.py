"""Compare strategies on the recorded results of a search, without training.

Takes a study with a finished baseline and strategies by name. Returns a `Replay`: for each strategy and
repeat a curve of the best score against the spent share of the cost of all recorded evaluations.

The real worker runs on a database in memory. A replay differs from a search in three points:

- a setting is looked up, and only recorded settings of a cell are available;
- a mutant is drawn among the recorded cells: uniformly among those proposed from the parent with unused
settings, or, if there are none, uniformly among all cells with unused settings;
- a replay ends after spending its share, or without an unused setting.

So a replay searches a finite table of cells, not the open space. It measures how fast a strategy finds the
best cells of the table, with the noise of its settings and draws. It cannot measure cells outside the table,
and the table is biased towards the strategy that recorded it: all cells descend from its selected cells, so
even a random draw profits from that selection.
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
ENDLESS = 1_000_000_000  # trials: only its cost ends a replay


@dataclass(frozen=True, slots=True)
class Table:
    """The recorded evaluations of a study."""

    cells: Mapping[str, Cell]  # by fingerprint
    seeds: Sequence[Seed]
    children: Mapping[str, Sequence[str]]  # fingerprint -> its proposed children
    outcomes: Mapping[tuple[str, str], Mapping[str, Outcome]]  # fingerprint and stage -> setting -> outcome
    floors: Mapping[str, float]
    digests: Mapping[str, str]
    score: float | None  # the best of a ranked cell, without the seeds
    mutants: Sequence[str]  # cells other than seeds, in order of first use


@dataclass(frozen=True, slots=True)
class Replay:
    """The result: the curves of each strategy, all repeats."""

    cells: int  # in the table, without the seeds
    settings: int  # recorded for these cells
    spent: int  # their cost in the recording
    score: float | None  # the best in the table
    curves: Mapping[str, Sequence[Curve]]

    def best(self, strategy: str, share: float) -> list[float | None]:
        """The best score of each repeat once `share` of the recorded cost was spent."""
        return [found.best(share * self.spent) for found in self.curves[strategy]]


def table(study: Study) -> Table:
    """The recorded evaluations of all trials. Stages of one cell in several trials are merged."""
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
    """An evaluator that looks results up, and its mutation."""

    table: Table
    space: Space
    amounts: Amounts
    limit: float  # multiply-adds
    end: Callable[[], None]  # called when they are spent, or without an unused setting
    left: dict[str, int] = field(default_factory=dict)  # fingerprint -> unused recorded settings
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
        """The available settings of a cell."""
        return self.table.outcomes.get((mark, stage), {}).keys()

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
    ) -> Sequence[Outcome]:
        """The recorded outcomes; adds up their cost, except that of the seeds, which all strategies share."""
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
    """One strategy once, until it has spent `limit` or `trials` have ended; `seed` is its random seed."""
    identity = Identity(space.text, seed, found.digests)
    store = create(
        MEMORY, study.facts.name, space, identity, study.facts.program, Target(trials), found.seeds
    )
    player = Player(found, space, data, limit, lambda: records.halt(store))
    space = replace(space, budget=replace(space.budget, patience=None))  # only cost ends a replay
    heart = Heart(store, heartbeat.myself("worker"), space.strategy.failures)
    try:
        work(store, space, player, player.propose, heart, offered=player.offered)
        whole = curve(store, space, seed, data)
    finally:
        store.engine.dispose()
    points = tuple(point for point in whole.points if point.fingerprint)  # the others found no setting to run
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
    """The space of the recording with another strategy: any other difference would invalidate its records."""
    chosen = parse_space(study.facts.space, "space.yaml", [*overrides, f"strategy.name={name}"])
    if replace(chosen, strategy=study.space.strategy) != study.space:
        raise RunError("a replay can change only the strategy of its space: --set strategy.…")
    for key in ("threshold", "baseline", "margin"):
        if getattr(chosen.strategy, key) != getattr(study.space.strategy, key):
            raise RunError(f"strategy.{key} decided what was recorded; a replay cannot change it")
    return replace(chosen, strategy=replace(chosen.strategy, repeats=0))  # a table has one training of each
