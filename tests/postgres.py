"""The PostgreSQL server of the tests, by CELLSEARCH_TEST_POSTGRES: the URL of one where databases may be made.

`.ci/run` starts one. Tests that need it skip without it.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import NullPool, create_engine, text

from cellsearch.study.tables import database

SERVER = os.environ.get("CELLSEARCH_TEST_POSTGRES", "")
NONE = "no server: CELLSEARCH_TEST_POSTGRES is not set"


def administer(*statements: str) -> None:
    """Runs statements as the owner of the server, each by itself."""
    engine = create_engine(database.driven(SERVER), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


@contextmanager
def new_database(options: str = "") -> Iterator[str]:
    """The URL of an empty database, which is dropped in the end."""
    if not SERVER:
        pytest.skip(NONE)
    name = f"cellsearch_{secrets.token_hex(6)}"
    administer(f"CREATE DATABASE {name} {options}")
    yield database.driven(SERVER).set(drivername="postgresql", database=name).render_as_string(False)
    administer(f"DROP DATABASE {name} WITH (FORCE)")
