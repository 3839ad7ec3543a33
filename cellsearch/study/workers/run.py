"""A search on this machine: creates or continues the study, keeps its workers running, shows progress, shuts
down cleanly.

Everything except the exit code is in the records. The supervisor trains and decides nothing: a kill, with or
without its workers, loses nothing.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.text import show
from cellsearch.errors import RunError, UsageError, printable
from cellsearch.files import own_folder, refuse_links, write_text
from cellsearch.study.leaderboard import events
from cellsearch.study.leaderboard.progress import Progress
from cellsearch.study.space import Space, check_seeds, difference, parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system import processes
from cellsearch.study.system.signals import listening
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables import database, integrity, records
from cellsearch.study.tables.outbox import OUTBOX
from cellsearch.study.tables.study_facts import Identity, Seed, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.pool import WORKER, Pool, WorkerConfig, places
from cellsearch.study.workers.search_supervisor import SearchSupervisor
from cellsearch.version import version

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.ASCII)
LOCK = "search.lock"


TRIALS = 40  # trials of a search without a budget
Digests = Callable[[int], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Options:
    """How a search runs on this machine; does not affect results."""

    storage: str | None = None  # default: SQLite in the directory of the study
    workers: int | None = 1  # workers per device; None: as many as fit
    devices: Sequence[str] = ("cpu",)
    data: str | None = None
    trials: int | None = None  # totals, not additions
    proposals: int | None = None
    seconds: float | None = None
    results: Path = Path("results")
    command: Sequence[str] = WORKER  # command of a process that reads its configuration from standard input
    timing: Timing = TIMING
    given: Sequence[str] = ()  # the words of the command, without a password; recorded


def directory(results: Path, name: str) -> Path:
    """The folder of a study; its name must be a valid file name on every system."""
    if not NAME.match(name) or name.endswith("."):
        raise UsageError(
            f"{printable(name)!r} cannot name a study; use letters, digits, '-', '_' and '.', at most 100"
        )
    return results / name


def default_url(results: Path, name: str) -> str:
    """The SQLite database of a study."""
    return database.url_of(directory(results, name) / "study.db")


def search(
    space: Space,
    name: str,
    digests: Digests,
    options: Options,
    seed: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> int:
    """Starts or continues the study `name`; returns at its target, its time limit, or on a signal. `digests`
    maps a seed to the digests of data on this machine by stage name. Returns 0, or 128 + number of the signal
    that ended it (130 for Ctrl-C, 143 for SIGTERM). Raises RunError if the search cannot start or continue.
    """
    folder = directory(options.results, name)
    own = (options.results, folder, folder / "cells", folder / "logs")
    new = [one for one in own if not os.path.lexists(one)]
    for one in own[1:]:
        own_folder(one)
    written = (folder / one for one in (OUTBOX, "space.yaml", "study.db", f"logs/{events.NAME}"))
    refuse_links(*written)  # opening it raises the error
    with processes.exclusive(folder / LOCK, f"the search {name!r}"):
        try:
            store = start(space, name, digests, options, seed)
        except BaseException:
            _remove(new)
            raise
        try:
            if options.given:
                records.remember(store, options.given)
            write_text(folder / "space.yaml", records.facts(store).space)
            me = heartbeat.myself("search")
            config = WorkerConfig(name, store.url, "cpu", options.data, str(folder / OUTBOX), me.id)
            where, logs = places(options.devices, options.workers), folder / "logs"
            pool = Pool(where, config, options.command, logs, timing=options.timing)
            with listening() as signals:
                supervisor = SearchSupervisor(store, space, me, pool, folder, options.seconds, progress)
                return supervisor.run(signals)
        finally:
            database.settle(store.engine)


def _remove(new: Sequence[Path]) -> None:
    """Removes the folders created by a search that failed to start, unless they are in use or not empty."""
    for folder in reversed(new):
        with suppress(OSError):
            if [one.name for one in folder.iterdir()] == [LOCK]:  # held by this process
                (folder / LOCK).unlink()
            folder.rmdir()


def start(space: Space, name: str, digests: Digests, options: Options, seed: int | None) -> Store:
    """The study: a new one, or an existing one with the same conditions."""
    url = options.storage or default_url(options.results, name)
    store = records.find(url, name, timing=options.timing)
    target = target_of(space, options)
    if store is None:
        if options.storage is None:  # a copied folder has a study of another name
            records.refuse_copy(url, name)
        # imported here: it loads Optuna, which readers of a study do without
        from cellsearch.study.storage.create import create

        chosen = seed if seed is not None else 1
        identity = Identity(space.text, chosen, digests(chosen))
        return create(url, name, space, identity, version(), target, seeds_of(space), options.timing)
    integrity.intact(store)
    known = records.facts(store)
    chosen = seed if seed is not None else known.seed
    identity = Identity(space.text, chosen, digests(chosen))
    records.check_identity(known, identity, difference(parse_space(known.space), space))
    records.extend(store, target, space.text)
    return store


def target_of(space: Space, options: Options) -> Target:
    """The target of a search: totals of the command line, or else of the space."""
    if options.trials is not None or options.proposals is not None:
        return Target(options.trials, options.proposals)
    return budget_of(space)


def budget_of(space: Space) -> Target:
    """The totals of a space."""
    budget = space.budget
    if budget.trials is None and budget.proposals is None:
        return Target(TRIALS)
    return Target(budget.trials, budget.proposals)


def seeds_of(space: Space) -> list[Seed]:
    """The seeds by label. Raises RunError if two are the same cell or the same function."""
    found: dict[str, Seed] = {}
    for label, cell in check_seeds(space).items():
        seed = Seed(label, fingerprint(cell), functional_fingerprint(cell), show(cell))
        if seed.function in found:
            other = found[seed.function]
            what = "cell" if other.fingerprint == seed.fingerprint else "function (equivalent cells)"
            raise RunError(f"the seeds {other.name!r} and {label!r} are the same {what}; remove one")
        found[seed.function] = seed
    return list(found.values())
