"""Pass rates of the seeds in the filter, in words."""

from collections.abc import Sequence

from cellsearch.errors import printable
from cellsearch.study.leaderboard.filter_share import Passed


def shares(seeds: Sequence[Passed]) -> str:
    """Pass rates of the seeds, a measure of the filter's fairness."""
    return ", ".join(
        f"{printable(s.seed, 60)} passes with {s.passed} of {s.settings} settings" for s in seeds
    )


def unfair(seeds: Sequence[Passed]) -> list[str]:
    """A warning for each seed with a low pass rate."""
    return [
        f"the filter refuses {printable(s.seed, 60)} with {s.settings - s.passed} of {s.settings} settings, "
        f"so it refuses good cells too; train longer in the filter (filter.training, filter.options), or "
        f"remove extreme values from the grid"
        for s in seeds
        if not s.fair
    ]
