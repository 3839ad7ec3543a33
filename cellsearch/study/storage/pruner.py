"""The filter and the thresholds of a space as an Optuna pruner.

A trial reports at step k its cell's best accuracy so far on stage k (`steps`), divided by the unit of that
stage: the baseline's best on a task; the unit of the filter is 1, since its threshold is an accuracy.
"""

import math
from collections.abc import Mapping

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from cellsearch.study.space import Space, load_space
from cellsearch.study.space.model import FILTER
from cellsearch.study.states import Kind
from cellsearch.study.storage.attributes import RECORD


def steps(space: Space) -> dict[str, int]:
    """Stage -> its step: the filter, if there is one, then the tasks in order."""
    names = ([FILTER] if space.filter else []) + [task.name for task in space.tasks]
    return {name: step for step, name in enumerate(names)}


class StagePruner(BasePruner):
    """A pruner of Optuna: prunes a proposal whose last report does not pass its stage.

    The filter requires at least its accuracy, a task more than `strategy.threshold`. A non-finite number
    never passes. Refinements, seeds, and proposals that are equivalent to a seed are never pruned.

    `space` is a search space: a name, a YAML file, or a `Space`. Step 0 is the filter where the space has
    one, then come the tasks in order (`trial.report(ratio, step)`).

        >>> import optuna
        >>> study = optuna.create_study(direction="maximize", pruner=cs.StagePruner("quick"))
        >>> trial = study.ask()
        >>> trial.report(0.99, 0)                       # the filter of `quick` asks for an accuracy of 0.95
        >>> passed = not trial.should_prune()
        >>> trial.report(0.5, 1)                        # half of the baseline's accuracy on the first task
        >>> passed, trial.should_prune()
        (True, True)
    """

    def __init__(self, space: Space | str) -> None:
        found = load_space(space) if isinstance(space, str) else space
        self.admission = found.filter.accuracy if found.filter else None
        self.threshold = found.strategy.threshold

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to prune `trial` after its last report."""
        step = trial.last_step
        if step is None or not judged(trial.user_attrs.get(RECORD, {})):
            return False
        value = trial.intermediate_values[step]
        if not math.isfinite(value):
            return True
        if step == 0 and self.admission is not None:
            return value < self.admission
        return value <= self.threshold


def judged(record: Mapping[str, object]) -> bool:
    """Whether stages can prune the cell of a record: a proposal that is not a seed. A trial without a record
    can be pruned too: its objective has its own cells."""
    return record.get("kind", Kind.PROPOSE) == Kind.PROPOSE and "seed" not in record
