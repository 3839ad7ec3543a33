"""The origin of a found cell: the chain of mutations from its seed, with the score of each cell.

Used by `show`, `lineage`, the headers of exported files, and model cards.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from cellsearch.errors import plural
from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.board import Row, TaskResult
from cellsearch.study.mutation.operators import words_of
from cellsearch.study.studies import Study
from cellsearch.study.tables import cellrecords
from cellsearch.study.tables.cellrecords import Record

MANY = 8  # maximum cells of a chain in one line


@dataclass(frozen=True, slots=True)
class Step:
    """A cell of the chain, and its edits from the previous cell."""

    name: str
    fingerprint: str
    text: str
    trial: int  # its first trial
    standing: str  # rank 3, seed, filtered at xml, …
    score: float | None
    tasks: tuple[TaskResult, ...]
    edits: tuple[str, ...]  # edits from the previous cell, in words
    changes: tuple[str, ...]  # equations that the previous cell lacks


@dataclass(frozen=True, slots=True)
class Origin:
    """The chain, the seed first and the cell last. `whole`: it begins with a seed."""

    search: str
    seed: int  # random seed of the search
    program: str  # its version of cellsearch
    baseline: str  # the unit of scores
    steps: tuple[Step, ...]
    whole: bool

    @property
    def cell(self) -> Step:
        return self.steps[-1]

    @property
    def parent(self) -> Step | None:
        return self.steps[-2] if len(self.steps) > 1 else None


def of_row(row: Row) -> Step:
    """A row of the leaderboard as a step."""
    return Step(
        row.name, row.fingerprint, row.text, row.trial, row.standing, row.score, row.tasks, row.edits,
        row.changes,
    )  # fmt: skip


def of_record(record: Record) -> Step:
    """A recorded cell without further details."""
    edits = tuple(words_of(json.loads(record.edits or "[]")))
    return Step(
        record.name, record.fingerprint, record.text, record.trial, "seed" if record.seed else "recorded",
        None, (), edits, (),
    )  # fmt: skip


def origin(study: Study, last: Step, parent: str) -> Origin:
    """The origin of the cell `last`, whose parent has this fingerprint ("" for a seed).

    Parents have earlier trials than their children; a record that violates this ends the chain.
    """
    marks: list[str] = []
    before = last.trial
    while parent and parent not in marks:
        records = cellrecords.recorded_cells(study.store, [parent])
        if not records or records[0].trial >= before:
            break
        marks.append(parent)
        before, parent = records[0].trial, records[0].parent
    rows = board.these(study.store, study.space, marks)
    chain = tuple(of_row(rows[mark]) for mark in reversed(marks) if mark in rows)
    whole = not parent and len(chain) == len(marks)
    known = study.facts
    return Origin(known.name, known.seed, known.program, study.space.baseline, (*chain, last), whole)


def provenance(found: Origin) -> dict[str, object]:
    """The header of an exported file: the search, the standing, the best result per task with its setting,
    parent, edits and the chain."""
    cell, parent = found.cell, found.parent
    said: dict[str, object] = {
        "search": f"{found.search}, {cell.standing}, seed {found.seed}, cellsearch {found.program}"
    }
    if cell.score is not None:
        said["score"] = f"{cell.score:.6g}, the smallest of the ratios to {found.baseline}"
    for result in cell.tasks:
        if result.accuracy is not None and result.setting is not None:
            said[result.task] = f"{_reached(result)}; {result.setting}"
    if parent is not None:
        said["parent"] = f"{parent.name} {parent.fingerprint[:12]}{_score(parent)}"
        said["edits"] = "\n".join(cell.edits)
        said["origin"] = in_short(found)
    return said


def in_short(found: Origin) -> str:
    """The chain in one line: lstm (0.981) -> m3 (1.012) -> m12 (1.034)."""
    names = [f"{step.name}{_score(step)}" for step in found.steps]
    if len(names) > MANY:
        names[2 : 4 - MANY] = [f"{plural(len(names) - MANY + 2, 'cell')} more"]
    return " -> ".join(names if found.whole else ["…", *names])


def _score(step: Step) -> str:
    return "" if step.score is None else f" ({step.score:.4g})"


def _reached(result: TaskResult) -> str:
    ratio = "" if result.ratio is None else f", ratio {result.ratio:.6g}"
    return f"accuracy {result.accuracy:.6g}{ratio}, {result.parameters} parameters, hidden {result.hidden}"


def as_json(found: Origin) -> dict[str, Any]:
    """The chain as plain values; settings by name."""
    return {
        "search": found.search,
        "seed": found.seed,
        "program": found.program,
        "baseline": found.baseline,
        "whole": found.whole,
        "steps": [asdict(step) | {"tasks": results_json(step.tasks)} for step in found.steps],
    }


def results_json(results: tuple[TaskResult, ...]) -> list[dict[str, Any]]:
    """The results per task as plain values, with the best setting by name."""
    return [asdict(result) | {"setting": result.values or None} for result in results]
