"""`cellsearch check`: validate a file, and compare the compiled cell with its equations.

A `.cell` or `.yaml` file, or the database of searches: a `.db` file or a storage URL.
"""

import argparse
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from rich.text import Text

from cellsearch.cli.numbers import nearest
from cellsearch.cli.terminal import Terminal
from cellsearch.dsl import zoo
from cellsearch.dsl.describe import describe
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.dsl.nodes import read_clock
from cellsearch.dsl.rewriting.reach import dead_states, depends_on_input, has_memory, without_dead
from cellsearch.errors import RunError, printable
from cellsearch.files import near
from cellsearch.report.cells.cell import SHORT
from cellsearch.report.formatting import plural
from cellsearch.report.searches import space as report
from cellsearch.study import lookup
from cellsearch.study import space as spaces
from cellsearch.study.space.data import looks

_LIBPQ = re.compile(r"(host|hostaddr|port|dbname|user|password|service)\s*=")


def check(args: argparse.Namespace, terminal: Terminal) -> int:
    """Checks a cell, a space or a study; raises the errors of the first two."""
    if args.file.endswith(".db") or _is_url(args.file):
        return _studies(args, terminal)
    if args.file.endswith(spaces.SUFFIXES) or (
        args.file in spaces.names() and not os.path.lexists(args.file)
    ):
        return _space(args, terminal)
    if not os.path.lexists(args.file) and args.file not in zoo.names():
        raise _nothing(args.file)
    if (file := Path(args.file) / "study.db").is_file():
        place = printable(args.file)
        raise RunError(f"{place} is the folder of a search\nname its database: {printable(str(file))}")
    return _cell(args, terminal, load(args.file))


def _nothing(word: str) -> RunError:
    """The error for a word that names neither a cell nor a space nor a file."""
    from cellsearch.study import studies  # imported here: checks of cells do not need them

    if word in studies.listed():
        file = printable(str(studies.RESULTS / word / "study.db"))
        return RunError(f"'{printable(word, 60)}' is the name of a search\nname its database: {file}")
    beside, named = near(word), nearest(word, [*zoo.names(), *spaces.names()])
    hint = beside or named if Path(word).name != Path(word).stem or os.sep in word else named or beside
    return RunError(
        f"there is neither a cell nor a space nor a file called '{printable(word)}'\n{hint}"
        "(`cellsearch cells` and `cellsearch spaces` list the known names)"
    )


def _space(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints a summary of the space and the data of each stage."""
    found = spaces.load_space(args.file, find=lookup.seeds())
    file = args.file if args.file.endswith(spaces.SUFFIXES) else f"{args.file}.yaml"
    data = looks(found, file, Path(args.data) if args.data else None)
    if args.json:
        terminal.json({"kind": "space", "ok": True, **report.as_json(found), "data": report.data_json(data)})
        return 0
    terminal.print(
        [
            _good(f"{args.file}: a search space without errors"),
            *report.lines(found, terminal.out.width),
            Text(""),
            *report.data_lines(data, terminal.out.width),
            *(Text(f"note: {warning}", "yellow") for warning in report.warnings(found)),
        ]
    )
    return 0


def _is_url(word: str) -> bool:
    """Whether it is a database URL or a libpq connection string: `host=… password=…`."""
    return "://" in word or (_LIBPQ.match(word) is not None and not os.path.lexists(word))


def _studies(args: argparse.Namespace, terminal: Terminal) -> int:
    """Verifies the records of all searches in a database."""
    # imported here: checks of cells do not need them
    from cellsearch.study import studies
    from cellsearch.study.tables import database, integrity, queries

    given = _is_url(args.file)
    url = args.file if given else database.url_of(Path(args.file))
    place = printable(database.shown(url) if given else args.file)
    stores = studies.in_storage(url)
    if not stores:
        raise RunError(
            f"there is no search in {place}\nname the database of one, as in results/quick/study.db"
        )
    damages = {store.name: integrity.damages(store) for store in stores}
    ok = not any(damages.values())
    if args.json:
        terminal.json({"kind": "study", "ok": ok, "damages": damages})
        return 0 if ok else 1
    for store in stores:
        if found := damages[store.name]:
            terminal.print([Text(f"{place}: the search {store.name} is damaged:", "bold red")])
            terminal.print([Text(f"  {printable(line, 400)}") for line in found])
        else:
            settings = plural(queries.counts(store).settings, "setting")
            terminal.print([_good(f"{place}: the search {store.name}, {settings}, all consistent")])
    if not ok:
        terminal.tell(integrity.remedy(url))
    return 0 if ok else 1


def _cell(args: argparse.Namespace, terminal: Terminal, cell: Cell) -> int:
    from cellsearch.compiler.agreement import (
        TOLERANCE,
        agreement,
    )  # imported here: checks of spaces need no torch

    differences = agreement(cell)
    # NaN: both are non-finite, as for a cell that divides by a state, and cannot be compared
    wrong = {name: d for name, d in differences.items() if d > TOLERANCE}
    empty = [name for name, d in differences.items() if math.isnan(d)]
    worst = max((d for d in differences.values() if not math.isnan(d)), default=0.0)
    warnings = [*_renamed(args.file, fingerprint(cell)), *_warnings(cell, empty)]
    d = describe(cell)
    if args.json:
        terminal.json(
            {
                "kind": "cell", "ok": not wrong, "name": cell.name, "fingerprint": fingerprint(cell),
                "matrices": d.matrices, "peepholes": len(d.peepholes), "gates": len(d.gates),
                "dead_states": dead_states(cell), "warnings": warnings, "tolerance": TOLERANCE,
                "differences": {name: d if math.isfinite(d) else str(d) for name, d in differences.items()},
            }
        )  # fmt: skip
        return 1 if wrong else 0
    parts = (
        plural(d.matrices, "matrix", "matrices"), plural(len(d.peepholes), "peephole"),
        plural(len(d.biases), "bias", "biases"), plural(len(d.gates), "gate"),
    )  # fmt: skip
    terminal.print(
        [_good(f"{args.file}: the cell {cell.name} ({fingerprint(cell)[:SHORT]}): {', '.join(parts)}")]
    )
    terminal.print([_result(differences, wrong, worst, TOLERANCE)])
    for warning in warnings:
        terminal.print([Text(f"note: {warning}", "yellow")])
    return 1 if wrong else 0


def _result(
    differences: Mapping[str, float], wrong: Mapping[str, float], worst: float, tolerance: float
) -> Text:
    if wrong:
        listed = "\n".join(f"  {name}: {difference:.1e}" for name, difference in wrong.items())
        return Text(
            f"the compiled cell differs from the reference loop by more than {tolerance:.0e}:\n{listed}",
            "bold red",
        )
    gradients = sum(name.startswith("gradient") for name in differences)
    return _good(
        f"compiled cell and reference loop agree in float64 to {worst:.1e}: "
        f"outputs, last states and {plural(gradients, 'gradient')}"
    )


def _renamed(file: str, mark: str) -> list[str]:
    """A file in the `cells/` of a search is named after its fingerprint."""
    name = Path(file).stem
    if not re.fullmatch("[0-9a-f]{12}", name) or mark.startswith(name):
        return []
    return [f"its name is that of the cell {name}; it was edited or is damaged"]


def _warnings(cell: Cell, empty: list[str]) -> list[str]:
    """Warnings: allowed, but probably unintended."""
    found = []
    if not depends_on_input(cell):
        found.append("the output does not depend on the input")
    elif not has_memory(cell):
        found.append("the cell has no memory: its output depends only on the last few inputs")
    found += _dead(cell)
    if cell.clock and not read_clock(cell.nodes):
        found.append("the clock is unused (write tick or @slower, or remove its line)")
    if empty:
        found.append(
            f"non-finite on random values, not compared: {', '.join(empty[:6])}{', …' * (len(empty) > 6)}"
        )
    return found


def _dead(cell: Cell) -> list[str]:
    """A line for each dead state. The output may still depend on the equation of its new value."""
    left = without_dead(cell)
    ends = {new for s, new in zip(cell.states, cell.new, strict=True) if s in left.states}
    found = []
    for name, new in zip((s.name for s in cell.states), cell.new, strict=True):
        if name in dead_states(cell):
            needed = name in left.labels or new in ends
            remedy = f"remove it and rename {name}' to {name}" if needed else f"remove it and {name}'"
            found.append(f"state {name}: the output does not depend on it ({remedy})")
    return found


def _good(said: str) -> Text:
    return Text().append("ok  ", "bold green").append(printable(said, 1_000))
