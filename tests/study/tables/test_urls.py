"""URLs of databases: what is printed of them, and what is said of those that are none."""

import re
from pathlib import Path

import pytest

from cellsearch.errors import RunError
from cellsearch.study.tables import database, records
from cellsearch.study.tables.database import Unavailable
from tests.postgres import new_database

SHOWN = {
    "sqlite:///results/s/study.db": "sqlite:///results/s/study.db",
    "sqlite:////tmp/a@b.db?timeout=geheim": "sqlite:////tmp/a@b.db",
    "sqlite://": "sqlite://",
    "postgresql://host/db": "postgresql://host/db",
    "postgresql://geheim@host/db": "postgresql://…@host/db",
    "postgresql://geheim:geheim@host:5432/db": "postgresql://…@host:5432/db",
    "postgresql+psycopg://u:ge%40heim@[::1]:5432/db": "postgresql+psycopg://…@[::1]:5432/db",
    "postgresql://host/db?passwd=geheim": "postgresql://host/db?…",
    "postgresql://host/db?PASSWORD=geheim&sslkey=geheim": "postgresql://host/db?…",
    "postgresql:///db?host=/tmp&user=geheim&password=geheim": "postgresql:///db?…",
    "postgresql://u:ge@heim@host/db": "postgresql://…",
    "postgresql://u:a@geheim/geheim@host/db": "postgresql://…",
    "postgresql://u:a@geheim?geheim@host/db": "postgresql://…",
    "postgresql://u:geheim@host:port/db": "postgresql://…",
    "postgresql://u:geheim@[::1/db": "postgresql://…",
    "postgresql://u:geheim/db": "postgresql://…",
    "mysql://u:geheim@host/db": "mysql://…@host/db",
    "\x1b[31m://u:geheim@host/db": "the given storage",
    "host=h user=geheim password=geheim": "the given storage",
    "password=geheim host=h://x": "the given storage",
    "u:geheim@host/db": "the given storage",
    "geheim" * 10: "the given storage",
    "nonsense": "nonsense",
}


@pytest.mark.parametrize("url", SHOWN)
def test_user_password_and_options_are_never_printed(url: str) -> None:
    assert database.shown(url) == SHOWN[url]


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("sqlite:///results/s/study.db", "sqlite:///results/s/study.db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql:///db?host=%2Ftmp", "postgresql:///db?host=%2Ftmp"),
        ("postgresql://geheim@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql+psycopg://u:ge%40heim@[::1]:5432/db", "postgresql+psycopg://[::1]:5432/db"),
        ("postgresql:///db?host=/tmp&user=geheim&sslkey=geheim", "postgresql:///db?host=%2Ftmp"),
    ],
)
def test_what_is_printed_for_a_command_can_be_pasted(url: str, command: str) -> None:
    assert database.pasted(url) == command
    known, again = database.parsed(url), database.parsed(command)
    assert (again.host, again.port, again.database) == (known.host, known.port, known.database)
    assert bool(database.left_out(url)) == (url != command) and "geheim" not in database.left_out(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "nonsense: not a database URL; use sqlite:///FILE"),
        ("host=h password=geheim", "the given storage: not a database URL"),
        ("mysql+what://u:geheim@h/d", "unknown kind of database"),
        ("postgresql://u:geheim@h:port/d", "its port is not a number\nwrite postgresql://USER@HOST:PORT"),
        ("postgresql://u:geheim@[::1/d", "its port is not a number\nwrite .* an IPv6 address as \\[::1\\]"),
        ("postgresql://u:geheim@h:99999/d", "h:99999/d: its port is not a number from 1 to 65535"),
        ("postgresql://u:geheim@h:0/d", "not a number from 1 to 65535"),
        ("postgresql://u:ge@heim@h/d", "it has more than one '@'\nwrite .* '@' is %40"),
        ("postgresql://u:a@ge/heim@h/d", "it has more than one '@'"),
    ],
)
def test_what_is_no_url_is_one_message(url: str, said: str) -> None:
    with pytest.raises(RunError, match=said) as error:
        records.find(url, "s")
    assert "geheim" not in str(error.value)
    assert error.value.exit_code == 1


def test_an_option_that_the_driver_does_not_know_is_one_message() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(RunError, match=re.escape("127.0.0.1:1/d?…: invalid connection option")) as error:
        records.find("postgresql://u@127.0.0.1:1/d?PASSWORD=geheim", "s")
    assert "geheim" not in str(error.value)
    assert error.value.exit_code == 1


def test_the_words_of_a_driver_hold_no_secret() -> None:
    url = "postgresql://maria:ge%40heim@h:5432/d?sslpassword=x&sslkey=%2Fhome%2Fmaria%2Fkey&connect_timeout=5"
    words = 'h:5432: role "maria" with ge@heim, key "/home/maria/key", and x\nmore'
    psycopg = pytest.importorskip("psycopg")
    assert database.said(url, psycopg.Error(words)) == 'h:5432: role "***" with ***, key "***", and ***'


def test_files_keep_their_names() -> None:
    for name in ("a@b.db", "a b.db", "a#b.db", "port:x.db"):
        url = database.url_of(Path("/tmp") / name)
        assert database.file_of(url) == Path("/tmp") / name
        assert database.shown(url) == f"sqlite:////tmp/{name}"


@pytest.mark.server
def test_a_server_without_its_password_says_so() -> None:
    with new_database() as url:
        parsed = database.parsed(url)
        wrong = parsed.set(password="geheim1").render_as_string(False)
        with pytest.raises(RunError, match="check user and password") as error:
            records.find(wrong, "s")
        assert not isinstance(error.value, Unavailable)
        assert "geheim1" not in str(error.value) and f'"{parsed.username}"' not in str(error.value)
