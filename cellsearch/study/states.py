"""The kinds and outcomes of work items, as stored in the tables."""

from enum import StrEnum


class Kind(StrEnum):
    """The kind of a work item."""

    UNDECIDED = ""
    BASELINE = "baseline"  # a piece of the grid of a seed
    SEED = "seed"  # completes the trial of a seed once all its pieces are done
    PROPOSE = "propose"  # a new cell
    REFINE = "refine"  # more settings of a known cell
    REPEAT = "repeat"  # the best setting of a known cell with fresh seeds


class Ending(StrEnum):
    """The outcome of a work item."""

    OPEN = ""  # not finished
    BASELINE = "baseline"  # a piece of a seed
    RANKED = "ranked"  # COMPLETE in Optuna
    FILTERED = "filtered"  # PRUNED
    FAILED = "failed"  # FAIL


#: The kinds of items that are trials of the search: all except those of seeds.
OF_TRIALS = (Kind.PROPOSE, Kind.REFINE, Kind.REPEAT, Kind.UNDECIDED)
ENDED = (Ending.RANKED, Ending.FILTERED, Ending.FAILED, Ending.BASELINE)
