"""How often the seeds pass the filter, in words."""

from collections.abc import Sequence

from cellsearch.errors import printable
from cellsearch.study.leaderboard.filter_share import Passed


def shares(seeds: Sequence[Passed]) -> str:
    """How often the seeds pass the filter, which says whether it is fair."""
    return ", ".join(
        f"{printable(s.seed, 60)} passes with {s.passed} of {s.settings} settings" for s in seeds
    )


def unfair(seeds: Sequence[Passed]) -> list[str]:
    """A warning for each seed that the filter refuses too often."""
    return [
        f"the filter refuses {printable(s.seed, 60)} with {s.settings - s.passed} of {s.settings} settings, "
        "so it refuses good cells too; train longer there (filter.training, filter.options), or leave out "
        "extreme values of the grid"
        for s in seeds
        if not s.fair
    ]
