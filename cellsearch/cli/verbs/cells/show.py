"""`cellsearch show`: a cell or a variant of it."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The cell and its widths."""
    options.cell(parser)
    parser.add_argument(
        "--input", type=numbers.whole(1, 10**6), default=100, metavar="D", help="input size (default: 100)"
    )
    parser.add_argument(
        "--hidden", type=numbers.whole(1, 10**6), default=100, metavar="H", help="units (default: 100)"
    )
    parser.add_argument("--against", metavar="OTHER", help="show the difference from another cell instead")
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows the cell."""
    from cellsearch.cli.find import chosen
    from cellsearch.dsl.difference import difference
    from cellsearch.report.cells import cell as report
    from cellsearch.report.cells import difference as changes
    from cellsearch.study.lookup import find_cell

    found = chosen(args, terminal.note)
    page = report.page(found.cell, found.where, args.input, args.hidden, found.origin, found.row)
    between = None
    if args.against is not None:
        other = find_cell(args.against, args.storage, terminal.note)
        between = difference(other.cell, found.cell)
    if args.json:
        told = {"against": changes.as_json(between)} if between else {}
        terminal.json(report.as_json(page) | told)
    elif between is not None:
        terminal.print(changes.lines(between, terminal.out.width))
    else:
        terminal.print(report.lines(page, terminal.out.width, terminal.out.encoding.startswith("utf")))
    return 0


VERBS = (
    Verb(
        "show", "show equations, gates, weights and a drawing of a cell", arguments, run,
        "cellsearch show gru\ncellsearch show quick:1 --hidden 256\n"
        "cellsearch show lstm --without i --peepholes f,o\n"
        "cellsearch show quick:1 --against lstm",
        order=30,
    ),
)  # fmt: skip
