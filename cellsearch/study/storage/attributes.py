"""Attributes of a trial of cells in Optuna: parameters for its plots, and one record.

Parameters are six counts of the cell's structure. Optuna does not suggest them: a distribution is a range for
plots and importances, and larger counts are clipped to it; the record has the cell itself. They are few,
since rows of parameters dominate the time to open a long study. Ordinal facts (the parent, the number of
edits) are in the record: as parameters they would dominate every importance.
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

RECORD = "record"  # attribute with the record of a trial, set at its proposal
RESULT = "result"  # attribute with its outcome
PREFIX = "cell."  # prefix of parameters: an objective may have its own `depth`

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
    """The ranges of the parameters, fixed for a study like its seeds and limits. They are narrow: importances
    use a grid of fifty points per range, and axes show all of it. Mutants respect the limits of nodes and
    matrices; other counts are rarely larger.
    """
    nodes, matrices = limits.nodes, limits.matrices
    most = {"nodes": nodes, "states": 2, "matrices": matrices, "peepholes": matrices}
    most |= {"gates": nodes // 4, "depth": nodes // 2}
    found = {PREFIX + name: value for name, value in most.items()}
    for cell in seeds:
        found = {name: max(found[name], value) for name, value in structure(cell).items()}
    return {name: IntDistribution(0, value) for name, value in found.items()}


def within(params: Mapping[str, int], ranges: Distributions) -> dict[str, int]:
    """The parameters, clipped to their ranges."""
    return {name: min(value, ranges[name].high) for name, value in params.items()}


def record_of(
    kind: str, cell: Cell, fingerprint: str, *, parent: str = "", edits: Sequence[Any] = (), **more: Any
) -> dict[str, Any]:
    """The record of a trial on `cell` (kind: seed, propose or refine); empty values are left out."""
    found: dict[str, Any] = {"kind": kind, "cell": show(cell), "name": cell.name, "fingerprint": fingerprint}
    found |= {"parent": parent, "edits": words_of(edits), "strength": strength_of(edits), **more}
    return {key: value for key, value in found.items() if value not in ("", [], None)}


def write(trial: Trial, record: Mapping[str, Any], params: Mapping[str, int], ranges: Distributions) -> None:
    """Sets the record and the parameters of a trial. The sampler of its study must return `params`."""
    trial.set_user_attr(RECORD, dict(record))
    if (together := getattr(trial.storage, "set_trial_params", None)) and params:
        together(trial._trial_id, params, ranges)
        return
    for name in params:
        trial.suggest_int(name, ranges[name].low, ranges[name].high)


def strength_of(edits: Sequence[Any]) -> float | None:
    """The drawn mutation probability; the mean of several."""
    drawn = [float(edit["detail"]) for edit in edits if is_strength(edit)]
    return fmean(drawn) if drawn else None
