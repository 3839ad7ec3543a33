"""A search without training: a small space, and a laboratory whose results follow from a hash or from a
table."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sqlalchemy import URL, select

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.dsl.zoo import load
from cellsearch.study.space import Space, parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.create import create
from cellsearch.study.storage.driver import Driver, open_driver
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.storage.queue import take
from cellsearch.study.strategies import Propose
from cellsearch.study.tables import schema, transactions
from cellsearch.study.tables.records import extend, open_study
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers import worker
from cellsearch.study.workers.evaluator import Evaluator, Say
from cellsearch.study.workers.run import seeds_of
from cellsearch.train.outcome import Outcome
from cellsearch.train.settings import keys

TEXT = """\
name: scripted
about: Nothing is trained.
seeds: [lstm, gru]
baseline: gru
strategy: {name: jozefowicz2015, list: 100, refine: 0.5, settings: 4, threshold: 0.9, enough: 420, best: 100}
filter: {task: memorize, settings: 1, accuracy: 0.95}
tasks:
  - {name: arithmetic}
  - {name: xml}
grid: {init_scale: [0.3, 0.7], learning_rate: [0.1, 0.2, 0.5], max_norm: [1, 5], layers: [1], parameters: [100]}
budget: {trials: 12}
"""  # a grid of 12 settings
DIGESTS = {"filter": "f" * 64, "arithmetic": "a" * 64, "xml": "b" * 64}
FLOORS = {"arithmetic": 0.1, "xml": 0.1}

Accuracy = Callable[
    [str, str, int], float | None
]  # fingerprint, stage, setting -> accuracy, None for diverged


def uniform(*parts: object) -> float:
    """A number in [0, 1) that follows from `parts`."""
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


SEEDS = {name: fingerprint(load(name)) for name in ("lstm", "gru")}


def hashed(mark: str, task: str, setting: int) -> float | None:
    """Cells and settings differ by about a third, a few diverge, and half of all filter runs pass."""
    if uniform("diverged", mark, task, setting) < 0.05:
        return None
    if task == "filter":
        return 0.99 if uniform(mark, task, setting) < 0.5 else 0.5
    quality = 0.8 if mark in SEEDS.values() else 0.65 + 0.35 * uniform(mark, task)
    return quality * (0.7 + 0.3 * uniform(mark, task, setting))


@dataclass
class Scripted:
    """A `Evaluator` that looks results up and remembers what was run."""

    accuracy: Accuracy = hashed
    floors: Mapping[str, float] = field(default_factory=lambda: FLOORS)
    data: Mapping[str, str] = field(default_factory=lambda: DIGESTS)
    runs: list[tuple[str, str, int]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda mark, task: None
    places: Callable[[str], Mapping[str, int]] = lambda task: PLACES  # key -> place in the grid of a stage

    def digests(self) -> Mapping[str, str]:
        return self.data

    def floor(self, task: str) -> float:
        return self.floors[task]

    def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> list[Outcome]:
        mark = fingerprint(cell)
        self.before(mark, task)
        say("epoch 1")
        outcomes = []
        for key in settings:
            setting = self.places(task)[key]
            self.runs.append((mark, task, setting))
            accuracy = self.accuracy(mark, task, setting)
            if accuracy is None:
                outcomes.append(Outcome(key, "diverged", None, None, 1, 8, 100, "loss non-finite in epoch 1"))
            else:
                outcomes.append(Outcome(key, "done", accuracy, 1 - accuracy, 3, 8, 100 + setting))
        return outcomes


def variant(number: int) -> Cell:
    """Cell number so-and-so of a family of different ones."""
    return parse(f"cell variant(x; h)\nh' = tanh[x, h, bias={number}]\n")


def one_of(count: int) -> Propose:
    """Proposes one of `count` cells, whatever the parent is: with few of them, known cells come again."""

    def propose(cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]:
        number = int(rng.integers(count))
        return variant(number), [{"to": number}]

    return propose


def space_of(**changes: Any) -> Space:
    """The space above with keys of its strategy changed."""
    return parse_space(TEXT, overrides=[f"strategy.{key}={value}" for key, value in changes.items()])


PLACES = keys(space_of().tasks[0].grid)  # key -> place in the grid, the same for the filter and every task
KEYS = tuple(PLACES)


def new_study(
    folder: Path,
    space: Space,
    trials: int | None = 12,
    seed: int = 1,
    name: str = "s",
    proposals: int | None = None,
) -> Store:
    """A study in `folder`."""
    url = URL.create("sqlite", database=str(folder / "study.db")).render_as_string()
    identity = Identity(space.text, seed, DIGESTS)
    return create(url, name, space, identity, "test", Target(trials, proposals), seeds_of(space))


def based(folder: Path, space: Space, trials: int | None = 12, proposals: int | None = None) -> Store:
    """A study in `folder` whose baseline is done; the same for each space, so it is made once."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.db"
    file.write_bytes(_based(space.text))
    store = open_study(URL.create("sqlite", database=str(file)).render_as_string(), "s")
    extend(store, Target(trials, proposals))
    return store


@lru_cache
def _based(text: str) -> bytes:
    space = parse_space(text)
    with TemporaryDirectory() as folder:
        store = new_study(Path(folder), space, trials=0)
        work(store, space, Scripted(), one_of(1))
        store.engine.dispose()
        return (Path(folder) / "study.db").read_bytes()


def drivers(store: Store) -> Callable[[str], Driver]:
    """The driver of each worker by its id."""
    return lru_cache(lambda worker: open_driver(store, worker))


def take_one(driver: Driver) -> Item:
    """The one item that the worker of `driver` gets."""
    taken = take(driver)
    assert isinstance(taken, list)
    (item,) = taken
    return item


def items_of(store: Store, *kinds: str) -> list[Any]:
    """The work items of these kinds, of proposals and refinements where none is named, in order."""
    items = schema.items
    query = select(items).where(
        items.c.study == store.study, items.c.kind.in_(kinds or ("propose", "refine", ""))
    )
    with transactions.reading(store.engine, store.url) as connection:
        return list(connection.execute(query.order_by(items.c.trial, items.c.piece)))


def work(store: Store, space: Space, lab: Evaluator, propose: Propose) -> None:
    """One worker in this process, until nothing is left."""
    heart = Heart(store, heartbeat.myself("worker"), space.strategy.failures)
    worker.work(store, space, lab, propose, heart)


def searched(
    folder: Path, lab: Evaluator, space: Space, propose: Propose, trials: int = 12, seed: int = 1
) -> Store:
    """A whole search in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    store = new_study(folder, space, trials, seed)
    work(store, space, lab, propose)
    return store
