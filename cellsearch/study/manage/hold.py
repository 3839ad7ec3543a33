"""Exclusive access to an idle search: no search process and no worker runs on it meanwhile.

On this machine the lock of the search and the start times of its workers decide. Workers of other machines
are detected by their heartbeats: a changing counter means a live worker.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from cellsearch.errors import RunError, printable
from cellsearch.files import refuse_links
from cellsearch.study import studies
from cellsearch.study.storage import heartbeat
from cellsearch.study.system import processes
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables import database, records
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import default_url, directory

LOOK_SECONDS = 0.5
TEMPORARY = (".restoring-", ".deleting-")  # reserved names of folders in results/
DATABASE, LOCK = "study.db", "search.lock"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Held:
    """An idle search."""

    store: Store
    folder: Path  # folder of its files; may be missing if the database is elsewhere
    inside: bool  # whether its database is in that folder

    @property
    def files(self) -> bool:
        """Whether the folder exists and belongs only to this search."""
        return self.folder.is_dir() and (self.inside or not (self.folder / DATABASE).exists())


@contextmanager
def held(
    name: str,
    storage: str | None,
    results: Path,
    tell: Tell,
    recorded: str | None = None,
    timing: Timing = TIMING,
) -> Iterator[Held]:
    """Holds the search `name`, whose database has the name `recorded` if that differs. Raises RunError if it
    is missing or running."""
    folder = directory(results, name)
    refuse_links(folder, folder / DATABASE)
    if storage is None:
        studies.located(name, results)
    url = storage or default_url(results, name)
    lock = processes.exclusive(folder / LOCK, f"the search {name!r}") if folder.is_dir() else nullcontext()
    with lock:
        store = records.open_study(url, recorded or name, timing=timing)
        try:
            idle(store, tell)
            yield Held(store, folder, same(database.file_of(url), folder / DATABASE))
        finally:
            store.engine.dispose()


def idle(store: Store, tell: Tell) -> None:
    """Raises RunError if a worker or a search runs on a study. Waits for heartbeats from other machines, at
    most until they count as dead; `tell` receives a message about it."""
    wait = store.timing.silent * store.timing.beat
    here, listed = processes.machine(), heartbeat.listed(store)
    living = [worker for worker in listed if worker.host == here and heartbeat.alive(worker)]
    beats = {worker.id: worker.beat for worker in listed if worker.host != here}
    if beats and not living:
        tell(f"waiting up to {wait:.0f} s for heartbeats of {len(beats):,} workers on other machines")
    end = time.monotonic() + wait
    while beats and not living and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        living = [w for w in heartbeat.listed(store) if w.host != here and beats.get(w.id) != w.beat]
    if living:
        names = [f"{worker.host.partition('#')[0]}:{worker.pid}" for worker in living]
        more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
        raise RunError(
            f"the search {store.name!r} is running: {printable(', '.join(names[:5]), 400)}{more}\n"
            "stop it first; `cellsearch status` shows its workers"
        )


def only(store: Store) -> None:
    """Raises RunError if the database has other searches."""
    others = sorted(records.bound(store.engine, store.url).keys() - {store.name})
    if others:
        raise RunError(
            f"{database.shown(store.url)} has other searches too: {printable(', '.join(others), 400)}\n"
            f"name the database: --storage {database.pasted(store.url)}"
        )


def same(file: Path | None, other: Path) -> bool:
    """Whether two paths are the same file."""
    with suppress(OSError):
        return file is not None and file.samefile(other)
    return False


def sweep(results: Path) -> None:
    """Removes the temporary folders of killed processes."""
    for folder in results.iterdir() if results.is_dir() else ():
        if folder.name.startswith(TEMPORARY) and folder.is_dir() and not folder.is_symlink():
            with suppress(RunError, OSError), processes.exclusive(folder / LOCK, "it"):
                shutil.rmtree(folder)
