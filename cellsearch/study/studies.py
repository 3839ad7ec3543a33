"""The searches there are, by name: found under `results/` or in a database, opened read-only with their
space.

In: a name and, where its database is not the usual file, a storage URL. Out: an open study, or a RunError
with the names that there are.
"""

from dataclasses import dataclass
from pathlib import Path

from cellsearch.errors import RunError, UsageError, did_you_mean, printable
from cellsearch.study.space import Space, parse_space
from cellsearch.study.tables import database, integrity, records
from cellsearch.study.tables.records import Facts
from cellsearch.study.tables.schema import Store
from cellsearch.study.workers.run import default_url, directory

RESULTS = Path("results")
_FILES = ("study.db", "study.db-wal")  # SQLite writes to the second first


@dataclass(frozen=True, slots=True)
class Study:
    """A search that is open for reading."""

    store: Store
    facts: Facts
    space: Space


def listed(results: Path = RESULTS) -> list[str]:
    """The names of the searches in `results`, the one that was written to last first."""
    found = []
    try:
        for folder in results.iterdir():
            if folder.name.startswith("."):  # no search is called so: a file of the system, or temporary
                continue
            if (time := written(folder)) is not None:
                found.append((-time, folder.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {printable(str(results))}: {error.strerror}") from error
    return [name for _, name in sorted(found)]


def written(folder: Path) -> float | None:
    """When the database in a folder was written to last, by the clock of files; None where there is none."""
    known = [file.stat() for file in map(folder.joinpath, _FILES) if file.is_file()]
    times = [file.st_mtime for file in known if file.st_size]  # a reader leaves an empty log
    return max(times) if times and folder.joinpath(_FILES[0]).is_file() else None


def opened(name: str, storage: str | None = None, results: Path = RESULTS) -> Study:
    """The search called `name`."""
    if storage is None:
        located(name, results)
    store = records.open_study(storage or default_url(results, name), name, read_only=True)
    facts = records.facts(store)
    return Study(store, facts, parse_space(facts.space, f"{name}/space.yaml"))


def located(name: str, results: Path = RESULTS) -> None:
    """RunError with the names that there are where `results` has no search `name`."""
    there = listed(results)
    if name in there:
        return
    folder = _directory(results, name)
    hint = did_you_mean(name, there)
    known = f"there: {', '.join(there[:20])}" if there else "start one with `cellsearch search quick`"
    elsewhere = " (its database is elsewhere: give --storage URL)" if folder and folder.is_dir() else ""
    where = printable(str(results.absolute()))
    raise RunError(f"there is no search '{printable(name, 60)}' in {where}{elsewhere}\n{hint}{known}")


def stores(storage: str | None = None, results: Path = RESULTS) -> list[Store]:
    """All searches: those in a database, or those in `results`."""
    if storage is None:
        found = [records.find(default_url(results, name), name, read_only=True) for name in listed(results)]
        return [store for store in found if store is not None]
    engine = database.connect(storage, read_only=True)
    known = records.bound(engine, storage)
    return [Store(engine, storage, id, name) for name, id in known.items()]


def suspected(name: str | None, storage: str | None = None, results: Path = RESULTS) -> RunError | None:
    """For a program that met what it cannot explain while it read the search `name`, or any: what is damaged
    there, as an error to tell instead. None where nothing is."""
    for store in stores(storage, results):
        if name in (None, store.name) and (found := integrity.damages(store)):
            return integrity.damaged(
                f"{database.shown(store.url)}: the search {store.name}", found, store.url
            )
    return None


def newest(results: Path = RESULTS) -> str:
    """The name of the search that was written to last."""
    there = listed(results)
    if not there:
        where = printable(str(results.absolute()))
        raise RunError(
            f"there is no search in {where}\n"
            "start one with `cellsearch search quick`, or say where one is by --storage"
        )
    return there[0]


def _directory(results: Path, name: str) -> Path | None:
    try:
        return directory(results, name)
    except UsageError:
        return None
