"""Successive halving of the settings of a stage: who goes on at a rung.

At an epoch of `Training.rungs` the settings that are still in training are ranked by their best validation
accuracy so far, over all shapes of the stage together; the best share `Training.keep` of them goes on, and
the others end with what they have. Settings that have ended by then (diverged, stopped by the schedule,
accurate enough) are ranked by nobody and counted by nobody: the share is one of those that would cost more.

Early ranks hold, to a degree. In the public logs of 345 language models of NAS-Bench-NLP (LSTM-like cells
of different graphs, 50 epochs), Spearman's correlation of the validation loss after an epoch with the best
test loss is 0.79 after 1 epoch, 0.85 after 2, 0.87 after 3, 0.92 after 5, 0.95 after 10, 0.99 after 25.
That is across cells, at one setting and one kind of task; across settings of one cell a small learning rate
looks worse early than it is, and a task that is learnt suddenly (arithmetic) has no early ranks before that
epoch. Hence rungs are an option, and off by default.
"""

import math
from collections.abc import Mapping


def chosen(accuracies: Mapping[int, float], keep: float) -> set[int]:
    """The settings that go on, of those in training, given with their best accuracies so far: at least one,
    the share rounded up; of equal ones that with the smaller index."""
    if not accuracies:
        return set()
    count = max(1, math.ceil(round(keep * len(accuracies), 9)))  # 0.07 * 100 is a little more than 7
    ranked = sorted(accuracies, key=lambda index: (-accuracies[index], index))
    return set(ranked[:count])
