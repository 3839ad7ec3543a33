"""Resolve CELL and the options of variants to a cell."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.rewriting.variant import variant
from cellsearch.errors import UsageError, printable
from cellsearch.study.lookup import Found, find_cell

if TYPE_CHECKING:
    from cellsearch.study.studies import Tell


def chosen(args: argparse.Namespace, note: "Tell | None" = None) -> Found:
    """The cell named by the arguments of `options.cell`."""
    found = find_cell(args.cell, args.storage, note)
    cell = varied(found.cell, args)
    if cell is found.cell:
        return found
    provenance = {"variant of": f"{found.cell.name} ({found.where})"}  # a variant has no recorded score
    return replace(
        found, cell=cell, where=f"{found.where}, edited", provenance=provenance, row=None, origin=None
    )


def varied(cell: Cell, args: argparse.Namespace) -> Cell:
    """The variant given by `options.variant`: removes parts, then couples gates, then sets peepholes."""
    pairs = []
    for pair in args.couple:
        gate, comma, by = (word.strip() for word in pair.partition(","))
        if not comma or not by or "," in by:
            raise UsageError(f"--couple takes two gates, as in --couple f,i; not '{printable(pair, 40)}'")
        pairs.append((gate, by))
    words = args.peepholes and [word.strip() for word in args.peepholes.split(",")]
    peepholes = words[0] if words in (["all"], ["none"]) else words
    if not args.without and not pairs and peepholes is None:
        return cell
    return variant(cell, without=args.without, couple=pairs, peepholes=peepholes)
