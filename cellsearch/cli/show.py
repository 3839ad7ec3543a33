"""`cellsearch show`: one cell, with everything that is said about it."""

import argparse

from cellsearch.cli.find import find_cell
from cellsearch.cli.terminal import Terminal
from cellsearch.report import cell as report


def run_show(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows the cell."""
    found = find_cell(args.cell, args.storage)
    page = report.page(found.cell, found.origin, args.input, args.hidden)
    if args.json:
        terminal.json(report.as_json(page))
    else:
        terminal.print(report.lines(page, terminal.out.width))
    return 0
