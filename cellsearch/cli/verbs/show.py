"""`cellsearch show`: one cell, as it is or edited."""

import argparse
from typing import TYPE_CHECKING

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb
from cellsearch.errors import UsageError, printable

if TYPE_CHECKING:
    from cellsearch.dsl.graph import Cell


def arguments(parser: Parser) -> None:
    """The cell, its widths, and edits of it."""
    options.cell(parser)
    parser.add_argument(
        "--input", type=numbers.whole(1, 10**6), default=100, metavar="D", help="inputs (default: 100)"
    )
    parser.add_argument(
        "--hidden", type=numbers.whole(1, 10**6), default=100, metavar="H", help="units (default: 100)"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="PART",
        help="leave out a gate, by its name, letter (i f o z r d) or role, or the input_activation or "
        "output_activation; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--couple", action="append", default=[], metavar="GATE,BY", help="make a gate 1 - another: f,i"
    )
    parser.add_argument(
        "--peepholes", metavar="GATES", help="all, none, or the gates that look at the cell state: i,f"
    )
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows the cell."""
    from cellsearch.cli.find import find_cell
    from cellsearch.report.cells import cell as report

    found = find_cell(args.cell, args.storage, terminal.note)
    cell = edited(found.cell, args)
    origin = found.origin if cell is found.cell else f"{found.origin}, edited"
    row = found.row if cell is found.cell else None  # what an edited cell would score is not known
    page = report.page(cell, origin, args.input, args.hidden, found.parent, found.edits, row)
    if args.json:
        terminal.json(report.as_json(page))
    else:
        terminal.print(report.lines(page, terminal.out.width, terminal.out.encoding.startswith("utf")))
    return 0


def edited(cell: "Cell", args: argparse.Namespace) -> "Cell":
    """The cell after the edits that were asked for: parts go, then gates are coupled, then peepholes set."""
    from cellsearch.dsl.rewriting.variants import couple, with_peepholes, without

    for part in args.without:
        cell = without(cell, part)
    for pair in args.couple:
        gate, comma, by = (word.strip() for word in pair.partition(","))
        if not comma or not by or "," in by:
            raise UsageError(f"--couple takes two gates, as in --couple f,i; not '{printable(pair, 40)}'")
        cell = couple(cell, gate, by)
    if args.peepholes is not None:
        words = [word.strip() for word in args.peepholes.split(",")]
        every, none = words == ["all"], words == ["none"]
        cell = with_peepholes(cell, None if every else [] if none else words)
    return cell


VERBS = (
    Verb(
        "show", "a cell: equations, gates, weights, drawing", arguments, run,
        "cellsearch show gru\ncellsearch show quick:1 --hidden 256\n"
        "cellsearch show lstm --without i --peepholes f,o",
        order=30,
    ),
)  # fmt: skip
