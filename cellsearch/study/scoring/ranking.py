"""Scores from stages (Jozefowicz et al. 2015, section 3.1), and the order of the list.

    score = min over the kept tasks of  best accuracy of the cell / unit of the task

where the unit is the best accuracy of the baseline. Pure functions; no database, no torch.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Stage:
    """The record of one cell on one task in one trial, without the outcomes of its settings."""

    trial: int
    piece: int
    task: str
    fingerprint: str
    settings: int
    trained: int
    accuracy: float | None
    loss: float | None
    setting: str | None
    parameters: int | None
    hidden: int | None


@dataclass(frozen=True, slots=True)
class Best:
    """A cell on a task over all its stages: the number of settings, and the best one (None if all
    diverged)."""

    settings: int = 0
    trained: int = 0
    accuracy: float | None = None
    loss: float | None = None
    setting: str | None = None
    parameters: int | None = None
    hidden: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The facts of a cell for the order, besides its stages."""

    trial: int  # the first of it
    seed: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of a cell. `place` is the first kept task that it has not passed, "" if ranked."""

    fingerprint: str
    score: float  # over its evaluated kept tasks; 0 without any
    parameters: int  # parameters of its largest model at the best settings
    origin: Origin
    place: str

    @property
    def order(self) -> tuple[float, int, int]:
        """Best first: by score, then fewer parameters, then the earlier cell."""
        return (-self.score, self.parameters, self.origin.trial)


def better(a: Best, b: Best) -> Best:
    """Merge: the more accurate one, the first of equal ones."""
    top = (
        b
        if (-1.0 if a.accuracy is None else a.accuracy) < (-1.0 if b.accuracy is None else b.accuracy)
        else a
    )
    return replace(top, settings=a.settings + b.settings, trained=a.trained + b.trained)


def bests(stages: Iterable[Stage]) -> dict[str, dict[str, Best]]:
    """Fingerprint -> stage name -> merged records; ties go to the earlier trial."""
    found: dict[str, dict[str, Best]] = {}
    for s in sorted(stages, key=lambda s: (s.trial, s.piece)):
        here = found.setdefault(s.fingerprint, {})
        best = Best(s.settings, s.trained, s.accuracy, s.loss, s.setting, s.parameters, s.hidden)
        here[s.task] = better(here[s.task], best) if s.task in here else best
    return found


def passed(best: Best | None, unit: float, threshold: float) -> bool:
    """Whether a cell passes a stage: strictly more than `threshold` of the unit."""
    return best is not None and best.accuracy is not None and best.accuracy / unit > threshold


def score(found: Mapping[str, Best], units: Mapping[str, float]) -> float | None:
    """The score over the kept tasks with an accuracy; None without any."""
    ratios = [
        best.accuracy / units[task]
        for task, best in found.items()
        if task in units and best.accuracy is not None
    ]
    return min(ratios, default=None)


def stand(
    fingerprint: str, found: Mapping[str, Best], origin: Origin, units: Mapping[str, float], threshold: float
) -> Standing:
    """The standing of a cell. A seed needs an accuracy on every kept task; any other cell must pass each."""
    parameters, place = 0, ""
    for task, unit in units.items():
        best = found.get(task, Best())
        parameters = max(parameters, best.parameters or 0)
        ok = passed(best, unit, threshold) or (origin.seed and best.accuracy is not None)
        place = place or ("" if ok else task)
    return Standing(fingerprint, score(found, units) or 0.0, parameters, origin, place)


def ranked(
    found: Mapping[str, Mapping[str, Best]],
    origins: Mapping[str, Origin],
    units: Mapping[str, float],
    threshold: float,
) -> list[Standing]:
    """The cells that passed every kept task, best first; empty before the units are settled."""
    if not units:
        return []
    all_ = (stand(fp, tasks, origins[fp], units, threshold) for fp, tasks in found.items())
    return sorted((s for s in all_ if not s.place), key=lambda s: s.order)


def first(scores: Sequence[tuple[str, float]], count: int | None, also: Collection[str] = ()) -> list[str]:
    """The cells needed to determine the first `count` (None: all) and the rank of those in `also`: more than
    `count` if scores are tied. `scores` are best first."""
    if count is None or count >= len(scores):
        return [mark for mark, _ in scores]
    last = scores[count - 1][1] if count else math.inf
    equal = {score for mark, score in scores if mark in also}
    return [mark for mark, score in scores if score >= last or score in equal]


def live_units(units: Mapping[str, float], baseline: Mapping[str, Best]) -> dict[str, float]:
    """The units if the baseline is not frozen: its current best accuracies."""
    return {task: max(unit, baseline.get(task, Best()).accuracy or 0.0) for task, unit in units.items()}
