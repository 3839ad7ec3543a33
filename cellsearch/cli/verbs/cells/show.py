"""`cellsearch show`: one cell, as it is or edited."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The cell and its widths."""
    options.cell(parser)
    parser.add_argument(
        "--input", type=numbers.whole(1, 10**6), default=100, metavar="D", help="inputs (default: 100)"
    )
    parser.add_argument(
        "--hidden", type=numbers.whole(1, 10**6), default=100, metavar="H", help="units (default: 100)"
    )
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows the cell."""
    from cellsearch.cli.find import chosen
    from cellsearch.report.cells import cell as report

    found = chosen(args, terminal.note)
    page = report.page(found.cell, found.where, args.input, args.hidden, found.origin, found.row)
    if args.json:
        terminal.json(report.as_json(page))
    else:
        terminal.print(report.lines(page, terminal.out.width, terminal.out.encoding.startswith("utf")))
    return 0


VERBS = (
    Verb(
        "show", "show equations, gates, weights and a drawing of a cell", arguments, run,
        "cellsearch show gru\ncellsearch show quick:1 --hidden 256\n"
        "cellsearch show lstm --without i --peepholes f,o",
        order=30,
    ),
)  # fmt: skip
