"""Migrations from each earlier version of the tables to this one.

`MIGRATIONS` has a step from every earlier version to the next; `migrate` runs them in order. A database is
migrated in one transaction. An SQLite file is first copied to a backup beside it. Optuna's own tables are
versioned separately (`optuna storage upgrade`).
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, delete

from cellsearch.errors import RunError
from cellsearch.study.migrations import version1
from cellsearch.study.storage import rdb
from cellsearch.study.tables import database, schema, transactions
from cellsearch.study.tables.database import shown
from cellsearch.study.tables.sqlite import backups
from cellsearch.study.tables.transactions import Store

Tell = Callable[[str], None]
#: Version -> step to the next version; it gets a transaction and a store without a study.
MIGRATIONS: Mapping[int, Callable[[Connection, Store, Tell], None]] = {1: version1.migrate}


def migrate(url: str, tell: Tell = lambda text: None) -> bool:
    """Brings the tables of a database up to date; False if they already are. Raises RunError if tables are
    missing or newer, or if a search is running."""
    engine = database.connect(url)
    file = database.file_of(url)
    if file is not None and not file.exists():
        raise RunError(f"there is no search in {shown(url)}")
    with transactions.reading(engine, url) as connection:
        first = schema.version_of(connection)
    if first == 0:
        raise RunError(f"there is no search in {shown(url)}")
    if first > schema.VERSION:
        raise RunError(f"{shown(url)}: its tables are newer (schema {first}) than this cellsearch")
    if first == schema.VERSION:
        return False
    if file is not None:
        ending = f".schema{first}"
        if file.with_name(file.name + ending).exists():
            raise RunError(f"{file}{ending} already exists: move it away, then run the command again")
        tell(f"a copy of the database as it was: {backups.back_up(file, ending)}")
    rdb.prepare(engine, url)
    store = Store(engine, url, 0, "")
    with transactions.apart(store) as connection:
        for version in range(first, schema.VERSION):
            MIGRATIONS[version](connection, store, tell)
        connection.execute(delete(schema.version).where(schema.version.c.version != schema.VERSION))
    return True
