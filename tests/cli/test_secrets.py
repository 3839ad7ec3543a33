"""No word of a command line that holds a password comes back on the terminal."""

import pytest
from cli.conftest import Run

from cellsearch.cli.terminal import safe

URLS = (
    "postgresql://maria:geheim@127.0.0.1:1/d",
    "postgresql://maria:ge%68eim@127.0.0.1:1/d",
    "postgresql://maria:geheim@geheim@127.0.0.1:1/d",
    "postgresql://maria:geheim/geheim@127.0.0.1:1/d",
    "postgresql://127.0.0.1:1/d?passwd=geheim",
    "postgresql://127.0.0.1:1/d?PASSWORD=geheim",
    "postgresql://maria:geheim@127.0.0.1:port/d",
    "postgresql://maria:geheim@[::1/d",
    "oracle://maria:geheim@h/d",
    "host=127.0.0.1 port=1 password=geheim",
)
COMMANDS = (
    ("status", "--storage", "URL"), ("status", "s", "--storage", "URL"), ("leaderboard", "--storage=URL"),
    ("leaderboard", "s", "--json", "--storage", "URL"), ("show", "s:1", "--storage", "URL"),
    ("show", "0a0b0c", "--storage", "URL"), ("export", "s:1", "--storage", "URL"), ("check", "URL"),
    ("check", "--json", "URL"), ("search", "quick", "--trials", "1", "--storage", "URL"),
    ("search", "--replay", "s", "--storage", "URL"), ("worker", "s", "--storage", "URL"),
    ("migrate", "--storage", "URL"), ("launch", "s", "--on", "slurm", "--storage", "URL"),
    ("status", "--storge=URL"), ("status", "--storge", "URL"), ("status", "s", "URL"), ("status", "URL"),
    ("show", "URL"), ("URL",), ("leaderboard", "--rows", "URL"), ("--debug", "check", "URL"),
)  # fmt: skip


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_password_is_not_told(run: Run, words: tuple[str, ...], url: str) -> None:
    done = run(*(word.replace("URL", url) for word in words))
    assert done.code in (1, 2) and done.out == ""
    assert "geheim" not in done.err and "ge%68eim" not in done.err
    assert "defect" not in done.err and done.err.strip()


def test_what_is_no_secret_stays() -> None:
    for text in (
        "write postgresql://USER@HOST/DB", "sqlite:////tmp/a@b.db", "see https://a.b/c:d or me@x.y",
        "--set options.passes=3", "a: b@c",
    ):  # fmt: skip
        assert safe(text) == text
    assert safe("postgresql://u:p@w/x@h/d?a=1&PASSWD=x&b=2") == "postgresql://…@h/d?a=1&PASSWD=…&b=2"
