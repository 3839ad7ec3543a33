"""The learning-rate schedule of the search, with one state per member.

Jozefowicz et al. 2015, section 3.6: after `patience` consecutive epochs without improvement on the validation
part the rate is multiplied by `factor` at every epoch for `halvings` more epochs; then training stops. The
paper does not say which metric must improve; here it is the validation loss, which changes before accuracy
does.
"""

from dataclasses import dataclass, replace

import numpy as np

from cellsearch.train.settings import Training


@dataclass(frozen=True)
class Schedule:
    """The state of each member; arrays [K]."""

    rate: np.ndarray  # learning rate
    lowest: np.ndarray  # best validation loss so far
    stale: np.ndarray  # consecutive epochs without improvement
    lowered: np.ndarray  # number of reductions of the rate
    stopped: np.ndarray  # bool

    def keep(self, members: np.ndarray) -> "Schedule":
        """The schedule of some members."""
        return Schedule(*(getattr(self, f)[members] for f in self.__dataclass_fields__))


def begin(rates: np.ndarray) -> Schedule:
    """The state before the first epoch."""
    k = len(rates)
    zeros = np.zeros(k, dtype=np.int64)
    return Schedule(rates.astype(float), np.full(k, np.inf), zeros, zeros.copy(), np.zeros(k, dtype=bool))


def after_epoch(schedule: Schedule, loss: np.ndarray, training: Training) -> Schedule:
    """The schedule after an epoch with this validation loss [K]."""
    better = loss < schedule.lowest
    stale = np.where(better, 0, schedule.stale + 1)
    lowering = (schedule.lowered > 0) | (stale >= training.patience)
    stopped = schedule.stopped | (lowering & (schedule.lowered >= training.halvings))
    lowered = np.where(lowering & ~stopped, schedule.lowered + 1, schedule.lowered)
    rate = np.where(lowering & ~stopped, schedule.rate * training.factor, schedule.rate)
    return replace(
        schedule,
        rate=rate,
        lowest=np.where(better, loss, schedule.lowest),
        stale=stale,
        lowered=lowered,
        stopped=stopped,
    )
