"""The leaderboard as people see it. In: rows of a board, and how the search stands. Out: lines, or values for
JSON.

As much of the table as fits: equations in a column or below each cell, then without accuracies, then without
tasks. Of a mutant the equations are those in which it differs from its parent.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from rich.text import Text

from cellsearch.dsl.zoo.catalogue import cited
from cellsearch.errors import printable
from cellsearch.report.cells.equations import comment, in_short, paint
from cellsearch.report.columns import (
    GAP,
    WHOLE,
    Column,
    Value,
    column,
    cut,
    table,
    text,
    width_of,
    wrapped,
)
from cellsearch.report.formatting import plural
from cellsearch.report.searches import totals
from cellsearch.study.leaderboard.board import Front, Row, TaskResult
from cellsearch.study.space.model import FILTER
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.records import Target

BESIDE = 44  # columns that equations need beside the table; with fewer they go below
LINES = 3  # below a cell at most
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
    """The rows as plain values; `text` is the cell's `.cell` file, `setting` the best setting by name."""
    names = [f.name for f in fields(Row)]
    return [
        {name: getattr(row, name) for name in names} | {"tasks": results_json(row.tasks), "seed": row.seed}
        for row in rows
    ]


def results_json(results: Sequence[TaskResult]) -> list[dict[str, Any]]:
    """The results on each task as plain values, the best setting by name."""
    names = [f.name for f in fields(TaskResult)]
    return [
        {name: getattr(result, name) for name in names} | {"setting": result.values or None}
        for result in results
    ]


def columns(rows: Sequence[Row], every: bool) -> list[Column]:
    """The table for another program, with one number a column; with `every` all that is known of the best
    settings, which is too wide to be read."""

    def of(value: Callable[[Row], Value]) -> list[Value]:
        return [value(row) for row in rows]

    found = [
        column("rank", of(lambda row: row.rank)),
        column("cell", of(lambda row: row.name)),
        column("score", of(lambda row: row.score), ".3f"),
    ]
    for k, task in enumerate(rows[0].tasks if rows else ()):
        found += _of_task(task.task, [row.tasks[k] for row in rows], every)
    found += [
        column("settings", of(lambda row: row.settings), ","),
        column("parameters", of(lambda row: row.parameters), ","),
        column("status", of(lambda row: row.status)),
    ]
    if every:
        found += [
            column("fingerprint", of(lambda row: row.fingerprint)),
            column("trial", of(lambda row: row.trial)),
            column("parent", of(lambda row: row.parent_name)),
            column("edits", of(lambda row: "; ".join(row.edits))),
            column("changes", of(lambda row: "; ".join(row.changes))),
            column("equations", of(lambda row: in_short(row.text))),
        ]
        return found
    return [*found, column("equations", of(lambda row: "".join(described(row))), code=True)]


def _of_task(task: str, results: Sequence[TaskResult], every: bool) -> list[Column]:
    """The columns of one task."""
    found = [
        column(f"{task} ratio", [r.ratio for r in results], ".3f"),
        column(f"{task} accuracy", [r.accuracy for r in results], ".1%"),
    ]
    if every:
        for name in ("loss", "epochs", "trained", "hidden", "parameters", "settings"):
            found.append(column(f"{task} {name}", [getattr(r, name) for r in results]))
        names = list(dict.fromkeys(name for r in results for name in r.values))
        found += [column(f"{task} setting {name}", [r.values.get(name) for r in results]) for name in names]
    return found


def described(row: Row) -> tuple[str, str]:
    """Where a cell comes from, and its equations in one line; of a mutant those that its parent does not
    have."""
    if row.changes and row.parent_name:
        gone = row.changes[0].startswith("without ")
        return f"{printable(row.parent_name, NAME)} {'' if gone else 'with '}", "; ".join(row.changes)
    source = cited(comment(row.text)) if row.seed else None
    return f"{source[0]}: " if source else "", in_short(row.text)


def lines(
    rows: Sequence[Row],
    width: int,
    equations: bool = True,
    size: Column | None = None,
    more: Sequence[Column] = (),
) -> list[Text]:
    """The table in `width` columns; `size` stands where else the size of the models does, `more` behind the
    score."""
    if not rows:
        return [text("no cell has been evaluated yet", "dim")]
    columns = _fitting(rows, width, size, more)
    if not equations:
        return table(columns, width)
    told = [described(row) for row in rows]
    left = width - width_of(columns) - GAP
    longest = max(
        (len(head + said) for row, (head, said) in zip(rows, told, strict=True) if not row.seed), default=0
    )
    if left >= max(BESIDE, min(longest, WHOLE // 2)):
        columns.append(Column("equations", [cut(_painted(head, said, left), left) for head, said in told]))
        return table(columns, width)
    below = "  " if width < 60 else " " * (columns[0].width + GAP)
    shown = table(columns, width)
    result = shown[:1]
    for line, (head, said) in zip(shown[1:], told, strict=True):
        result += [line, *_below(head, said, below, width)]
    return result


def _painted(head: str, said: str, shown: int) -> Text:
    return text(head, "dim").append_text(paint(said, shown))


def _below(head: str, said: str, indent: str, width: int) -> list[Text]:
    """The equations in lines of their own, the rest left out where they are too many."""
    room = max(12, width - len(indent))
    parts = _packed(f"{head}{said}".split("; "), room)
    if len(parts) > LINES:
        parts[LINES - 1 :] = [f"{parts[LINES - 1]} …"]
    first = cut(text(indent).append_text(_painted(head, parts[0][len(head) :], room)), width)
    return [first, *(cut(text(indent).append_text(paint(part)), width) for part in parts[1:])]


def _packed(items: Sequence[str], room: int) -> list[str]:
    """Items in lines of `room` columns, `; ` between them; one that is longer is broken between words."""
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


def _fitting(rows: Sequence[Row], width: int, size: Column | None, more: Sequence[Column]) -> list[Column]:
    """The most telling columns that fit."""
    longest = NAME if width < WHOLE else width
    style = ["cyan" if row.seed else "" for row in rows]
    extra = any(row.status not in ("seed", "ranked") for row in rows)
    rank = Column("#", [text(row.rank or NONE) for row in rows], right=True)
    name = Column(
        "cell", [cut(text(row.name, s or "bold"), longest) for row, s in zip(rows, style, strict=True)]
    )
    status = [Column("status", [text(_status(row), "dim") for row in rows])] if extra else []
    score = Column("score", [_score(row) for row in rows], right=True)
    models = [text(NONE if row.parameters is None else f"{row.parameters:,}") for row in rows]
    parameters = size or Column("parameters", models, right=True)
    head = [rank, name, score, *more]
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


def _status(row: Row) -> str:
    """The status, with the stage where that is not the filter."""
    return row.status.removesuffix(f" at {FILTER}")


def _score(row: Row) -> Text:
    if row.score is None or (row.rank is None and not row.seed):
        return text(NONE if row.score is None else f"{row.score:.3f}", "dim")
    return text(f"{row.score:.3f}", "bold green" if row.score > 1 and not row.seed else "bold")


def front_lines(front: Front, width: int) -> list[Text]:
    """The front of a search, the seeds that are not on it below, and what is held against the score."""
    rows = [*front.rows, *front.seeds]
    costs = [text(f"{front.costs[row.fingerprint]:,}", "bold") for row in rows]
    size = Column(front.cost.replace("_", "-"), costs, right=True)
    on = [text("yes", "green")] * len(front.rows) + [text("no", "dim")] * len(front.seeds)
    shown = lines(rows, width, size=size, more=[Column("front", on)] if front.rows else ())
    if not front.rows:
        return [*shown, text(""), text("the front is known when the baseline is done", "dim")]
    what = f"front: ranked cells that no other one beats in score without more {MEASURED[front.cost]}"
    if front.cost in ("parameters", "multiply_adds"):
        what += f", counted for one layer with {front.width:,} units and as many inputs"
    if front.seeds:
        what += "; other seeds are shown for comparison"
    return [*shown, text(""), *wrapped(what, width, style="dim")]


def front_columns(front: Front, every: bool) -> list[Column]:
    """The same for another program."""
    rows = [*front.rows, *front.seeds]
    costs = column(front.cost, [front.costs[row.fingerprint] for row in rows], ",")
    on = column("front", ["yes"] * len(front.rows) + ["no"] * len(front.seeds))
    first, second, *rest = columns(rows, every)
    return [first, second, on, costs, *(c for c in rest if c.title != front.cost)]


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
            "score: the smallest of a cell's ratios",
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
    line = text(f"export {printable(first.name, 40)}: " if first.seed else "export the winner: ", "dim")
    line.append(f"cellsearch export {name}:1 --to torch,latex{given}", "bold")
    ahead = [text(f"no mutant is ahead of {printable(first.name, 40)} yet", "dim")] if first.seed else []
    return [*ahead, line]
