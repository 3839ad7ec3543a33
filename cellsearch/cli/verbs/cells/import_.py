"""`cellsearch import`: cells of other programs."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The file, and where the cells are written."""
    parser.add_argument(
        "file", metavar="FILE",
        help="recipes of NAS-Bench-NLP (.json), genotypes of DARTS (.py), or a log with genotypes in it",
    )  # fmt: skip
    parser.add_argument(
        "--to", metavar="DIR", help="write a .cell file for each cell there (default: print them)"
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the cells, or writes them."""
    from cellsearch.cli.actions import import_

    return import_.import_(args, terminal)


VERBS = (
    Verb(
        "import", "import cells from other tools (never executes them)", arguments, run,
        "cellsearch import recipes.json --to cells\ncellsearch import genotypes.py",
        "Nothing in a file is executed, and pickles are refused. A recipe or genotype that cannot be read "
        "is reported with its place, the others are imported, and the exit code is then 1.",
        order=33,
    ),
)  # fmt: skip
