"""Every `--help` at 60, 80 and 120 columns: nothing is wider, and commands can still be pasted."""

import shlex

import pytest
from cli.conftest import Run

from cellsearch.cli.help import filled
from cellsearch.cli.table import verbs
from cellsearch.cli.verb import Verb

WIDTHS = (60, 80, 120)


@pytest.mark.long
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_of_the_first_help_is_wider_than_the_terminal(run: Run, width: int) -> None:
    shown = run("--help", columns=width).out
    assert max(map(len, shown.splitlines())) <= width
    assert all(f"    {verb.name} " in shown for verb in verbs())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", verbs(), ids=lambda verb: verb.name)
def test_no_line_of_a_help_is_wider_than_the_terminal(run: Run, verb: Verb, width: int) -> None:
    shown = run(verb.name, "--help", columns=width).out
    assert max(map(len, shown.splitlines())) <= width
    joined = " ".join(shown.replace("\\\n", " ").split())
    assert all(" ".join(line.split()) in joined for line in verb.example.splitlines())
    assert " ".join(verb.more.split()) in joined


@pytest.mark.parametrize("width", range(12, 100, 4))
def test_a_command_is_broken_where_a_shell_joins_it(width: int) -> None:
    command = "  cellsearch train quick:1 --task text --hidden 256 --out big | jq '.rows[0].score' > a.json"
    shown = filled(command, width)
    assert shlex.split(shown.replace("\\\n", "")) == shlex.split(command)
    assert "--task \\" not in shown and "--hidden \\" not in shown
    widest = max(len(part) for part in ("      --hidden 256 \\", "      '.rows[0].score' \\"))
    assert max(map(len, shown.splitlines())) <= max(width, widest)


def test_a_paragraph_is_wrapped_and_the_meaning_of_a_command_stays_in_its_column() -> None:
    assert filled("one two three\n\nfour", 9) == "one two\nthree\n\nfour"
    assert filled("  run   does something", 20) == "  run   does\n        something"
