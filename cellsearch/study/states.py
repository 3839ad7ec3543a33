"""What a trial is about, and how it ended: the words that the tables keep."""

from enum import StrEnum


class Kind(StrEnum):
    """What a work item is about."""

    UNDECIDED = ""
    BASELINE = "baseline"  # a piece of the grid of a seed
    SEED = "seed"  # completes the trial of a seed once all its pieces are done
    PROPOSE = "propose"  # a new cell
    REFINE = "refine"  # more settings of a known cell
    REPEAT = "repeat"  # the best setting of a known cell with fresh seeds


class Ending(StrEnum):
    """How a work item ended."""

    OPEN = ""  # it has not
    BASELINE = "baseline"  # a piece of a seed
    RANKED = "ranked"  # COMPLETE in Optuna
    FILTERED = "filtered"  # PRUNED
    FAILED = "failed"  # FAIL


#: The kinds of items that are trials of the search: all but those of seeds.
OF_TRIALS = (Kind.PROPOSE, Kind.REFINE, Kind.REPEAT, Kind.UNDECIDED)
ENDED = (Ending.RANKED, Ending.FILTERED, Ending.FAILED, Ending.BASELINE)
