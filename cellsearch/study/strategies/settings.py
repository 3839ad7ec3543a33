"""Choice of settings for a stage: the rule of Jozefowicz et al. 2015, section 3.3, and random choice.

Settings are keys (`train.settings.key`). `cellsearch.study.strategies.tpe` uses a sampler of Optuna instead.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from cellsearch.study.strategies.parents import Strategy

Result = tuple[str, float | None]  # a setting and its accuracy; None: it diverged
Pools = Sequence[tuple[int, Sequence[str]]]  # quotas, and the pools of settings that they are drawn from


def top(results: Iterable[Result], count: int) -> list[str]:
    """The distinct settings of the `count` best results, without diverged ones."""
    best: dict[str, float] = {}
    for setting, accuracy in results:
        if accuracy is not None:
            best[setting] = max(accuracy, best.get(setting, accuracy))
    return sorted(best, key=lambda s: (-best[s], s))[:count]


def sources(
    strategy: Strategy, count: int, parent: Sequence[Result], seeds: Sequence[Result]
) -> list[tuple[int, list[str]]]:
    """The sources of a child's settings on a task, as quotas and pools; the rest is random. A parent with
    more than `strategy.enough` settings on the task gives four fifths from its best; else a third comes from
    the best of the seeds and a third from the settings that the parent tried. 20 settings are 16 + 4, or 6 +
    6 + 8 random.
    """
    if len(parent) > strategy.enough:
        return [(round(0.8 * count), top(parent, strategy.best))]
    tried = sorted({setting for setting, _ in parent})
    return [(count // 3, top(seeds, strategy.best)), (count // 3, tried)]


def draw(
    count: int, grid: Sequence[str], pools: Pools, taken: frozenset[str], rng: np.random.Generator
) -> list[str]:
    """Up to `count` distinct settings of a grid, without those in `taken`. Each pool gives up to its quota,
    and the rest is drawn from the whole grid. Returns fewer only if the grid is exhausted.
    """
    chosen: list[str] = []
    for quota, pool in [*pools, (count, grid)]:
        left = [s for s in pool if s not in taken and s not in chosen]
        wanted = min(quota, count - len(chosen), len(left))
        chosen += [left[k] for k in rng.choice(len(left), wanted, replace=False)] if wanted else []
    return chosen
