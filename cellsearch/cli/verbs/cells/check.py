"""`cellsearch check`: errors of a cell or a space with their location; the records of a database."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The file."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .cell or .yaml file, the name of a cell or a space, or the database of a search",
    )
    options.data(parser)
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Checks the file."""
    from cellsearch.cli.actions import check

    return check.check(args, terminal)


VERBS = (
    Verb(
        "check", "check a .cell or .yaml file: errors with location, gradients", arguments, run,
        "cellsearch check my.cell\ncellsearch check my.yaml\ncellsearch check results/quick/study.db",
        "Compiles a cell and compares it with the reference loop over its equations, gradients included. "
        "Opens the data of a space. Verifies the records of a database.",
        order=31,
    ),
)  # fmt: skip
