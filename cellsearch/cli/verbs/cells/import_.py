"""`cellsearch import`: cells from other tools."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The file, and the directory of the cells."""
    parser.add_argument(
        "file", metavar="FILE",
        help="recipes of NAS-Bench-NLP (.json), genotypes of DARTS (.py), or a log that contains genotypes",
    )  # fmt: skip
    parser.add_argument(
        "--to", metavar="DIR", help="directory for one .cell file per cell (default: print them)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the cells, or writes them."""
    from cellsearch.cli.actions import import_

    return import_.import_(args, terminal)


VERBS = (
    Verb(
        "import", "import cells from other tools (never executes them)", arguments, run,
        "cellsearch import recipes.json --to cells\ncellsearch import genotypes.py",
        "Executes nothing in a file and refuses pickles. Reports a recipe or genotype that cannot be read "
        "with " "its location, imports the others, and exits with code 1.",
        order=33,
    ),
)  # fmt: skip
