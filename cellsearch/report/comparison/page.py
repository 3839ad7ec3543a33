"""A comparison as one page of Markdown, from the values of `analysis.compare.facts`."""

from collections.abc import Mapping
from typing import Any

from cellsearch.analysis.compare.judge import Statement
from cellsearch.errors import plural, printable
from cellsearch.report.columns import as_markdown, column
from cellsearch.report.comparison import table
from cellsearch.report.searches import importance

Facts = Mapping[str, Any]


def page(found: Facts, figure: str) -> str:
    """The page; `figure` is the name of the SVG beside it."""
    cells = plural(len(found["cells"]), "cell")
    tasks = plural(len(found["tasks"]), "task")
    parts = [
        f"# Comparison of {cells} on {tasks}\n",
        "".join(f"- {line}\n" for line in sentences(found)),
        f"![Test accuracy of the best settings of each cell]({figure})\n",
        *(f"{line}\n" for line in table.about(found)),
    ]
    for task in found["tasks"]:
        said = table.floor(found, task)
        said = f"{said[0].upper()}{said[1:]}."
        parts += [f"## {printable(task['name'], 100)}\n", as_markdown(_columns(task)), f"{said}\n"]
    shares = table.importances(found)
    if shares:
        parts += ["## Hyperparameters\n", as_markdown(importance.columns(shares)), f"{importance.ABOUT}.\n"]
    parts += ["## Conditions\n", "".join(f"- {line}\n" for line in conditions(found))]
    return "\n".join(parts)


def sentences(found: Facts) -> list[str]:
    """The statements, a sentence each with its cells and tasks."""
    shown = []
    for said in (Statement.HELPS, Statement.HURTS, Statement.HARMLESS, Statement.UNKNOWN):
        about = []
        for k, cell in enumerate(found["cells"]):
            where = [t["name"] for t in found["tasks"] if t["rows"][k]["statement"] == said]
            if where:
                every = len(where) == len(found["tasks"])
                on = "every task" if every and len(where) > 1 else ", ".join(printable(w, 60) for w in where)
                about.append(f"`{printable(cell['name'], 60)}` ({on})")
        if about:
            shown.append(f"**{said.value}**: {', '.join(about)}")
    return shown


def _columns(task: Facts) -> list:
    rows = task["rows"]
    return [
        column("cell", [row["cell"] for row in rows], code=True),
        column("test accuracy", [row["mean"] for row in rows], ".4f"),
        column("ratio", [row["ratio"] for row in rows], ".3f"),
        column("95% interval", [table.interval(row) for row in rows]),
        column("p", [row["p"] for row in rows], ".2g"),
        column("p as Greff et al.", [row["p_greff"] for row in rows], ".2g"),
        column("diverged", [row["diverged"] for row in rows]),
        column("units", [table.units(row) for row in rows]),
        column("statement", [row["statement"] for row in rows]),
    ]


def conditions(found: Facts) -> list[str]:
    """The conditions of the numbers."""
    program = found["program"]
    shown = [
        f"{found['settings']} settings for each cell and task, the same for every cell, drawn with seed "
        f"{found['seed']}; the best {found['best']} by validation accuracy are compared on the test part"
    ]
    for task in found["tasks"]:
        t, scored = task["training"], task["scored"]
        epochs = "no limit of epochs" if t["max_epochs"] is None else f"at most {t['max_epochs']} epochs"
        options = ", ".join(f"{k}={v}" for k, v in task["options"].items() if v is not None)
        shown.append(
            f"{printable(task['name'], 60)}: {printable(task['task'], 60)} ({printable(options, 400)}), "
            f"{task['vocabulary']:,} symbols; {scored['train']:,} / {scored['valid']:,} / "
            f"{scored['test']:,} scored positions for training, validation and test; {epochs}, minibatches "
            f"of {t['batch']} x {t['steps']}; {_drawn(task['ranges'])}; data {task['digest'][:16]}…"
        )
    shown.append(
        f"cellsearch {program['cellsearch']}, numerics {program['numerics']}, torch {program['torch']}, "
        f"{program['device']}"
    )
    return shown


def _drawn(ranges: Mapping[str, Any]) -> str:
    words = []
    for name, one in ranges.items():
        if isinstance(one, Mapping):
            words.append(f"{name} log-uniform from {one['low']:g} to {one['high']:g}")
        else:
            words.append(f"{name} {' or '.join(f'{value:,}' for value in one)}")
    return ", ".join(words)
