"""Find searches by name under `results/` or in a database, and open them read-only with their space.

A search outside `results/` needs a storage URL. An unknown name raises a RunError with the known names.
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
FEW = 10  # maximum number of listed folders
Tell = Callable[[str], object]
_FILES = ("study.db", "study.db-wal")  # SQLite writes to the second one first


@dataclass(frozen=True, slots=True)
class Study:
    """A search opened for reading."""

    store: Store
    facts: Facts
    space: Space


@dataclass(frozen=True, slots=True)
class Searches:
    """Open searches, most recently written first, and a line with the reason for each folder whose database
    cannot be read."""

    stores: tuple[Store, ...]
    unread: tuple[str, ...]


def listed(results: Path = RESULTS) -> list[str]:
    """The names of the folders in `results` with a database, most recently written first."""
    return [name for name in folders(results) if _directory(results, name)]


def folders(results: Path = RESULTS) -> list[str]:
    """All folders in `results` with an entry study.db, including invalid names of searches; most recently
    written first."""
    found = []
    try:
        for folder in results.iterdir():
            if folder.name.startswith("."):  # not a name of a search: a system file or a temporary one
                continue
            if os.path.lexists(folder / _FILES[0]):
                found.append((-(written(folder) or 0.0), folder.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {printable(str(results))}: {error.strerror}") from error
    return [name for _, name in sorted(found)]


def written(folder: Path) -> float | None:
    """Time of the last write to the database in a folder, from file times; None without a database."""
    known = [file.stat() for file in map(folder.joinpath, _FILES) if file.is_file()]
    times = [file.st_mtime for file in known if file.st_size]  # a reader leaves an empty log
    return max(times) if times and folder.joinpath(_FILES[0]).is_file() else None


def found(storage: str | None = None, results: Path = RESULTS) -> Searches:
    """The searches in a database, or those in `results`. An unreadable folder does not affect the others."""
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
    """One line about the error at a place."""
    first = str(error).partition("\n")[0]
    for known in (f"sqlite:///{where}/{_FILES[0]}: ", f"{where}/", f"{printable(where)}: "):
        first = first.removeprefix(known)
    return f"{printable(where)}: {printable(first, 300)}"


def opened(
    name: str, storage: str | None = None, results: Path = RESULTS, copies: Tell | None = None
) -> Study:
    """The search `name`. With `copies` also the one in a copied folder, whose study has another name;
    `copies` receives a message about it."""
    if storage is None:
        return read(_in_folder(results, name, copies))
    return read(records.open_study(storage, name, read_only=True))


def read(store: Store) -> Study:
    """An open search with its space."""
    facts = records.facts(store)
    return Study(store, facts, parse_space(facts.space, f"{store.name}/space.yaml"))


def located(name: str, results: Path = RESULTS) -> Path:
    """The folder of the search `name`. Raises RunError with the known names if there is none."""
    folder = _directory(results, name)
    if folder is not None and os.path.lexists(folder / _FILES[0]):
        return folder
    if folder is None and name in folders(results):
        raise RunError(
            f"{printable(str(results / name))}: this is not a valid name of a search; rename the folder"
        )
    there = listed(results)
    hint = did_you_mean(name, there)
    known = f"there: {', '.join(there[:20])}" if there else "start one with `cellsearch search quick`"
    elsewhere = " (its database is elsewhere: give --storage URL)" if folder and folder.is_dir() else ""
    where = printable(str(results.absolute()))
    raise RunError(f"there is no search '{printable(name, 60)}' in {where}{elsewhere}\n{hint}{known}")


def _in_folder(results: Path, name: str, copies: Tell | None = None) -> Store:
    """The search of a folder of `results`; raises RunError if there is none. A study of another name is read
    with `copies`, else refused."""
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
            f"to continue it, rename the folder to {held}"
        )
        return Store(engine, url, number, own)
    engine.dispose()
    records.refuse_copy(url, name, bound)
    file = printable(str(folder / _FILES[0]))
    raise RunError(
        f"{file} holds no search\nremove it, or start one: `cellsearch search SPACE --name {name}`"
    )


def suspected(name: str | None, storage: str | None = None, results: Path = RESULTS) -> RunError | None:
    """Diagnoses an unexpected error while reading the search `name`, or any search: an error that names the
    damage, or None if nothing is damaged."""
    for store in found(storage, results).stores:
        if name in (None, store.name) and (damages := integrity.damages(store)):
            return integrity.damaged(
                f"{database.shown(store.url)}: the search {store.name}", damages, store.url
            )
    return None


def newest(results: Path = RESULTS) -> str:
    """The name of the most recently written search, by file times; opens no others."""
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
    """The error if no search can be read."""
    where = printable(str(results.absolute()))
    listed = "".join(f"\n  {line}" for line in unread[:FEW])
    return RunError(
        f"there is no search in {where}{' that can be read:' if listed else ''}{listed}\n"
        "start one with `cellsearch search quick`, or give --storage"
    )


def _directory(results: Path, name: str) -> Path | None:
    try:
        return directory(results, name)
    except UsageError:
        return None
