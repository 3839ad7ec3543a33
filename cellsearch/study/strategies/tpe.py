"""Settings of a grid chosen by an Optuna sampler instead of at random.

The in-memory study lives for one call: all knowledge is in the history, and equal calls give equal results.
The samplers need only Optuna, and use the order of results, not their differences:

    tpe              Tree-structured Parzen Estimator over all hyperparameters together: settings like the
                     good ones (the first tenth) and unlike the others
    tpe_independent  the same for each hyperparameter separately; it learns no interactions

Optuna's other samplers do not fit: `gp` and `qmc` need SciPy and `cmaes` its package, and genetic ones use
only results of their own generations. A hyperparameter is represented by the index of its value in the sorted
grid. A diverged setting is worse than any other. With fewer than ten results the choice is random.
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
GOOD = 25  # TPE treats the best tenth of the results as good, at most this many
PER_GOOD = 9  # diverged results passed on per other one: none is in the best tenth
PASSED_ON = 300  # beyond this, pass the good results and a sample of the others: asking slows down with each

Place = tuple[int, ...]  # indices of the values of a setting


def suggest(
    sampler: str,
    grid: Grid,
    history: Sequence[Result],
    count: int,
    taken: Set[str],
    seed: Sequence[int],
) -> list[str]:
    """`count` distinct settings of `grid`, without those in `taken`; fewer only if the grid is exhausted.
    `history` is in the order of the results. A taken suggestion is replaced by the nearest free one. Raises
    RunError for an unknown sampler.
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
        study.add_trial(
            trial(names[place], state=TrialState.RUNNING)
        )  # pending: the rest of the batch avoids it
        free = free[free != place]
        chosen.append(names[place])
    return chosen


def passed_on(history: Sequence[Result], rng: Generator) -> list[Result]:
    """The part of a history that the sampler sees, in its order."""
    trained = sum(accuracy is not None for _, accuracy in history)
    diverged = [k for k, (_, accuracy) in enumerate(history) if accuracy is None]
    left_out = set(diverged[: max(0, len(diverged) - PER_GOOD * trained)])  # pass on the latest
    kept = [k for k in range(len(history)) if k not in left_out]
    if len(kept) > PASSED_ON:
        order = sorted(kept, key=lambda k: -worth(history[k][1]))
        sample = rng.choice(order[GOOD:], PASSED_ON - GOOD, replace=False)
        kept = sorted([*order[:GOOD], *sample.tolist()])
    return [history[k] for k in kept]


def worth(accuracy: float | None) -> float:
    """An accuracy in the form given to Optuna."""
    return DIVERGED if accuracy is None else accuracy


def nearest_of(free: NDArray[np.int64], place: Place, shape: Place, rng: Generator) -> int:
    """The free setting with the smallest distance from `place` in index positions; ties are broken at
    random."""
    there = np.stack(np.unravel_index(free, shape), axis=-1)
    away = np.abs(there - np.array(place)).sum(axis=-1)
    return int(rng.choice(free[away == away.min()]))
