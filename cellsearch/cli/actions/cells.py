"""`cellsearch cells`: the zoo as a table, whole or filtered."""

import argparse
from dataclasses import dataclass

from cellsearch.cli.terminal import Terminal
from cellsearch.dsl import zoo
from cellsearch.dsl.describe import Description, describe
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import show
from cellsearch.dsl.zoo import catalogue
from cellsearch.dsl.zoo.catalogue import Entry
from cellsearch.report.cells.equations import in_short
from cellsearch.report.columns import Column, column, table, text, width_of

#: The counts that are columns and filters, in this order.
COUNTS = ("states", "gates", "matrices", "peepholes")


@dataclass(frozen=True, slots=True)
class Listed:
    """A cell of the zoo with its listed facts."""

    entry: Entry
    cell: Cell
    description: Description

    @property
    def counts(self) -> dict[str, int]:
        """The `COUNTS` of the cell."""
        d = self.description
        return {
            "states": len(d.states),
            "gates": len(d.gates),
            "matrices": d.matrices,
            "peepholes": len(d.peepholes),
        }


def cells(args: argparse.Namespace, terminal: Terminal) -> int:
    """Lists the cells that pass all filters; with `--check` compares each with the reference loop."""
    everyone = [Listed(e, zoo.load(e.name), describe(zoo.load(e.name))) for e in catalogue.entries()]
    ranges = {name: getattr(args, name) for name in (*COUNTS, "year")}
    found = [listed for listed in everyone if _passes(listed, args.words_sought, ranges)]
    worst, tolerance = _agreements(found, terminal) if args.check else ({}, 0.0)
    wrong = [name for name, difference in worst.items() if not difference < tolerance]
    if args.json:
        terminal.json({"cells": [_json(listed, worst) for listed in found]})
    elif args.format:
        terminal.table(_columns(found, worst), args.format)
    elif found:
        width = terminal.out.width
        terminal.print(table(_fitting(found, worst, tolerance, width), width))
    if args.check and not args.json and not args.format:
        agree = f"{len(found) - len(wrong)} of {len(found)} cells: compiled cell and reference loop agree"
        terminal.tell(f"{agree} in float64 to {tolerance:.0e}, outputs, states and gradients")
    if not found:
        terminal.tell(f"no cell matches, of {len(everyone)}")
    elif terminal.out.is_terminal:
        of_all = f" of {len(everyone)}" if len(found) < len(everyone) else ""
        terminal.tell(f"\n{len(found)}{of_all} cells; more about one: cellsearch show NAME", "dim")
    return 1 if wrong else 0


def _passes(listed: Listed, words: list[str], ranges: dict[str, range | None]) -> bool:
    """Whether every word occurs in the name, the description or the comment, and every number lies in its
    range."""
    entry = listed.entry
    said = f"{entry.name} {entry.about} {listed.cell.description}".lower()
    numbers = {**listed.counts, "year": entry.year}
    inside = all(wanted is None or numbers[name] in wanted for name, wanted in ranges.items())
    return inside and all(word.lower() in said for word in words)


def _json(listed: Listed, worst: dict[str, float]) -> dict[str, object]:
    entry, cell = listed.entry, listed.cell
    return {
        "name": entry.name, "about": entry.about, "year": entry.year, "authors": entry.authors,
        "checked": list(entry.checked), "fingerprint": fingerprint(cell), **listed.counts,
        "states": [state.name for state in cell.states], "description": cell.description,
        "text": show(cell), **({"difference": worst[entry.name]} if worst else {}),
    }  # fmt: skip


def _columns(found: list[Listed], worst: dict[str, float]) -> list[Column]:
    """All columns, for files and pipes."""
    return [
        column("cell", [x.entry.name for x in found]),
        column("about", [x.entry.about for x in found]),
        column("year", [x.entry.year for x in found]),
        column("authors", [x.entry.authors for x in found]),
        *(column(name, [x.counts[name] for x in found]) for name in COUNTS),
        *([column("difference", [worst[x.entry.name] for x in found], ".0e")] if worst else []),
        column("checked", [", ".join(x.entry.checked) for x in found]),
        column("equations", [in_short(show(x.cell)) for x in found], code=True),
    ]


def _fitting(found: list[Listed], worst: dict[str, float], tolerance: float, width: int) -> list[Column]:
    """The columns that fit a terminal of `width`."""
    names = Column("cell", [text(x.entry.name, "bold") for x in found])
    year = Column("year", [text(x.entry.year) for x in found], right=True)
    about = Column("about", [text(x.entry.about) for x in found])
    counts = [Column(name, [text(x.counts[name]) for x in found], right=True) for name in COUNTS]
    checked = Column("checked against", [text(", ".join(x.entry.checked)) for x in found])
    compiled = []
    if worst:
        differences = [worst[x.entry.name] for x in found]
        signs = [text(f"{d:.0e}", "green" if d < tolerance else "bold red") for d in differences]
        compiled = [Column("compiled", signs, right=True)]
    layouts = (
        [names, about, year, *counts, *compiled, checked],
        [names, about, year, *counts, *compiled],
        [names, about, year, *compiled],
        [names, about, *compiled],
    )
    return next((layout for layout in layouts if width_of(layout) <= width), [names, *compiled])


def _agreements(found: list[Listed], terminal: Terminal) -> tuple[dict[str, float], float]:
    """The largest difference between compiled passes and reference loop for each cell, and the tolerance for
    rounding."""
    from cellsearch.compiler.agreement import TOLERANCE, agreement  # imported here: the list needs no torch

    worst = {}
    for listed in found:
        if terminal.live:
            terminal.tell(f"checking {listed.entry.name}", "dim")
        worst[listed.entry.name] = max(agreement(listed.cell).values())
    return worst, TOLERANCE
