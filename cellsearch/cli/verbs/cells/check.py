"""`cellsearch check`: errors of a cell or a space with their place; the records of a database."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The file."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .cell or .yaml file, or the name of a cell or of a space, or the database of a search",
    )
    options.data(parser)
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Checks the file."""
    from cellsearch.cli.actions import check

    return check.check(args, terminal)


VERBS = (
    Verb(
        "check", "check a .cell or .yaml file: errors with their place, gradients", arguments, run,
        "cellsearch check my.cell\ncellsearch check my.yaml\ncellsearch check results/quick/study.db",
        "A cell is compiled and compared with the plain loop over its equations, gradients included; the "
        "data of a space is opened, and a search's cost estimated; the records of a database are verified.",
        order=31,
    ),
)  # fmt: skip
