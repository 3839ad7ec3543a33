"""The columns of a leaderboard: one row of `FIELDS` each, for terminals, CSV, Markdown and JSON.

A narrow terminal drops settings first, then accuracies, then tasks.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from rich.text import Text

from cellsearch.dsl.zoo.catalogue import cited
from cellsearch.errors import printable
from cellsearch.report.cells.equations import comment, in_short
from cellsearch.report.columns import WHOLE, Column, Value, column, cut, text, width_of
from cellsearch.study.leaderboard.board import Row, TaskResult
from cellsearch.study.origin import results_json
from cellsearch.study.scoring.verdicts import Call, Verdict

NAME = 20  # columns for a cell's name
NONE = "–"  # noqa: RUF001  (an en dash: nothing to show)
# dropped on a narrow terminal, smallest first
FIRST, ACCURACIES, TASKS, LAST, NEVER = 1, 2, 3, 4, 5


def _shown(row: Row, field: "Field") -> Text:
    value = field.value(row)
    return text(NONE if value is None else value if isinstance(value, str) else format(value, field.form))


@dataclass(frozen=True, slots=True)
class Field:
    """A column."""

    title: str
    value: Callable[[Row], Value]
    form: str = ""  # format of a number
    read: bool = True  # False: only in CSV, which has every value
    left_out: int = FIRST  # on a narrow terminal
    short: str = ""  # its title there
    shown: Callable[[Row, "Field"], Text] = _shown  # its cell there
    right: bool = True
    wanted: Callable[[Sequence[Row]], bool] = lambda rows: True  # there
    json: bool = True  # False: JSON has it under another name


def _name(row: Row, field: Field) -> Text:
    return text(row.name, "cyan" if row.seed else "bold")


def _score(row: Row, field: Field) -> Text:
    shown = NONE if row.score is None else format(row.score, field.form)
    if row.score is None or (row.rank is None and not row.seed):
        return text(shown, "dim")
    confirmed = row.verdict is not None and row.verdict.call == Call.ABOVE
    return text(shown, "bold green" if confirmed else "bold")


def _verified(row: Row, field: Field) -> Text:
    """The verdict with its interval; numbers are aligned over all rows."""
    if row.verdict is None:
        return text("")
    v = row.verdict
    style = {Call.ABOVE: "bold green", Call.LEVEL: "", Call.BELOW: "red"}[v.call]
    return text(f"{v.call} {v.ratio:.3f}", style).append(f" ({v.low:.3f}-{v.high:.3f})", "dim")


def _repeated(row: Row, field: Field) -> Text:
    """The mean and the number behind it."""
    if row.repeated is None:
        return text("")
    mean = NONE if row.repeated.ratio is None else f"{row.repeated.ratio:.3f}"
    broken = f", {row.repeated.diverged} diverged" if row.repeated.diverged else ""
    return text(mean).append(f" ({row.repeated.count}{broken})", "dim")


def _of_repeats(name: str) -> Callable[[Row], Value]:
    return lambda row: None if row.repeated is None else getattr(row.repeated, name)


def _chance(row: Row) -> Value:
    return None if row.above_chance is None else "above" if row.above_chance else "within"


def _of_verdict(name: str) -> Callable[[Row], Value]:
    return lambda row: None if row.verdict is None else getattr(row.verdict, name)


#: A new column is a new row here. Tests: tests/report/test_leaderboard.py
FIELDS: tuple[Field, ...] = (
    Field("rank", lambda row: row.rank, left_out=NEVER, short="#"),
    Field("cell", lambda row: row.name, left_out=NEVER, shown=_name, right=False, json=False),
    Field("score", lambda row: row.score, ".3f", left_out=NEVER, shown=_score),
    # position of the tasks
    Field(
        "tie", lambda row: "≈1" if row.tie else None, left_out=LAST, json=False,
        shown=lambda row, _: text("≈1" if row.tie else "", "dim"),
        wanted=lambda rows: any(row.tie for row in rows),
    ),
    Field(
        "repeated", _of_repeats("ratio"), ".3f", left_out=LAST, shown=_repeated, right=False, json=False,
        wanted=lambda rows: any(row.repeated is not None for row in rows),
    ),
    Field("repeats", _of_repeats("count"), read=False, json=False),
    Field("repeats diverged", _of_repeats("diverged"), read=False, json=False),
    Field(
        "chance", _chance, left_out=LAST, right=False, json=False,
        shown=lambda row, _: text(_chance(row) or "", "" if row.above_chance else "dim"),
        wanted=lambda rows: any(row.above_chance is not None for row in rows),
    ),
    Field(
        "verified", _of_verdict("call"), left_out=LAST, shown=_verified, right=False, json=False,
        wanted=lambda rows: any(row.verdict is not None for row in rows),
    ),
    Field("verified ratio", _of_verdict("ratio"), ".3f", read=False, json=False),
    Field("verified low", _of_verdict("low"), ".3f", read=False, json=False),
    Field("verified high", _of_verdict("high"), ".3f", read=False, json=False),
    Field("verified repeats", _of_verdict("repeats"), read=False, json=False),
    Field("settings", lambda row: row.settings, ","),
    Field("parameters", lambda row: row.parameters, ",", left_out=LAST),
    Field(
        "status", lambda row: row.status, left_out=LAST, shown=lambda row, _: text(row.ending, "dim"),
        right=False, wanted=lambda rows: any(row.status not in ("seed", "ranked") for row in rows),
    ),
    Field("fingerprint", lambda row: row.fingerprint, read=False),
    Field("trial", lambda row: row.trial, read=False),
    Field("parent", lambda row: row.parent_name, read=False, json=False),
    Field("edits", lambda row: "; ".join(row.edits), read=False, json=False),
    Field("changes", lambda row: "; ".join(row.changes), read=False, json=False),
)  # fmt: skip


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain values; `text` is the cell's `.cell` file, `setting` the best setting by name."""
    names = [f.name for f in fields(Row)]
    own = {f.title.replace(" ", "_"): f for f in FIELDS if f.json}
    return [
        {name: getattr(row, name) for name in names}
        | {name: field.value(row) for name, field in own.items()}
        | {"tasks": results_json(row.tasks), "seed": row.seed, "verdict": verdict_json(row.verdict)}
        | {"repeated": row.repeated and asdict(row.repeated)}
        for row in rows
    ]


def verdict_json(verdict: Verdict | None) -> dict[str, Any] | None:
    """A verdict as plain values."""
    return None if verdict is None else asdict(verdict)


def columns(rows: Sequence[Row], every: bool) -> list[Column]:
    """The table for another program, one number per column; with `every` also all values of the best
    settings."""

    def of(chosen: Sequence[Field]) -> list[Column]:
        return [column(f.title, [f.value(row) for row in rows], f.form) for f in chosen]

    there = [field for field in FIELDS if field.read or every]
    found = of([field for field in there if field.left_out == NEVER])
    for k, task in enumerate(rows[0].tasks if rows else ()):
        found += _of_task(task.task, [row.tasks[k] for row in rows], every)
    found += of([field for field in there if field.left_out != NEVER])
    if every:
        return [*found, column("equations", [in_short(row.text) for row in rows])]
    return [*found, column("equations", ["".join(described(row)) for row in rows], code=True)]


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
    """The origin of a cell and its equations in one line; for a mutant only those that differ from its
    parent."""
    if row.changes and row.parent_name:
        gone = row.changes[0].startswith("without ")
        return f"{printable(row.parent_name, NAME)} {'' if gone else 'with '}", "; ".join(row.changes)
    source = cited(comment(row.text)) if row.seed else None
    return f"{source[0]}: " if source else "", in_short(row.text)


def fitting(rows: Sequence[Row], width: int, size: Column | None, more: Sequence[Column]) -> list[Column]:
    """The columns that fit a terminal: `size` replaces the parameters, `more` follows the score."""
    there = {
        field.title: size if size and field.title == "parameters" else _on_terminal(field, rows, width)
        for field in FIELDS
        if field.read and field.wanted(rows)
    }
    found: list[Column] = []
    for step in range(FIRST, NEVER + 1):
        kept = [field for field in FIELDS if field.title in there and field.left_out >= step]
        tasks = _tasks(rows, accuracies=step <= ACCURACIES) if step <= TASKS else []
        found = [
            *(there[field.title] for field in kept if field.left_out == NEVER), *more, *tasks,
            *(there[field.title] for field in kept if field.left_out != NEVER),
        ]  # fmt: skip
        if width_of(found) <= width:
            break
    return found


def _on_terminal(field: Field, rows: Sequence[Row], width: int) -> Column:
    cells = [field.shown(row, field) for row in rows]
    if field.title == "cell" and width < WHOLE:
        cells = [cut(cell, NAME) for cell in cells]
    return Column(field.short or field.title, cells, field.right)


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
