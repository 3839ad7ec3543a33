"""Settings of a grid by a sampler of Optuna instead of by chance.

In: a grid, what settings came to, how many are wanted. Out: settings. The study is in memory, and gone when
the answer is there: what is known is in the history, and of equal calls the answers are equal.

The samplers need nothing but Optuna, and see how results are ordered, not how much they differ:

    tpe              Tree-structured Parzen Estimator over all hyperparameters together: settings like the
                     good ones (the first tenth) and unlike the others
    tpe_independent  the same for each hyperparameter by itself; what is good together is not learnt

Optuna's others are no choice here: `gp` and `qmc` need SciPy and `cmaes` its package, and the genetic ones
know no results but those of their own generations.

A hyperparameter is the position of its value in the grid, where the values are ordered. A setting that
diverged is worse than any that did not. Fewer than ten results say nothing: then it is chance.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields

import numpy as np
import optuna
from numpy.random import Generator
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from cellsearch.errors import RunError, nearest
from cellsearch.study.strategies.settings import Result
from cellsearch.train.settings import Grid, keys

SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True),
    "tpe_independent": lambda seed: TPESampler(seed=seed, multivariate=False),
}
DIVERGED = -1.0  # below any accuracy
GOOD = 25  # TPE counts the first tenth of the results as good, and no more than these
PER_GOOD = 9  # diverged ones that are passed on for each other one: none is in the first tenth
PASSED_ON = 300  # of more results the good ones and a sample of the others: to ask takes longer with each

Place = tuple[int, ...]  # of a setting: the position of each of its values


def suggest(
    sampler: str,
    grid: Grid,
    history: Sequence[Result],
    count: int,
    taken: Set[str],
    seed: Sequence[int],
) -> list[str]:
    """`count` different settings of `grid`, none of them in `taken`; fewer only where the grid has no more.

    `history` is in the order in which the results came. A suggestion that is taken gives way to the nearest
    one that is not. RunError where there is no such sampler.
    """
    if sampler not in SAMPLERS:
        raise RunError(f"there is no sampler of settings '{sampler}'\n{nearest(sampler, SAMPLERS)}")
    axes = {f.name: len(getattr(grid, f.name)) for f in fields(grid)}
    shape = tuple(axes.values())
    space: dict[str, BaseDistribution] = {name: IntDistribution(0, n - 1) for name, n in axes.items()}
    rng = np.random.default_rng(tuple(seed))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](int(rng.integers(2**31))))

    index = keys(grid)
    names = list(index)

    def trial(setting: str, **state: object) -> FrozenTrial:
        place = np.unravel_index(index[setting], shape)
        params = {name: int(k) for name, k in zip(axes, place, strict=True)}
        return create_trial(params=params, distributions=space, **state)  # type: ignore[arg-type]

    study.add_trials([trial(setting, value=worth(accuracy)) for setting, accuracy in passed_on(history, rng)])
    free = np.array([k for s, k in index.items() if s not in taken], dtype=np.int64)
    chosen: list[str] = []
    while len(chosen) < count and len(free):
        asked = study.ask(space)
        place = nearest_of(free, tuple(asked.params.values()), shape, rng)
        study.tell(asked, state=TrialState.FAIL)
        study.add_trial(trial(names[place], state=TrialState.RUNNING))  # the others of the batch keep away
        free = free[free != place]
        chosen.append(names[place])
    return chosen


def passed_on(history: Sequence[Result], rng: Generator) -> list[Result]:
    """The part of a history that the sampler gets, in its order."""
    trained = sum(accuracy is not None for _, accuracy in history)
    diverged = [k for k, (_, accuracy) in enumerate(history) if accuracy is None]
    left_out = set(diverged[: max(0, len(diverged) - PER_GOOD * trained)])  # the latest are passed on
    kept = [k for k in range(len(history)) if k not in left_out]
    if len(kept) > PASSED_ON:
        order = sorted(kept, key=lambda k: -worth(history[k][1]))
        sample = rng.choice(order[GOOD:], PASSED_ON - GOOD, replace=False)
        kept = sorted([*order[:GOOD], *sample.tolist()])
    return [history[k] for k in kept]


def worth(accuracy: float | None) -> float:
    """An accuracy as Optuna gets it."""
    return DIVERGED if accuracy is None else accuracy


def nearest_of(free: NDArray[np.int64], place: Place, shape: Place, rng: Generator) -> int:
    """The free setting whose values are the fewest positions away from `place`; one of the equal ones by
    chance."""
    there = np.stack(np.unravel_index(free, shape), axis=-1)
    away = np.abs(there - np.array(place)).sum(axis=-1)
    return int(rng.choice(free[away == away.min()]))
