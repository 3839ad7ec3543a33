"""`cellsearch show`: one cell, as it is or edited, with everything that is said about it."""

import argparse

from cellsearch.cli.find import find_cell
from cellsearch.cli.terminal import Terminal
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.rewriting.variants import couple, with_peepholes, without
from cellsearch.errors import UsageError, printable
from cellsearch.report.cells import cell as report


def run_show(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows the cell."""
    found = find_cell(args.cell, args.storage)
    cell = edited(found.cell, args)
    origin = found.origin if cell is found.cell else f"{found.origin}, edited"
    row = found.row if cell is found.cell else None  # what an edited cell would score is not known
    page = report.page(cell, origin, args.input, args.hidden, found.parent, found.edits, row)
    if args.json:
        terminal.json(report.as_json(page))
    else:
        terminal.print(report.lines(page, terminal.out.width, terminal.out.encoding.startswith("utf")))
    return 0


def edited(cell: Cell, args: argparse.Namespace) -> Cell:
    """The cell after the edits that were asked for: parts go, then gates are coupled, then peepholes set."""
    for part in args.without:
        cell = without(cell, part)
    for pair in args.couple:
        gate, comma, by = (word.strip() for word in pair.partition(","))
        if not comma or not by or "," in by:
            raise UsageError(f"--couple takes two gates, as in --couple f,i; not '{printable(pair, 40)}'")
        cell = couple(cell, gate, by)
    if args.peepholes is not None:
        words = [word.strip() for word in args.peepholes.split(",")]
        every, no_one = words == ["all"], words == ["none"]
        cell = with_peepholes(cell, None if every else [] if no_one else words)
    return cell
