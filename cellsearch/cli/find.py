"""Which cell the arguments of a command mean: the word CELL, or a variant of what it means."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.rewriting.variants import couple, with_peepholes, without
from cellsearch.errors import UsageError, printable
from cellsearch.study.lookup import Found, find_cell

if TYPE_CHECKING:
    from cellsearch.study.studies import Tell


def chosen(args: argparse.Namespace, note: "Tell | None" = None) -> Found:
    """The cell that the arguments of `options.cell` mean."""
    found = find_cell(args.cell, args.storage, note)
    cell = varied(found.cell, args)
    if cell is found.cell:
        return found
    provenance = {"variant of": f"{found.cell.name} ({found.where})"}  # what it would score is not known
    return replace(
        found, cell=cell, where=f"{found.where}, edited", provenance=provenance, row=None, origin=None
    )


def varied(cell: Cell, args: argparse.Namespace) -> Cell:
    """The variant that `options.variant` asks for: parts go, then gates are coupled, then peepholes set."""
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
