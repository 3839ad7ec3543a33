"""The leaderboard as people see it. In: rows of a board, and how the search stands. Out: lines, or values for
JSON.

As much of the table as fits: equations in a column or in a line of their own below each cell, then without
accuracies, then without tasks.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report import totals
from cellsearch.report.columns import GAP, Column, cut, table, text, width_of, wrapped
from cellsearch.report.equations import in_short, paint
from cellsearch.report.words import plural
from cellsearch.study.leaderboard.board import Front, Row, TaskResult
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.records import Target

BESIDE = 44  # columns that equations need beside the table; with fewer they go below
NAME = 20  # columns for a cell's name
NONE = "–"  # noqa: RUF001  (an en dash: nothing to show)
MEASURED = {  # a measure of a cell -> in words
    "nodes": "nodes", "matrices": "matrices", "depth": "nodes in a row", "products": "products in a row",
    "parameters": "parameters", "multiply_adds": "multiply-adds",
}  # fmt: skip


def chosen(rows: Sequence[Row], count: int) -> list[Row]:
    """The first `count` rows, and the seeds wherever they are."""
    return [row for k, row in enumerate(rows) if k < count or row.seed]


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain values; `text` is the cell's `.cell` file."""
    return [{**asdict(row), "seed": row.seed} for row in rows]


def lines(rows: Sequence[Row], width: int, equations: bool = True, size: Column | None = None) -> list[Text]:
    """The table in `width` columns; `size` stands where else the size of the models does."""
    if not rows:
        return [text("no cell has been evaluated yet", "dim")]
    columns = _fitting(rows, width, size)
    left = width - width_of(columns) - GAP
    if equations and left >= BESIDE:
        columns.append(Column("equations", [cut(paint(in_short(row.text), left), left) for row in rows]))
    shown = table(columns, width)
    if not equations or left >= BESIDE:
        return shown
    below = "  " if width < 60 else " " * (columns[0].width + GAP)
    result = shown[:1]
    for line, row in zip(shown[1:], rows, strict=True):
        result += [line, cut(paint(below + in_short(row.text), width), width)]
    return result


def _fitting(rows: Sequence[Row], width: int, size: Column | None) -> list[Column]:
    """The most telling columns that fit."""
    style = ["cyan" if row.seed else "" for row in rows]
    extra = any(row.status not in ("seed", "ranked") for row in rows)
    rank = Column("#", [text(row.rank or NONE) for row in rows], right=True)
    name = Column(
        "cell", [cut(text(row.name, s or "bold"), NAME) for row, s in zip(rows, style, strict=True)]
    )
    status = [Column("status", [text(row.status, "dim") for row in rows])] if extra else []
    score = Column("score", [_score(row) for row in rows], right=True)
    models = [text(NONE if row.parameters is None else f"{row.parameters:,}") for row in rows]
    parameters = size or Column("parameters", models, right=True)
    head = [rank, name, score]
    tail = [Column("settings", [text(row.settings) for row in rows], right=True), parameters]
    tasks = _tasks(rows, accuracies=True)
    for columns in ([*head, *tasks, *tail, *status], [*head, *tasks, parameters, *status]):
        if width_of(columns) <= width:
            return columns
    columns = [*head, *_tasks(rows, accuracies=False), parameters, *status]
    narrow = [*head, parameters, *status]
    return next((c for c in (columns, narrow) if width_of(c) <= width), head)


def _tasks(rows: Sequence[Row], accuracies: bool) -> list[Column]:
    columns = []
    for k, task in enumerate(rows[0].tasks):
        best = max((row.tasks[k].accuracy or 0.0 for row in rows), default=0.0)
        cells = [
            _result(row.tasks[k], accuracies, (row.tasks[k].accuracy or 0.0) >= best > 0) for row in rows
        ]
        columns.append(Column(task.task, cells, right=True))
    return columns


def _result(result: TaskResult, accuracy: bool, best: bool) -> Text:
    shown = text(NONE if result.ratio is None else f"{result.ratio:.3f}", "bold" if best else "")
    if accuracy:
        reached = NONE if result.accuracy is None else f"{100 * result.accuracy:.1f}%"
        shown.append(f" {reached:>6}", "dim")
    return shown


def _score(row: Row) -> Text:
    if row.score is None or (row.rank is None and not row.seed):
        return text(NONE if row.score is None else f"{row.score:.3f}", "dim")
    return text(f"{row.score:.3f}", "bold green" if row.score > 1 and not row.seed else "bold")


def front_lines(front: Front, width: int) -> list[Text]:
    """The front of a search, the seeds that are not on it below, and what is held against the score."""
    rows = [*front.rows, *front.seeds]
    costs = [text(f"{front.costs[row.fingerprint]:,}", "bold") for row in rows]
    shown = lines(rows, width, size=Column(front.cost.replace("_", "-"), costs, right=True))
    if not front.rows:
        return [*shown, text(""), text("the front comes once the baseline is done", "dim")]
    what = f"Pareto front: a ranked cell that scores more than one of these has more {MEASURED[front.cost]}"
    if front.cost in ("parameters", "multiply_adds"):
        what += f", of one layer with {front.width:,} units and as many inputs"
    if front.seeds:
        what += f"; not on the front: {', '.join(printable(row.name, NAME) for row in front.seeds)}"
    return [*shown, text(""), *wrapped(what, width, style="dim")]


def front_json(front: Front) -> dict[str, Any]:
    """The front as plain values: its rows, then the seeds that are not on it, each with its cost."""
    rows = as_json([*front.rows, *front.seeds])
    for k, row in enumerate(rows):
        row |= {"cost": front.costs[row["fingerprint"]], "front": k < len(front.rows)}
    return {"cost": front.cost, "width": front.width, "rows": rows}


def notes(counts: Counts, target: Target, baseline: str, dropped: Sequence[str], width: int) -> list[Text]:
    """What stands below the table: what a score is, how the trials ended, and which tasks are left out."""
    shown: list[Text] = []
    if counts.told < counts.seeds:
        shown += wrapped(f"scores appear when the baseline is done: {totals.baseline(counts)}", width)
    else:
        shown += wrapped(
            f"ratio: best accuracy divided by that of {printable(baseline)}; "
            "score: the least of a cell's ratios",
            width, style="dim",
        )  # fmt: skip
    shown += wrapped(ended(counts, target), width)
    if counts.equivalents:
        what = f"{plural(counts.equivalents, 'cell')} equivalent to a cell met before, counted as that cell"
        shown += wrapped(what, width, style="dim")
    for line in dropped:
        shown += wrapped(f"not used: {printable(line, 1_000)}", width, style="yellow", hanging="  ")
    return shown


def ended(counts: Counts, target: Target) -> str:
    """Trials, their outcomes, and settings, in a sentence without a verb."""
    return f"{totals.trials(counts, target)}: {totals.outcomes(counts)}; {totals.settings(counts)}"


def winner(rows: Sequence[Row], name: str, storage: str | None = None) -> list[Text]:
    """The command that exports the first of the list; nothing where there is none."""
    first = next((row for row in rows if row.rank == 1), None)
    if first is None:
        return []
    given = f" --storage {printable(storage, 400)}" if storage else ""
    ahead = f"no mutant is ahead of {printable(first.name, 40)} yet; export it: "
    line = text(ahead if first.seed else "export the winner: ", "dim")
    line.append(f"cellsearch export {name}:1 --to torch,latex{given}", "bold")
    return [line]
