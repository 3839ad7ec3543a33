"""`cellsearch export`: a cell as files that work without cellsearch."""

import argparse

from rich.text import Text

from cellsearch.cli.find import find_cell
from cellsearch.cli.terminal import Terminal
from cellsearch.errors import printable
from cellsearch.exporters.write import export


def run_export(args: argparse.Namespace, terminal: Terminal) -> int:
    """Writes the files and names them."""
    found = find_cell(args.cell, args.storage)
    written = export(
        found.cell,
        args.out,
        args.to,
        name=args.name,
        provenance=found.provenance or None,
        overwrite=args.force,
    )
    if args.json:
        terminal.json(
            {"cell": args.name or found.cell.name, "origin": found.origin, "files": [str(p) for p in written]}
        )
        return 0
    terminal.print([Text(printable(str(path), 4_000)) for path in written])
    return 0
