"""Rename or delete a search: its files in `results/`, our tables and Optuna's together.

The database changes in one transaction. The folder follows: the same command completes a rename that was
interrupted between the two, and a deleted folder is renamed before its files go.
"""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from cellsearch.errors import RunError, UsageError, printable
from cellsearch.files import reason, sync_folder
from cellsearch.study.manage.hold import DATABASE, Held, Tell, held, only, sweep
from cellsearch.study.studies import located
from cellsearch.study.tables import database, records
from cellsearch.study.tables.sqlite import backups
from cellsearch.study.tables.sqlite.files import backup_of
from cellsearch.study.tables.transactions import writing
from cellsearch.study.workers.run import default_url, directory


def rename(old: str, new: str, storage: str | None, results: Path, tell: Tell) -> None:
    """Renames the search `old`. Raises RunError, without any change, if it is missing or running, or if the
    name is taken."""
    target = directory(results, new)
    if new == old:
        raise UsageError(f"the search is already called {old!r}")
    recorded = old if storage is not None else _recorded(old, new, results)
    with held(old, storage, results, tell, recorded) as search:
        if search.files and os.path.lexists(target):
            raise RunError(f"{printable(str(target))} already exists\nchoose another name")
        if search.inside:
            only(search.store)
        if recorded != new:
            _renamed(search, new)
        database.settle(search.store.engine)
        if search.files:
            try:
                search.folder.rename(target)
                sync_folder(results)
            except OSError as error:
                _renamed(search, old)
                raise RunError(
                    f"cannot rename {printable(str(search.folder))}: {reason(error)}\nchange the permissions"
                ) from error
        file = target / DATABASE
        if search.inside and backup_of(file):
            backups.back_up(file)  # the recorded command has the old name


def _renamed(search: Held, name: str) -> None:
    with writing(search.store) as connection:
        records.rename(connection, search.store, name)


def _recorded(old: str, new: str, results: Path) -> str:
    """The name of the search in the database of folder `old`: `new` after an interrupted rename."""
    located(old, results)
    url = default_url(results, old)
    engine = database.connect(url, read_only=True)
    try:
        known = records.bound(engine, url)
    finally:
        engine.dispose()
    return new if old not in known and new in known else old


def delete(name: str, storage: str | None, results: Path, tell: Tell) -> None:
    """Deletes the search `name`: its records, its trials in Optuna, and its files. Raises RunError if it is
    missing or running."""
    with held(name, storage, results, tell) as search:
        file = database.file_of(search.store.url)
        if search.inside and storage is None:
            only(search.store)
        others = records.bound(search.store.engine, search.store.url).keys() - {name}
        files = search.files and not (search.inside and others)
        if others or not search.inside:
            # imported here: it loads Optuna
            from cellsearch.study.storage.rdb import remove

            remove(search.store)
            if file is not None and backup_of(file):
                backups.back_up(
                    file
                )  # first the files: a folder with more records than its database looks damaged
        database.settle(search.store.engine)
        if files:
            _remove(search.folder)
    sweep(results)


def _remove(folder: Path) -> None:
    """Removes the folder of a search; renames it before it removes the first file."""
    hidden = folder.with_name(f".deleting-{secrets.token_hex(6)}")
    try:
        folder.rename(hidden)
        folder = hidden
        with suppress(OSError):
            sync_folder(folder.parent)
        shutil.rmtree(hidden)
    except OSError as error:
        raise RunError(
            f"cannot delete {printable(str(error.filename or folder))}: {reason(error)}\n"
            f"change the permissions, then remove {printable(str(folder))}"
        ) from error
