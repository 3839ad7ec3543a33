"""Successive halving of the settings of a stage.

At an epoch of `Training.rungs` the settings that are still in training are ranked by their best validation
accuracy so far, over all shapes of the stage together; the best share `Training.keep` of them continues, and
the others end with their results. Settings that have already ended (diverged, stopped by the schedule,
accurate enough) are neither ranked nor counted: the share refers to settings that would still cost time.

Early ranks are moderately stable. In the public logs of 345 language models of NAS-Bench-NLP (LSTM-like cells
of different graphs, 50 epochs), Spearman's correlation of the validation loss after an epoch with the best
test loss is 0.79 after 1 epoch, 0.85 after 2, 0.87 after 3, 0.92 after 5, 0.95 after 10, 0.99 after 25.
That is across cells, at one setting and one kind of task; across settings of one cell a small learning rate
looks worse early, and a task that is learned suddenly (arithmetic) has no meaningful ranks before that epoch.
So rungs are an option, off by default.
"""

import math
from collections.abc import Mapping


def chosen(accuracies: Mapping[int, float], keep: float) -> set[int]:
    """The settings that continue, given the best accuracies of those in training: the share rounded up, at
    least one; ties go to the smaller index."""
    if not accuracies:
        return set()
    count = max(1, math.ceil(round(keep * len(accuracies), 9)))  # 0.07 * 100 is a little more than 7
    ranked = sorted(accuracies, key=lambda index: (-accuracies[index], index))
    return set(ranked[:count])
