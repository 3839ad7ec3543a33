"""`cellsearch tasks` and `spaces`: lists of tasks and bundled spaces."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def _tasks(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="TASK", nargs="?", help="task to show with its options (default: list all tasks)"
    )
    options.table(parser)


def _spaces(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="SPACE", nargs="?", help="space to print as YAML (default: list all spaces)"
    )
    parser.add_argument(
        "--keys", action="store_true", help="list every key of a space: default, allowed values and reason"
    )
    options.table(parser)


def run_tasks(args: argparse.Namespace, terminal: Terminal) -> int:
    """Lists the tasks, or the options of one."""
    from cellsearch.cli.actions import listing

    return listing.tasks(args, terminal)


def run_spaces(args: argparse.Namespace, terminal: Terminal) -> int:
    """Lists the search spaces, or prints one."""
    from cellsearch.cli.actions import listing

    return listing.spaces(args, terminal)


VERBS = (
    Verb(
        "tasks", "list the tasks and their options", _tasks, run_tasks, "cellsearch tasks arithmetic",
        order=41,
    ),
    Verb(
        "spaces", "list the bundled search spaces", _spaces, run_spaces,
        "cellsearch spaces quick > my.yaml\ncellsearch spaces --keys\ncellsearch check my.yaml",
        order=42,
    ),
)  # fmt: skip
