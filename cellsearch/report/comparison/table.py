"""A comparison as tables: lines for a terminal, columns for other programs, from the values of
`analysis.compare.facts`."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from cellsearch.analysis.compare.judge import Statement
from cellsearch.analysis.compare.run import Step
from cellsearch.errors import plural, printable
from cellsearch.report.columns import Column, column, table, text, wrapped
from cellsearch.report.formatting import about as about_time
from cellsearch.report.searches import importance

Facts = Mapping[str, Any]
STYLES = {
    Statement.BASELINE: "dim", Statement.HELPS: "green", Statement.HURTS: "red", Statement.HARMLESS: "bold",
    Statement.UNKNOWN: "",
}  # fmt: skip


def step_line(step: Step) -> str:
    """Progress of a comparison."""
    if not step.of:
        return "every training is recorded"
    if not step.cell:
        return f"{plural(step.of, 'population')} to train: a cell on a task, all its settings"
    rest = f", about {about_time(step.left)} left" if step.done < step.of else ""
    ended = f"{printable(step.cell, 40)} on {printable(step.task, 40)}"
    return f"{step.done} of {step.of}: {ended}, {plural(step.members, 'setting')}{rest}"


def columns(found: Facts) -> list[Column]:
    """One row for each cell and task, with one number a column."""
    rows = [(task["name"], row) for task in found["tasks"] for row in task["rows"]]
    shown = [
        column("task", [task for task, _ in rows]),
        column("cell", [row["cell"] for _, row in rows]),
        column("statement", [row["statement"] for _, row in rows]),
    ]
    for name, form in (
        ("mean", ".4f"), ("standard_error", ".4f"), ("ratio", ".3f"), ("low", ".3f"), ("high", ".3f"),
        ("p", ".2g"), ("p_greff", ".2g"), ("p_margin", ".2g"), ("diverged", ""),
    ):  # fmt: skip
        shown.append(column(name, [row[name] for _, row in rows], form))
    return shown


def matrix(found: Facts) -> list[Column]:
    """A row for each cell, its statement on each task."""
    names = [cell["name"] for cell in found["cells"]]
    said = {task["name"]: [row["statement"] for row in task["rows"]] for task in found["tasks"]}
    return [column("cell", names), *(column(task, values) for task, values in said.items())]


def lines(found: Facts, width: int) -> list[Text]:
    """The lines for a terminal."""
    shown: list[Text] = []
    for task in found["tasks"]:
        shown += [text(printable(task["name"], 60), "bold"), *table(_task(task), width)]
        shown += [
            *wrapped(floor(found, task), width, style="yellow" if idle(found, task) else "dim"),
            text(""),
        ]
    if len(found["tasks"]) > 1:
        shown += [*_matrix(found, width), text("")]
    shown += [*importance.lines(importances(found), width), text("")]
    for paragraph in about(found):
        shown += wrapped(paragraph, width, style="dim")
    return shown


def importances(found: Facts) -> dict[str, dict[str, float]]:
    """Task -> hyperparameter -> its share, for tasks with enough trainings."""
    return {task["name"]: task["importance"] for task in found["tasks"] if task["importance"]}


def _task(task: Facts) -> list[Column]:
    rows = task["rows"]
    said = [Statement(row["statement"]) for row in rows]
    return [
        Column("cell", [text(printable(row["cell"], 24), "bold") for row in rows]),
        Column("test", [text(_number(row["mean"], ".4f")) for row in rows], True),
        Column("ratio", [text(_number(row["ratio"], ".3f"), "bold") for row in rows], True),
        Column("interval", [text(interval(row)) for row in rows]),
        Column("p", [text(_number(row["p"], ".2g")) for row in rows], True),
        Column("diverged", [text(row["diverged"] or "") for row in rows], True),
        Column("units", [text(units(row)) for row in rows], True),
        Column("", [text(one.value, STYLES[one]) for one in said]),
    ]


def _matrix(found: Facts, width: int) -> list[Text]:
    names = [text(printable(cell["name"], 24), "bold") for cell in found["cells"]]
    shown = [Column("cell", names)]
    for task in found["tasks"]:
        said = [Statement(row["statement"]) for row in task["rows"]]
        cells = [text(one.value, STYLES[one]) for one in said]
        shown.append(Column(printable(task["name"], 24), cells))
    return table(shown, width)


def idle(found: Facts, task: Facts) -> bool:
    """Whether the baseline has hardly learned to use its states."""
    row = next(row for row in task["rows"] if row["cell"] == found["baseline"])
    return row["mean"] is not None and row["mean"] < task["memoryless"] * (1 + found["margin"])


def floor(found: Facts, task: Facts) -> str:
    """The accuracy without memory, and a warning if the baseline is not better."""
    said = f"a predictor that sees the current symbol alone: {task['memoryless']:.4f}"
    if not idle(found, task):
        return said
    return (
        f"{said}. The baseline is better by less than {found['margin']:.3g} of that: trained like this, "
        "the task says little about cells"
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def interval(row: Facts) -> str:
    """The interval of a ratio, or an empty text."""
    return "" if row["low"] is None else f"{row['low']:.3f}-{row['high']:.3f}"


def units(row: Facts) -> str:
    """The units of a layer of the trained models."""
    known = sorted({one["hidden"] for one in row["outcomes"]})
    return f"{known[0]}" if len(known) == 1 else f"{known[0]}-{known[-1]}"


def about(found: Facts) -> list[str]:
    """The meaning of the columns and of the statements."""
    best, error = plural(found["best"], "setting"), found["error"]
    return [
        f"test: mean accuracy on the test part of the best {best} of {found['settings']} by validation "
        f"accuracy. ratio: {printable(found['baseline'], 60)} is 1; the 95% interval is that of this "
        "comparison alone. p: Welch's test for trimmed means, with Holm's correction over all cells and "
        "tasks",
        f"helps, hurts: p is at most {error:g}. does not hurt: worse by less than {found['margin']:.3g} of "
        f"the baseline, with an error of at most {error:g} over all. cannot be told: neither is shown",
    ]
