"""`cellsearch lineage`: the chain of mutations that made a found cell."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The cell."""
    options.cell(parser, variants=False)
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows the chain."""
    from cellsearch.errors import RunError
    from cellsearch.report.cells import lineage as report
    from cellsearch.study.lookup import find_cell
    from cellsearch.study.origin import as_json

    found = find_cell(args.cell, args.storage, terminal.note)
    if found.origin is None:
        raise RunError(
            f"no search found {found.cell.name} ({found.where})\n"
            "name a found cell: NAME:RANK, or the first letters of its fingerprint"
        )
    if args.json:
        terminal.json(as_json(found.origin))
    else:
        terminal.print(report.lines(found.origin, terminal.out.width))
    return 0


VERBS = (
    Verb(
        "lineage", "show the mutations that made a found cell", arguments, run,
        "cellsearch lineage quick:1\ncellsearch lineage quick:1 --json | jq '.steps[].edits'",
        order=31,
    ),
)  # fmt: skip
