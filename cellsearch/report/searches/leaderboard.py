"""The leaderboard as lines of text, its Pareto front, and notes.

Shows the columns that fit, with equations in a column or below each cell. A mutant shows only the equations
that differ from its parent.
"""

import shlex
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report.cells.equations import paint
from cellsearch.report.columns import GAP, WHOLE, Column, column, cut, table, text, width_of, wrapped
from cellsearch.report.formatting import plural
from cellsearch.report.searches import totals
from cellsearch.report.searches.board_columns import as_json, columns, described, fitting
from cellsearch.study.leaderboard.board import Front, Row
from cellsearch.study.scoring.chance import Band
from cellsearch.study.tables.database import left_out, pasted
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.study_facts import Target

BESIDE = 44  # minimum width of the column of equations; else they go below
LINES = 3  # maximum lines below a cell
MEASURED = {  # cost of a cell -> words
    "nodes": "nodes", "matrices": "matrices", "depth": "nodes in a row", "products": "products in a row",
    "parameters": "parameters", "multiply_adds": "multiply-adds",
}  # fmt: skip


def chosen(rows: Sequence[Row], count: int) -> list[Row]:
    """The first `count` rows, and all seeds."""
    return [row for k, row in enumerate(rows) if k < count or row.seed]


def lines(
    rows: Sequence[Row],
    width: int,
    equations: bool = True,
    size: Column | None = None,
    more: Sequence[Column] = (),
) -> list[Text]:
    """The table in `width` columns; `size` replaces the size of the models, `more` follows the score."""
    if not rows:
        return [text("no cell has been evaluated yet", "dim")]
    found = fitting(rows, width, size, more)
    if not equations:
        return table(found, width)
    pairs = [described(row) for row in rows]
    left = width - width_of(found) - GAP
    longest = max(
        (len(head + said) for row, (head, said) in zip(rows, pairs, strict=True) if not row.seed), default=0
    )
    if left >= max(BESIDE, min(longest, WHOLE // 2)):
        found.append(Column("equations", [cut(_painted(head, said, left), left) for head, said in pairs]))
        return table(found, width)
    below = "  " if width < 60 else " " * (found[0].width + GAP)
    shown = table(found, width)
    result = shown[:1]
    for line, (head, said) in zip(shown[1:], pairs, strict=True):
        result += [line, *_below(head, said, below, width)]
    return result


def _painted(head: str, said: str, shown: int) -> Text:
    return text(head, "dim").append_text(paint(said, shown))


def _below(head: str, said: str, indent: str, width: int) -> list[Text]:
    """The equations on separate lines, truncated if there are too many."""
    room = max(12, width - len(indent))
    parts = _packed(f"{head}{said}".split("; "), room)
    if len(parts) > LINES:
        parts[LINES - 1 :] = [f"{parts[LINES - 1]} …"]
    first = cut(text(indent).append_text(_painted(head, parts[0][len(head) :], room)), width)
    return [first, *(cut(text(indent).append_text(paint(part)), width) for part in parts[1:])]


def _packed(items: Sequence[str], room: int) -> list[str]:
    """Items joined by `; ` in lines of `room` columns; longer items are wrapped."""
    parts = [""]
    for k, item in enumerate(items):
        said = item + ";" * (k < len(items) - 1)
        longer = f"{parts[-1]} {said}" if parts[-1] else said
        if len(longer) <= room:
            parts[-1] = longer
        else:
            parts[-1:] = [part for part in parts[-1:] if part]
            parts += textwrap.wrap(said, room, break_on_hyphens=False)
    return parts


def front_lines(front: Front, width: int) -> list[Text]:
    """The Pareto front of score and cost, followed by the seeds that are not on it."""
    rows = [*front.rows, *front.seeds]
    costs = [text(f"{front.costs[row.fingerprint]:,}", "bold") for row in rows]
    size = Column(front.cost.replace("_", "-"), costs, right=True)
    on = [text("yes", "green")] * len(front.rows) + [text("no", "dim")] * len(front.seeds)
    shown = lines(rows, width, size=size, more=[Column("front", on)] if front.rows else ())
    if not front.rows:
        return [*shown, text(""), text("the front appears when the baseline is done", "dim")]
    what = f"front: no other ranked cell has a better score without more {MEASURED[front.cost]}"
    if front.cost in ("parameters", "multiply_adds"):
        what += f", for one layer with {front.width:,} units and as many inputs"
    if front.seeds:
        what += "; the other seeds are for comparison"
    return [*shown, text(""), *wrapped(what, width, style="dim")]


def front_columns(front: Front, every: bool) -> list[Column]:
    """The same for another program."""
    rows = [*front.rows, *front.seeds]
    costs = column(front.cost, [front.costs[row.fingerprint] for row in rows], ",")
    on = column("front", ["yes"] * len(front.rows) + ["no"] * len(front.seeds))
    first, second, *rest = columns(rows, every)
    return [first, second, on, costs, *(c for c in rest if c.title != front.cost)]


def front_json(front: Front) -> dict[str, Any]:
    """The front as plain values: its rows, then the other seeds, each with its cost."""
    rows = as_json([*front.rows, *front.seeds])
    for k, row in enumerate(rows):
        row |= {"cost": front.costs[row["fingerprint"]], "front": k < len(front.rows)}
    return {"cost": front.cost, "width": front.width, "rows": rows}


def notes(counts: Counts, target: Target, baseline: str, dropped: Sequence[str], width: int) -> list[Text]:
    """The notes below the table: definition of the score, outcomes of trials, dropped tasks."""
    shown: list[Text] = []
    if counts.told < counts.seeds:
        shown += wrapped(f"scores appear when the baseline is done: {totals.baseline(counts)}", width)
    else:
        shown += wrapped(
            f"ratio: best accuracy divided by that of {printable(baseline)}; "
            "score: the smallest of a cell's ratios",
            width, style="dim",
        )  # fmt: skip
    shown += wrapped(ended(counts, target), width)
    if counts.equivalents:
        what = f"{plural(counts.equivalents, 'cell')} equivalent to an earlier cell, counted as that cell"
        shown += wrapped(what, width, style="dim")
    for line in dropped:
        shown += wrapped(f"not used: {printable(line, 1_000)}", width, style="yellow", hanging="  ")
    return shown


def chance_json(band: Band) -> dict[str, float]:
    """The band of chance as plain values."""
    return {"cells": band.cells, "middle": band.middle, "high": band.high, "one": band.one}


def trusted(band: Band | None, rows: Sequence[Row], baseline: str, width: int) -> list[Text]:
    """Notes on trust: the band of chance, ties, and verdicts."""
    notes = []
    if band is not None:
        notes.append(
            f"chance: the best of {plural(band.cells, 'cell')} no better than {printable(baseline)} would "
            f"score {band.middle:.3f} (median), and less than {band.high:.3f} with probability 95%"
        )
    if any(row.tie for row in rows):
        notes.append("≈1: noise alone could place it first")
    if any(row.repeated is not None for row in rows):
        notes.append(
            "repeated: mean of further trainings with fresh seeds (their number), the least of the ratios; a "
            "score counts the best training alone"
        )
    if any(row.verdict is not None for row in rows):
        notes.append(
            "verified: fresh seeds and data, on the test part; the smallest ratio of means, with its interval"
        )
    return [line for note in notes for line in wrapped(note, width, style="dim")]


def ended(counts: Counts, target: Target) -> str:
    """Trials, their outcomes, and settings, as one phrase."""
    return f"{totals.trials(counts, target)}: {totals.outcomes(counts)}; {totals.settings(counts)}"


def winner(rows: Sequence[Row], name: str, storage: str | None = None) -> list[Text]:
    """The command that exports the first cell; no lines for an empty list."""
    first = next((row for row in rows if row.rank == 1), None)
    if first is None:
        return []
    given = f" --storage {shlex.quote(printable(pasted(storage), 400))}" if storage else ""
    line = text(f"export {printable(first.name, 40)}: " if first.seed else "export the winner: ", "dim")
    line.append(f"cellsearch export {name}:1 --to torch,latex{given}", "bold")
    checked = any(row.verdict is not None for row in rows)
    if not checked and any(row.rank is not None and not row.seed for row in rows):
        lines = [text("is it real? train the first cells again: ", "dim")]
        lines[0].append(f"cellsearch verify {name}{given}", "bold")
    else:
        lines = []
    ahead = [text(f"no mutant is ahead of {printable(first.name, 40)} yet", "dim")] if first.seed else []
    needed = left_out(storage)
    return [*ahead, *lines, line, *([text(f"({needed})", "dim")] if needed else [])]
