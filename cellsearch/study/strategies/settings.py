"""Which settings a stage runs: the rule of Jozefowicz et al. 2015, section 3.3, and chance.

Settings are keys (`train.settings.key`). Settings by a sampler of Optuna instead are in
`cellsearch.study.strategies.tpe`.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from cellsearch.study.strategies.parents import Strategy

Result = tuple[str, float | None]  # a setting and its accuracy; None: it diverged
Pools = Sequence[tuple[int, Sequence[str]]]  # numbers of settings, and the settings they are drawn from


def top(results: Iterable[Result], count: int) -> list[str]:
    """The settings of the `count` best results, each once; what diverged is none of them."""
    best: dict[str, float] = {}
    for setting, accuracy in results:
        if accuracy is not None:
            best[setting] = max(accuracy, best.get(setting, accuracy))
    return sorted(best, key=lambda s: (-best[s], s))[:count]


def sources(
    strategy: Strategy, count: int, parent: Sequence[Result], seeds: Sequence[Result]
) -> list[tuple[int, list[str]]]:
    """Where a child's settings on a task come from: quotas and pools; what they leave open is random.

    A parent with more than `strategy.enough` settings on the task gives four fifths from its best; else a
    third comes from the best of the seeds and a third from whatever the parent tried. 20 settings are 16 +
    4, or 6 + 6 + 8 random.
    """
    if len(parent) > strategy.enough:
        return [(round(0.8 * count), top(parent, strategy.best))]
    tried = sorted({setting for setting, _ in parent})
    return [(count // 3, top(seeds, strategy.best)), (count // 3, tried)]


def draw(
    count: int, grid: Sequence[str], pools: Pools, taken: frozenset[str], rng: np.random.Generator
) -> list[str]:
    """Up to `count` different settings of a grid, none of them in `taken`.

    Each pool gives its quota as far as it lasts, and the rest is drawn from the whole grid. Fewer come back
    only where the grid is exhausted.
    """
    chosen: list[str] = []
    for quota, pool in [*pools, (count, grid)]:
        left = [s for s in pool if s not in taken and s not in chosen]
        wanted = min(quota, count - len(chosen), len(left))
        chosen += [left[k] for k in rng.choice(len(left), wanted, replace=False)] if wanted else []
    return chosen
