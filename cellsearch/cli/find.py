"""Which cell is meant: the word CELL of a command line in, a cell and where it was found out.

A zoo name, a `.cell` file, NAME:RANK of a search, or the first letters of a fingerprint, looked up in this
order.
"""

import argparse
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellsearch.cli.numbers import nearest
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.dsl.rewriting.variants import couple, with_peepholes, without
from cellsearch.dsl.text import parse
from cellsearch.errors import CellsearchError, RunError, UsageError, printable
from cellsearch.files import near
from cellsearch.report.formatting import plural
from cellsearch.study.mutation.operators import words_of

if TYPE_CHECKING:
    from cellsearch.study.leaderboard.board import Row
    from cellsearch.study.studies import Tell
    from cellsearch.study.tables.cellrecords import Record
    from cellsearch.study.tables.transactions import Store

_RANKED = re.compile(r"(?P<study>[^:/\\]+):(?P<place>[A-Za-z0-9_]+)\Z")
_LETTERS = re.compile(r"[0-9a-f]{4,64}\Z")
FEW = 8  # candidates that an error lists


@dataclass(frozen=True, slots=True)
class Found:
    """A cell and where it comes from."""

    cell: Cell
    origin: str
    provenance: Mapping[str, object] = field(default_factory=dict)  # what a search knows of it
    parent: str = ""  # in the search, by name
    edits: tuple[str, ...] = ()  # of the parent, in words
    row: "Row | None" = None  # of the leaderboard of its search
    study: str = ""  # the name of that
    recorded: str = ""  # the name of the cell there


def chosen(args: argparse.Namespace, note: "Tell | None" = None) -> Found:
    """The cell that the arguments of `options.cell` mean: the word, or a variant of what it means."""
    found = find_cell(args.cell, args.storage, note)
    cell = varied(found.cell, args)
    if cell is found.cell:
        return found
    provenance = {"variant of": f"{found.cell.name} ({found.origin})"}  # what it would score is not known
    return replace(found, cell=cell, origin=f"{found.origin}, edited", provenance=provenance, row=None)


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


def find_cell(word: str, storage: str | None = None, copies: "Tell | None" = None) -> Found:
    """The cell that `word` means. CellsearchError where there is none, or more than one. `copies` as in
    `studies.opened`."""
    if word in zoo.names():
        return Found(zoo.load(word), "zoo")
    if os.path.lexists(word) or word.endswith(".cell") or os.sep in word:
        return Found(load(Path(word)), word)
    if match := _RANKED.match(word):
        return _ranked(match["study"], match["place"], storage, copies)
    if _LETTERS.match(word.lower()):
        return _by_letters(word.lower(), storage)
    names = zoo.names()
    hint = (near(word) if "." in word else "") or nearest(word, names)
    raise RunError(
        f"there is no cell '{printable(word, 60)}'\n{hint}"
        "a cell is a zoo name, a .cell file, NAME:RANK of a search, or at least 4 letters of a fingerprint\n"
        f"({len(names)} cells are in the zoo: `cellsearch cells` lists them)"
    )


def _ranked(name: str, place: str, storage: str | None, copies: "Tell | None" = None) -> Found:
    # here: the database is not needed for a zoo cell
    from cellsearch.report.cells.origin import provenance
    from cellsearch.study import studies
    from cellsearch.study.leaderboard import board

    study = studies.opened(name, storage, copies=copies)
    row, ranks = board.find(study.store, study.space, place)
    if row is None:
        there = f"its ranks go from 1 to {ranks}" if ranks else "nothing is ranked in it yet"
        raise RunError(
            f"the search '{name}' has no cell {printable(place, 60)}\n"
            f"{there}; see `cellsearch leaderboard {name} --all`"
        )
    known = provenance(row, study.facts, study.space)
    cell, origin = parse(row.text, f"{name}:{place}"), f"{row.standing} in {name}"
    return Found(cell, origin, known, row.parent_name, row.edits, row)


def _descent(store: "Store", record: "Record") -> dict[str, Any]:
    """The parent of a recorded cell, and the edits that made it."""
    # here: the database is not needed for a zoo cell
    from cellsearch.study.tables import cellrecords

    parents = cellrecords.recorded_cells(store, [record.parent]) if record.parent else []
    parent = parents[0].name if parents else record.parent[:12]
    return {"parent": parent, "edits": tuple(words_of(json.loads(record.edits or "[]")))}


def _by_letters(letters: str, storage: str | None) -> Found:
    marks = {name: fingerprint(zoo.load(name)) for name in zoo.names()}
    found = {mark: Found(zoo.load(name), "zoo") for name, mark in marks.items() if mark.startswith(letters)}
    others, unread = _in_studies(letters, storage)
    for mark, candidate in others.items():
        found.setdefault(mark, candidate)
    if len(found) == 1:
        ((mark, one),) = found.items()
        ranked = _ranked(one.study, one.recorded, storage) if one.study else one
        same = ranked.row is not None and ranked.row.fingerprint == mark  # else it counts as another cell
        return ranked if same else one
    if not found:
        raise RunError(
            f"no cell has a fingerprint that begins with {letters}\n"
            "searched: the zoo, and the searches in results/ (or the one in --storage)"
            + "".join(f"\nnot read: {line}" for line in unread[:FEW])
        )
    listed = [f"  {mark[:16]}  {c.cell.name}, {c.origin}" for mark, c in sorted(found.items())]
    more = f"\n  and {len(listed) - FEW} more" if len(listed) > FEW else ""
    raise RunError(
        f"{plural(len(found), 'cell')} have a fingerprint that begins with {letters}; give more letters\n"
        + "\n".join(listed[:FEW]) + more
    )  # fmt: skip


def _in_studies(letters: str, storage: str | None) -> tuple[dict[str, Found], list[str]]:
    """The cells of searches by fingerprint; and a line for each search that cannot be read."""
    from cellsearch.study import studies  # here: as above
    from cellsearch.study.tables import cellrecords

    there = studies.found(storage)
    found: dict[str, Found] = {}
    unread = list(there.unread)
    for store in there.stores:
        try:
            for record in cellrecords.matching(store, letters):
                one = Found(parse(record.text), f"in {store.name}", study=store.name, recorded=record.name)
                found.setdefault(record.fingerprint, replace(one, **_descent(store, record)))
        except CellsearchError as error:
            unread.append(studies.line_of(store.name, error))
    return found, unread
