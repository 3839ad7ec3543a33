"""Resolve a word to a cell and its source.

A zoo name, a `.cell` file, NAME:RANK of a search, or the first letters of a fingerprint, looked up in this
order.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellsearchError, RunError, did_you_mean, plural, printable
from cellsearch.files import near
from cellsearch.study.space.sections import RANKED, label

if TYPE_CHECKING:
    from cellsearch.study.leaderboard.board import Row
    from cellsearch.study.origin import Origin
    from cellsearch.study.studies import Study, Tell

RESULTS = Path("results")
_LETTERS = re.compile(r"[0-9a-f]{4,64}\Z")
FEW = 8  # listed candidates in an error


@dataclass(frozen=True, slots=True)
class Found:
    """A cell and its source."""

    cell: Cell
    where: str  # the zoo, a file, a place in a search
    provenance: Mapping[str, object] = field(default_factory=dict)  # provenance in a search
    row: "Row | None" = None  # its row on the leaderboard of its search
    study: "Study | None" = None  # the search in which it was found
    origin: "Origin | None" = None  # its origin in that search


def find_cell(
    word: str, storage: str | None = None, copies: "Tell | None" = None, results: Path = RESULTS
) -> Found:
    """The cell named by `word`. Raises CellsearchError if there is none or more than one. `copies` as in
    `studies.opened`."""
    if word in zoo.names():
        return Found(zoo.load(word), "zoo")
    if os.path.lexists(word) or word.endswith(".cell") or os.sep in word:
        return Found(load(Path(word)), word)
    if match := RANKED.match(word):
        return ranked(match["study"], match["place"], storage, copies, results)
    if _LETTERS.match(word.lower()):
        return _by_letters(word.lower(), storage, results)
    names = zoo.names()
    hint = (near(word) if "." in word else "") or did_you_mean(word, names, cutoff=0.55)
    raise RunError(
        f"there is no cell '{printable(word, 60)}'\n{hint}"
        "a cell is a zoo name, a .cell file, NAME:RANK of a search, or at least 4 letters of a fingerprint\n"
        f"({len(names)} cells are in the zoo: `cellsearch cells` lists them)"
    )


def ranked(
    name: str,
    place: str,
    storage: str | None = None,
    copies: "Tell | None" = None,
    results: Path = RESULTS,
) -> Found:
    """The cell of a search by rank or by name. Raises RunError if there is none."""
    # imported here: a zoo cell needs no database
    from cellsearch.study import origin, studies
    from cellsearch.study.leaderboard import board

    study = studies.opened(name, storage, results, copies)
    row, ranks = board.find(study.store, study.space, place)
    if row is None:
        there = f"its ranks are 1 to {ranks}" if ranks else "it has no ranked cells yet"
        raise RunError(
            f"the search '{name}' has no cell {printable(place, 60)}\n"
            f"{there}; see `cellsearch leaderboard {name} --all`"
        )
    chain = origin.origin(study, origin.of_row(row), row.parent)
    cell = parse(row.text, f"{name}:{place}")
    return Found(cell, f"{row.standing} in {name}", origin.provenance(chain), row, study, chain)


def seeds(storage: str | None = None, results: Path = RESULTS) -> Callable[[str], str]:
    """A function for `load_space` that looks up seeds from other searches: in the database of the search, if
    it is shared, then in `results`."""

    def find(word: str) -> str:
        match = RANKED.match(word)
        if match is None:
            raise RunError(f"'{printable(word, 60)}' is not a cell of a search\nwrite it as in quick:1")
        places = [storage, None] if storage else [None]
        for place in places[:-1]:
            with suppress(RunError):
                return _text(word, ranked(match["study"], match["place"], place, results=results))
        return _text(word, ranked(match["study"], match["place"], None, results=results))

    return find


def _text(word: str, found: Found) -> str:
    """The text of a found cell as a seed: named after its search and rank, with its origin as a comment."""
    row = found.row
    assert row is not None and found.study is not None
    score = "" if row.score is None else f", score {row.score:.4f}"
    origin = f"{row.name} of the search {found.study.store.name}: {row.standing}{score}"
    return show(replace(found.cell, name=label(word), description=origin))


def _by_letters(letters: str, storage: str | None, results: Path) -> Found:
    marks = {name: fingerprint(zoo.load(name)) for name in zoo.names()}
    found = {mark: Found(zoo.load(name), "zoo") for name, mark in marks.items() if mark.startswith(letters)}
    others, unread = _in_studies(letters, storage, results)
    for mark, candidate in others.items():
        found.setdefault(mark, candidate)
    if len(found) == 1:
        ((mark, one),) = found.items()
        if one.study is None or one.origin is None:
            return one
        known = ranked(one.study.store.name, one.origin.cell.name, storage, results=results)
        same = known.row is not None and known.row.fingerprint == mark  # otherwise it counts as another cell
        return known if same else one
    if not found:
        raise RunError(
            f"no cell has a fingerprint starting with {letters}\n"
            "searched: the zoo, and the searches in results/ (or the one in --storage)"
            + "".join(f"\nnot read: {line}" for line in unread[:FEW])
        )
    listed = [f"  {mark[:16]}  {c.cell.name}, {c.where}" for mark, c in sorted(found.items())]
    more = f"\n  and {len(listed) - FEW} more" if len(listed) > FEW else ""
    raise RunError(
        f"{plural(len(found), 'cell')} have a fingerprint starting with {letters}; give more letters\n"
        + "\n".join(listed[:FEW]) + more
    )  # fmt: skip


def _in_studies(letters: str, storage: str | None, results: Path) -> tuple[dict[str, Found], list[str]]:
    """The cells of searches by fingerprint, and a line for each unreadable search."""
    from cellsearch.study import origin, studies  # imported here: as above
    from cellsearch.study.tables import cellrecords

    there = studies.found(storage, results)
    found: dict[str, Found] = {}
    unread = list(there.unread)
    for store in there.stores:
        try:
            records = cellrecords.matching(store, letters)
            study = studies.read(store) if records else None
            for record in records:
                assert study is not None
                chain = origin.origin(study, origin.of_record(record), record.parent)
                one = Found(parse(record.text), f"in {store.name}", study=study, origin=chain)
                found.setdefault(record.fingerprint, replace(one, provenance=origin.provenance(chain)))
        except CellsearchError as error:
            unread.append(studies.line_of(store.name, error))
    return found, unread
