"""`cellsearch cells`: the zoo as a list."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "words_sought", metavar="WORD", nargs="*",
        help="list only cells with this word in name, description or citation",
    )  # fmt: skip
    for name in ("states", "gates", "matrices", "peepholes"):
        parser.add_argument(
            f"--{name}", type=numbers.span, metavar="N", help=f"number of {name}: 2, 1-3, 2- or -4"
        )
    parser.add_argument(
        "--year", type=numbers.span, metavar="N", help="year of publication: 2015- or 1990-2000"
    )
    parser.add_argument(
        "--check", action="store_true",
        help="compare every compiled cell with the reference loop over its equations, gradients included",
    )  # fmt: skip
    options.table(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Lists the zoo."""
    from cellsearch.cli.actions import cells

    return cells.cells(args, terminal)


VERBS = (
    Verb(
        "cells", "list the cells of the zoo", arguments, run,
        "cellsearch cells\ncellsearch cells --gates 3 --year 2015- peephole\ncellsearch cells --check",
        order=40,
    ),
)  # fmt: skip
