"""The command line as a whole: verbs, help, errors, exit codes, and the streams it writes to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.cli.numbers import device, whole
from cellsearch.cli.table import verbs
from cellsearch.cli.verb import Verb

ROOT = Path(__file__).parents[2]


def command(
    *words: str, folder: Path, closed: str = "", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """The command in a process of its own; `closed` is what the shell does to its streams."""
    line = (
        f'exec "$0" -m cellsearch "$@" {closed}' if "|" not in closed else f'"$0" -m cellsearch "$@" {closed}'
    )
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, sys.executable, *words],
        cwd=folder, env=given, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_a_verb_help_is_shown(run: Run) -> None:
    done = run()
    assert done.code == 0 and done.err == ""
    assert all(f"    {verb.name} " in done.out for verb in verbs())
    assert "cellsearch search quick" in done.out


@pytest.mark.parametrize("verb", verbs(), ids=lambda verb: verb.name)
def test_every_verb_has_help_with_an_example(run: Run, verb: Verb) -> None:
    done = run(verb.name, "--help")
    assert done.code == 0 and done.err == ""
    assert f"  cellsearch {verb.name}" in done.out.partition("example")[2]
    said = done.out.replace(" \\\n     ", "")  # a long command goes on in the next line
    assert all(line in said for line in verb.example.splitlines())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sohw", "gru"], "there is no verb 'sohw'\ndid you mean 'show'?"),
        (["leaderbord"], "did you mean 'leaderboard'?"),
        (["SHOW"], "did you mean 'show'?"),
        (["qwertz"], "there is no verb 'qwertz'\n(search, "),
        (["show"], "the following arguments are required: CELL\nsee `cellsearch show --help`"),
        (["show", "gru", "--jsom"], "has no option '--jsom'\ndid you mean '--json'?"),
        (["show", "gru", "lstm"], "has no argument 'lstm'"),
        (["show", "gru", "--hidden", "0"], "is not from 1 to"),
        (["show", "gru", "--hidden", "many"], "'many' is not a whole number"),
        (["show", "gru", "--hid", "5"], "did you mean '--hidden'?"),
        (["search", "quick", "--time", "60"], "write 90s, 15m, 2h"),
        (["search", "quick", "--time", "0s"], "is not a positive duration"),
        (["search", "quick", "--device", "gpu"], "'gpu' is not a device"),
        (["search", "quick", "--set", "budget"], "not like budget.trials=60"),
        (["search", "quick", "--workers", "0"], "is not from 1 to"),
        (
            ["leaderboard", "--format", "makdown"],
            "there is no format 'makdown'\ndid you mean 'markdown'? (csv, ",
        ),
        (["launch", "s", "--on", "slrum"], "did you mean 'slurm'? (slurm, ray)"),
        (["--nosuch"], "has no option '--nosuch'"),
        (["\x1b[31mred"], "'\\x1b[31mred'"),
        (["[bold]x"], "there is no verb '[bold]x'"),
    ],
)
def test_wrong_usage_is_told_with_what_is_right(run: Run, words: list[str], told: str) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err and "\x1b" not in done.err and "Traceback" not in done.err


def test_the_version_names_what_results_depend_on(run: Run) -> None:
    done = run("--version")
    assert done.code == 0
    assert done.out.startswith("cellsearch ") and "torch 2." in done.out and "optuna 5." in done.out


def test_debug_shows_where_an_error_comes_from(run: Run) -> None:
    assert "Traceback" not in run("show", "nosuch").err
    for words in (("--debug", "show", "nosuch"), ("show", "nosuch", "--debug")):
        done = run(*words)
        assert done.code == 1 and "Traceback" in done.err and "there is no cell 'nosuch'" in done.err


def test_a_defect_is_told_as_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ValueError("nobody expects [this]")

    monkeypatch.setattr("cellsearch.cli.find.find_cell", broken)
    done = run("show", "gru")
    assert done.code == 1
    assert "ValueError: nobody expects [this]" in done.err and "a defect of cellsearch" in done.err


def test_an_interrupt_ends_with_its_own_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("cellsearch.cli.find.find_cell", interrupted)
    done = run("show", "gru")
    assert done.code == 130 and done.err == "interrupted\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "words", [("show", "lstm"), ("tasks",), ("cells", "--json"), ("spaces", "quick"), ("--help",)]
)
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = command(*words, folder=tmp_path, closed="| head -1", PYTHONUNBUFFERED="1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    assert command(*words, folder=tmp_path, closed="| true").stderr == b""


@pytest.mark.long
@pytest.mark.parametrize("closed", [">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(tmp_path: Path, closed: str) -> None:
    for words in (("show", "gru"), ("cells", "--json"), ("spaces", "quick"), ("--version",), ("--help",)):
        done = command(*words, folder=tmp_path, closed=closed)
        assert done.returncode == 0, done.stderr
        assert done.stderr == b"" or words == ("--help",)  # which goes to stderr then


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    for words in (("show", "gru"), ("cells", "--json"), ("spaces", "quick")):
        done = command(*words, folder=tmp_path, closed="> /dev/full")
        assert done.returncode == 1
        assert b"No space left on device" in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_encoding_gets_lines_of_the_same_width(tmp_path: Path, encoding: str) -> None:
    done = command("show", "gru", folder=tmp_path, PYTHONIOENCODING=encoding, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode(encoding).splitlines()
    drawn = next(line for line in lines if "r = sigmoid" in line)
    assert drawn.rstrip().endswith("■─■─┼─╮" if encoding == "utf-8" else "#-#-+-.")


@pytest.mark.long
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_every_locale_works(tmp_path: Path, locale: str) -> None:
    done = command("show", "gru", folder=tmp_path, LC_ALL=locale, PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.long
def test_colours_only_where_they_are_wanted(tmp_path: Path) -> None:
    plain = command("show", "gru", folder=tmp_path)
    assert b"\x1b" not in plain.stdout
    assert b"\x1b[" in command("show", "gru", folder=tmp_path, FORCE_COLOR="1", TERM="xterm-256color").stdout
    coloured = command(
        "show", "gru", folder=tmp_path, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color"
    ).stdout
    assert b"\x1b[3" not in coloured.replace(b"\x1b[3m", b"")  # italics are no colour


def test_numbers_are_read_as_people_write_them() -> None:
    read = whole(0, 10**9)
    assert [read(text) for text in ("0", "12", "1e3", "1,000", "1_000", "1e9", "+5", " 7 ")] == [
        0, 12, 1000, 1000, 1000, 10**9, 5, 7,
    ]  # fmt: skip
    assert [device(text) for text in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
