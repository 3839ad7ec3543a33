"""A database of its own on the server that `.ci/run` starts; tests skip where there is none."""

import os
import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from cellsearch.search import database

SERVER = os.environ.get("CELLSEARCH_TEST_POSTGRES", "")


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty database."""
    if not SERVER:
        pytest.skip("no server: CELLSEARCH_TEST_POSTGRES is not set")
    name = f"cellsearch_{secrets.token_hex(6)}"
    engine = create_engine(database.driven(SERVER), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()
