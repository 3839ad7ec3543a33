"""`cellsearch docs`: the bundled documentation."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="page to print (default: list all pages)")
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints a page or the list of pages."""
    from cellsearch.cli.actions import docs

    return docs.docs(args, terminal)


VERBS = (
    Verb(
        "docs", "print a page of the documentation", arguments, run,
        "cellsearch docs\ncellsearch docs language\ncellsearch docs language | less\n"
        "cellsearch docs cell.ipynb > cell.ipynb",
        "A page is rendered on a terminal and plain in a pipe; a notebook is the file itself there.",
        order=45,
    ),
)  # fmt: skip
