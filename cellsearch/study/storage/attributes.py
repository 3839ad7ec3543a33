"""What a trial of cells shows in Optuna: parameters that its plots can use, and one record.

Parameters are six counts of the cell's structure. Optuna suggests none of them: a distribution is a range for
its plots and importances, a larger count is shown as the end of its range; the record has the cell itself.
They are few, since most of what Optuna needs to open a long study is rows of parameters. Numbers of order
(the parent, the number of edits) are in the record: as parameters they would lead every importance.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from optuna.distributions import IntDistribution
from optuna.trial import Trial

from cellsearch.dsl.describe import describe
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import show
from cellsearch.study.mutation.operators import is_strength, words_of
from cellsearch.study.mutation.spec import Limits

RECORD = "record"  # the attribute with what a trial is about, from its proposal on
RESULT = "result"  # the attribute with how it ended
PREFIX = "cell."  # of parameters: an objective may have a `depth` of its own

Distributions = Mapping[str, IntDistribution]


def structure(cell: Cell) -> dict[str, int]:
    """The parameters of a cell."""
    found = describe(cell)
    counts = {
        "nodes": found.nodes,
        "states": len(found.states),
        "matrices": found.matrices,
        "peepholes": len(found.peepholes),
        "gates": len(found.gates),
        "depth": found.depth,
    }
    return {PREFIX + name: count for name, count in counts.items()}


def distributions(limits: Limits, seeds: Iterable[Cell]) -> dict[str, IntDistribution]:
    """The ranges of the parameters, the same for the whole study, since its seeds and limits are.

    They are narrow: importances are counted on a grid of fifty points of a range, and axes show all of it.
    Mutants keep to the limits of nodes and matrices; of the rest a cell seldom has more than of one of those.
    """
    nodes, matrices = limits.nodes, limits.matrices
    most = {"nodes": nodes, "states": 2, "matrices": matrices, "peepholes": matrices}
    most |= {"gates": nodes // 4, "depth": nodes // 2}
    found = {PREFIX + name: value for name, value in most.items()}
    for cell in seeds:
        found = {name: max(found[name], value) for name, value in structure(cell).items()}
    return {name: IntDistribution(0, value) for name, value in found.items()}


def within(params: Mapping[str, int], ranges: Distributions) -> dict[str, int]:
    """The parameters, where one is past its range at the end of that."""
    return {name: min(value, ranges[name].high) for name, value in params.items()}


def record_of(
    kind: str, cell: Cell, fingerprint: str, *, parent: str = "", edits: Sequence[Any] = (), **more: Any
) -> dict[str, Any]:
    """The record of a trial on `cell` (kind: seed, propose or refine); empty values are left out."""
    found: dict[str, Any] = {"kind": kind, "cell": show(cell), "name": cell.name, "fingerprint": fingerprint}
    found |= {"parent": parent, "edits": words_of(edits), "strength": strength_of(edits), **more}
    return {key: value for key, value in found.items() if value not in ("", [], None)}


def write(trial: Trial, record: Mapping[str, Any], params: Mapping[str, int], ranges: Distributions) -> None:
    """Gives a trial its record and its parameters. The sampler of its study has to answer with `params`."""
    trial.set_user_attr(RECORD, dict(record))
    if (together := getattr(trial.storage, "set_trial_params", None)) and params:
        together(trial._trial_id, params, ranges)
        return
    for name in params:
        trial.suggest_int(name, ranges[name].low, ranges[name].high)


def strength_of(edits: Sequence[Any]) -> float | None:
    """The probability of each mutation, where it was drawn; the mean where several were."""
    drawn = [float(edit["detail"]) for edit in edits if is_strength(edit)]
    return fmean(drawn) if drawn else None
