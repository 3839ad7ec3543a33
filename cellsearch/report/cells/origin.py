"""Where a cell comes from, for the top of exported files. In: a row of a leaderboard. Out: names, values."""

from cellsearch.study.leaderboard.board import Row, TaskResult
from cellsearch.study.space import Space
from cellsearch.study.tables.study_facts import Facts


def provenance(row: Row, facts: Facts, space: Space) -> dict[str, object]:
    """The search, the standing in it, and the best result on each task with the setting that gave it."""
    found: dict[str, object] = {
        "search": f"{facts.name}, {row.standing}, seed {facts.seed}, cellsearch {facts.program}"
    }
    if row.score is not None:
        found["score"] = f"{row.score:.6g}, the smallest of the ratios to {space.baseline}"
    for result in row.tasks:
        if result.accuracy is not None and result.setting is not None:
            found[result.task] = f"{_reached(result)}; {result.setting}"
    return found


def _reached(result: TaskResult) -> str:
    ratio = "" if result.ratio is None else f", ratio {result.ratio:.6g}"
    return f"accuracy {result.accuracy:.6g}{ratio}, {result.parameters} parameters, hidden {result.hidden}"
