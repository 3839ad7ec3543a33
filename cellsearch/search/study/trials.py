"""What a trial of a search is for Optuna: parameters that its plots can use, and the record itself.

In: a cell, or a finished slot with what is recorded about it. Out: parameters with their distributions, or a
`FrozenTrial`.

Parameters of the step are `slot` (its number), `kind`, `parent` (the number of the slot in which the cell was
first met that is mutated or refined), and, where the step has made a new cell, `edits` (how many mutations)
and `strength` (the probability of each, where it was drawn). Parameters of the cell are counts of its
structure. Nothing here was suggested by Optuna, and a distribution is a range for its plots and importances:
a count that is larger is told as the end of its range, and `record` has the cell itself. They are few: what
Optuna needs to open a long study is mostly rows of parameters.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from cellsearch.dsl.describe import describe, size
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.search.cellrecords import Record
from cellsearch.search.edits import Edit
from cellsearch.search.mutate import STRENGTH
from cellsearch.search.spec import Limits

RECORD = "record"  # the attribute with all about a trial that is no number for a plot
STATES = {"ranked": TrialState.COMPLETE, "filtered": TrialState.PRUNED, "failed": TrialState.FAIL}
PARTS = {field.name for field in fields(Edit)}

Distributions = Mapping[str, BaseDistribution]


@dataclass(frozen=True, slots=True)
class Finished:
    """A slot that has ended, with what is recorded about it. One that failed early may be about no cell."""

    number: int
    kind: str
    outcome: str
    task: str  # where a proposal was filtered
    cause: str
    score: float | None
    seconds: float  # that its stages took
    cell: Record | None
    parent: Record | None  # of a proposal; of a refinement the cell itself
    made: Record | None  # what was new: the cell, or a twin of it
    ratios: Mapping[int, float]  # place of the task among the kept ones -> accuracy / unit, of this slot


def structure(cell: Cell, width: int) -> dict[str, int]:
    """Counts of a cell; multiply-adds are those of one layer of `width` units, for one step of one
    sequence."""
    found = describe(cell)
    return {
        "nodes": found.nodes,
        "states": len(found.states),
        "matrices": found.matrices,
        "peepholes": len(found.peepholes),
        "gates": len(found.gates),
        "depth": found.depth,
        "multiply_adds": size(cell, width, width).multiply_adds,
    }


def distributions(limits: Limits, seeds: Iterable[Cell], slots: int) -> dict[str, BaseDistribution]:
    """The distributions of all parameters; `slots` is the number of slots that the study is to have.

    They are narrow, since importances are counted on a grid of fifty points of a range, and axes show all of
    it; and they are the same for the whole study, since its seeds and limits are. (That of slots grows where
    the study is extended, in steps of four times: plots that need one range leave it out then.)

    Mutants keep to the limits of nodes and matrices; of the rest a cell has no more than of one of those, or
    seldom.
    """
    nodes, matrices, width = limits.nodes, limits.matrices, limits.width
    most = {"nodes": nodes, "states": 2, "matrices": matrices, "peepholes": matrices}
    most |= {"gates": nodes // 4, "depth": nodes // 2, "multiply_adds": matrices * width**2}
    for cell in seeds:
        most = {name: max(most[name], value) for name, value in structure(cell, width).items()}
    return {
        "slot": slots_below(slots),
        "kind": CategoricalDistribution(("propose", "refine")),
        "parent": slots_below(slots),
        "edits": IntDistribution(0, nodes),
        STRENGTH: FloatDistribution(0.0, 1.0),
        **{name: IntDistribution(0, value) for name, value in most.items()},
    }


def slots_below(number: int) -> IntDistribution:
    """The range of the numbers of slots, where they are to be no more than so many."""
    last = 64
    while last < number:
        last *= 4
    return IntDistribution(0, last)


def edits_of(edits: Sequence[Any]) -> dict[str, float]:
    """The parameters of a step that was made by recorded edits. The strength is the mean where it is one of
    several steps."""
    drawn = [float(edit["detail"]) for edit in edits if _drawn(edit)]
    return {"edits": len(edits) - len(drawn)} | ({STRENGTH: fmean(drawn)} if drawn else {})


def words_of(edits: Sequence[Any]) -> list[str]:
    """Recorded edits in words: values of three parts each would be half of what a long study takes in
    memory."""
    return [
        str(Edit(**edit)) if isinstance(edit, dict) and edit.keys() == PARTS else json.dumps(edit)
        for edit in edits
        if not _drawn(edit)
    ]


def _drawn(edit: Any) -> bool:
    """Whether it is no edit, but the strength that was drawn for those that follow."""
    return isinstance(edit, dict) and edit.get("mutation") == STRENGTH


def params_of(finished: Finished, width: int) -> dict[str, Any]:
    """The parameters of a trial."""
    params: dict[str, Any] = {"slot": finished.number}
    if finished.kind:
        params["kind"] = finished.kind
    if finished.parent is not None:
        params["parent"] = finished.parent.slot
    if finished.made is not None:
        params |= edits_of(json.loads(finished.made.edits))
    if finished.cell is not None:
        params |= structure(parse(finished.cell.text), width)
    return params


def record_of(finished: Finished) -> dict[str, Any]:
    """The rest; what is empty is left out."""
    cell, made = finished.cell, finished.made
    twin = made if made is not None and cell is not None and made.fingerprint != cell.fingerprint else None
    record = {
        "cell": cell.text if cell else "",
        "name": cell.name if cell else "",
        "fingerprint": cell.fingerprint if cell else "",
        "twin": twin.text if twin else "",
        "parent": finished.parent.fingerprint if finished.parent else "",
        "edits": words_of(json.loads(made.edits)) if made else [],
        "task": finished.task,
        "cause": finished.cause,
        "seconds": round(finished.seconds, 3),
    }
    return {key: value for key, value in record.items() if value not in ("", [])}


def trial_of(finished: Finished, ranges: Distributions, width: int, now: datetime) -> FrozenTrial:
    """A finished slot as a trial, which was seen to be finished `now`.

    The records have no times of day, which differ between machines: a trial ends when it is seen, and begins
    as many seconds earlier as its stages took. Raises ValueError for a number that is not finite.
    """
    state = STATES[finished.outcome]
    params = within(params_of(finished, width), ranges)
    numbers = [*finished.ratios.values(), *([finished.score] if state == TrialState.COMPLETE else [])]
    if not all(number is not None and math.isfinite(number) for number in numbers):
        raise ValueError(f"slot {finished.number} has a number that is not finite")
    trial = create_trial(
        state=state,
        value=finished.score if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: ranges[name] for name in params},
        user_attrs={RECORD: record_of(finished)},
        intermediate_values=dict(finished.ratios),
    )
    trial.datetime_start = now - timedelta(seconds=finished.seconds)
    trial.datetime_complete = now
    return trial


def within(params: Mapping[str, Any], ranges: Distributions) -> dict[str, Any]:
    """The parameters with those that are past the end of their range at its end."""
    return {
        name: min(value, bounds.high) if isinstance(bounds := ranges[name], IntDistribution) else value
        for name, value in params.items()
    }
