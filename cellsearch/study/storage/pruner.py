"""The filter and the thresholds of a space as a pruner of Optuna.

A trial reports at step k its cell's best accuracy so far on stage k (`steps`), divided by the unit of that
stage: the baseline's best on a task; 1 for the filter, which asks for an accuracy itself.
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
    """Stage -> the step that it reports: the filter, where there is one, then the tasks in order."""
    names = ([FILTER] if space.filter else []) + [task.name for task in space.tasks]
    return {name: step for step, name in enumerate(names)}


class StagePruner(BasePruner):
    """A pruner of Optuna: prunes a proposal whose last report does not pass its stage.

    The filter asks for at least its accuracy, a task for more than `strategy.threshold`. A number that is not
    finite passes nothing. Refinements, seeds, and proposals that are equivalent to a seed go on.

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
        """Whether the last report of `trial` ends it."""
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
    """Whether stages judge the cell of a record: a proposal that is none of the seeds. A trial without a
    record is judged too: its objective has cells of its own."""
    return record.get("kind", Kind.PROPOSE) == Kind.PROPOSE and "seed" not in record
