"""The searches there are, by name: found under `results/` or in a database, opened read-only with their
space.

In: a name and, where its database is not the usual file, a storage URL. Out: an open study, or a RunError
with the names that there are.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cellsearch.errors import CellsearchError, RunError, UsageError, did_you_mean, printable
from cellsearch.study.space import Space, parse_space
from cellsearch.study.tables import database, integrity, records
from cellsearch.study.tables.study_facts import Facts
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import default_url, directory

RESULTS = Path("results")
FEW = 10  # folders that are listed one by one
Tell = Callable[[str], object]
_FILES = ("study.db", "study.db-wal")  # SQLite writes to the second first


@dataclass(frozen=True, slots=True)
class Study:
    """A search that is open for reading."""

    store: Store
    facts: Facts
    space: Space


@dataclass(frozen=True, slots=True)
class Searches:
    """What there is: open searches, the one that was written to last first; and for each other folder that
    has a database one line, why it was not read."""

    stores: tuple[Store, ...]
    unread: tuple[str, ...]


def listed(results: Path = RESULTS) -> list[str]:
    """The names of the folders in `results` that have a database, the one that was written to last first."""
    return [name for name in folders(results) if _directory(results, name)]


def folders(results: Path = RESULTS) -> list[str]:
    """All folders in `results` that have something called study.db, also those no search can have as its
    name; the one that was written to last first."""
    found = []
    try:
        for folder in results.iterdir():
            if folder.name.startswith("."):  # no search is called so: a file of the system, or temporary
                continue
            if os.path.lexists(folder / _FILES[0]):
                found.append((-(written(folder) or 0.0), folder.name))
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


def found(storage: str | None = None, results: Path = RESULTS) -> Searches:
    """The searches in a database, or those in `results`. A folder that is none does not keep the others from
    being read."""
    if storage is not None:
        return Searches(tuple(in_storage(storage)), ())
    stores, unread = [], []
    for name in folders(results):
        try:
            stores.append(_in_folder(results, name))
        except CellsearchError as error:
            unread.append(line_of(str(results / name), error))
    return Searches(tuple(stores), tuple(unread))


def in_storage(storage: str) -> list[Store]:
    """All searches in a database."""
    engine = database.connect(storage, read_only=True)
    known = records.bound(engine, storage)
    return [Store(engine, storage, id, name) for name, id in known.items()]


def line_of(where: str, error: CellsearchError) -> str:
    """One line of what is wrong at a place."""
    first = str(error).partition("\n")[0]
    for known in (f"sqlite:///{where}/{_FILES[0]}: ", f"{where}/", f"{printable(where)}: "):
        first = first.removeprefix(known)
    return f"{printable(where)}: {printable(first, 300)}"


def opened(
    name: str, storage: str | None = None, results: Path = RESULTS, copies: Tell | None = None
) -> Study:
    """The search called `name`. With `copies` also the one in a copy of the folder of another search, which
    goes by its own name; `copies` is called with what there is to say about it."""
    if storage is None:
        return read(_in_folder(results, name, copies))
    return read(records.open_study(storage, name, read_only=True))


def read(store: Store) -> Study:
    """An open search with its space."""
    facts = records.facts(store)
    return Study(store, facts, parse_space(facts.space, f"{store.name}/space.yaml"))


def located(name: str, results: Path = RESULTS) -> Path:
    """The folder of the search `name`; a RunError with the names that there are where there is none."""
    folder = _directory(results, name)
    if folder is not None and os.path.lexists(folder / _FILES[0]):
        return folder
    if folder is None and name in folders(results):
        raise RunError(f"{printable(str(results / name))}: this folder cannot be that of a search; rename it")
    there = listed(results)
    hint = did_you_mean(name, there)
    known = f"there: {', '.join(there[:20])}" if there else "start one with `cellsearch search quick`"
    elsewhere = " (its database is elsewhere: give --storage URL)" if folder and folder.is_dir() else ""
    where = printable(str(results.absolute()))
    raise RunError(f"there is no search '{printable(name, 60)}' in {where}{elsewhere}\n{hint}{known}")


def _in_folder(results: Path, name: str, copies: Tell | None = None) -> Store:
    """The search of a folder of `results`; a RunError where there is none. Another one is read where there
    are `copies`, and else refused."""
    folder = located(name, results)
    url = default_url(results, name)
    engine = database.connect(url, read_only=True)
    bound = records.bound(engine, url)
    if name in bound:
        return Store(engine, url, bound[name], name)
    if copies and len(bound) == 1:
        ((own, number),) = bound.items()
        where, held = printable(str(folder)), printable(own)
        copies(
            f"{where} was copied or renamed: it holds the search {held}, read only\n"
            f"to go on with it, rename the folder to {held}"
        )
        return Store(engine, url, number, own)
    engine.dispose()
    records.refuse_copy(url, name, bound)
    file = printable(str(folder / _FILES[0]))
    raise RunError(
        f"{file} holds no search\nremove it, or start one: `cellsearch search SPACE --name {name}`"
    )


def suspected(name: str | None, storage: str | None = None, results: Path = RESULTS) -> RunError | None:
    """For a program that met what it cannot explain while it read the search `name`, or any: what is damaged
    there, as an error in place of that. None where nothing is."""
    for store in found(storage, results).stores:
        if name in (None, store.name) and (damages := integrity.damages(store)):
            return integrity.damaged(
                f"{database.shown(store.url)}: the search {store.name}", damages, store.url
            )
    return None


def newest(results: Path = RESULTS) -> str:
    """The name of the search that was written to last, by the times of files; the others are not opened."""
    unread = []
    for name in folders(results):
        try:
            _in_folder(results, name).engine.dispose()
        except CellsearchError as error:
            unread.append(line_of(str(results / name), error))
        else:
            return name
    raise nothing(results, unread)


def nothing(results: Path, unread: Sequence[str]) -> RunError:
    """The error where no search can be read."""
    where = printable(str(results.absolute()))
    listed = "".join(f"\n  {line}" for line in unread[:FEW])
    return RunError(
        f"there is no search in {where}{' that can be read:' if listed else ''}{listed}\n"
        "start one with `cellsearch search quick`, or say where one is by --storage"
    )


def _directory(results: Path, name: str) -> Path | None:
    try:
        return directory(results, name)
    except UsageError:
        return None
