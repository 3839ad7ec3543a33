"""Which settings a stage runs: the rule of Jozefowicz et al. 2015, section 3.3, and chance.

In: what was tried before, the size of a grid, a `numpy.random.Generator`. Out: settings, as indices in the
grid. Settings by a sampler of Optuna instead are in `cellsearch.search.study.settings`.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from cellsearch.search.space import Strategy

Result = tuple[int, float | None]  # a setting and the accuracy it came to; None: it diverged
Pools = Sequence[tuple[int, Sequence[int]]]  # so many settings from each of these


def top(results: Iterable[Result], count: int) -> list[int]:
    """The settings of the `count` best results, each once; what diverged is none of them."""
    best: dict[int, float] = {}
    for setting, accuracy in results:
        if accuracy is not None:
            best[setting] = max(accuracy, best.get(setting, accuracy))
    return sorted(best, key=lambda s: (-best[s], s))[:count]


def sources(
    strategy: Strategy, count: int, parent: Sequence[Result], seeds: Sequence[Result]
) -> list[tuple[int, list[int]]]:
    """Where a child's settings on a task come from: quotas and pools; what they leave open is random.

    A parent with more than `strategy.enough` settings on the task gives four fifths from its best; else a
    third comes from the best of the seeds and a third from whatever the parent tried. 20 settings are 16 +
    4, or 6 + 6 + 8 random.
    """
    if len(parent) > strategy.enough:
        return [(round(0.8 * count), top(parent, strategy.best))]
    tried = sorted({setting for setting, _ in parent})
    return [(count // 3, top(seeds, strategy.best)), (count // 3, tried)]


def draw(count: int, size: int, pools: Pools, taken: frozenset[int], rng: np.random.Generator) -> list[int]:
    """Up to `count` different settings of a grid of `size`, none of them in `taken`.

    Each pool gives its quota as far as it lasts, and the rest is drawn from the whole grid; fewer come back
    only where the grid has no more.
    """
    chosen: list[int] = []
    for quota, pool in [*pools, (count, range(size))]:
        left = [s for s in pool if s not in taken and s not in chosen]
        wanted = min(quota, count - len(chosen), len(left))
        chosen += [int(s) for s in rng.choice(left, wanted, replace=False)] if wanted else []
    return chosen
