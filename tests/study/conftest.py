"""A database of its own on the server of the tests."""

from collections.abc import Iterator

import pytest

from tests.postgres import new_database


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty database."""
    with new_database() as url:
        yield url
