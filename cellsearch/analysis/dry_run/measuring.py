"""Seconds of one setting in one epoch of a stage, as a trial of the search trains it.

The settings of a stage fall into groups of one shape, and a group trains as one population. Settings of one
shape cost the same, so each shape is measured separately, with the average number of members of its group,
and is weighted by its share of the grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.train.resources.cost import multiply_adds, parameters, width
from cellsearch.train.settings import Grid

MOST = 16  # measured shapes; others are interpolated by multiply-adds


@dataclass(frozen=True, slots=True)
class Model:
    """A shape of the baseline's models."""

    layers: int
    hidden: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Group:
    """The settings of a stage whose models have one shape."""

    model: Model
    multiply_adds: int  # of one setting forward, for one position
    settings: float  # in a stage, on average; stages without the shape count
    members: int  # of the population in a stage that has the shape, on average


Epoch = Callable[[Sequence[Group]], float]  # seconds of populations that train side by side


def groups(grid: Grid, settings: int, cell: Cell, vocabulary: int) -> tuple[Group, ...]:
    """The groups of `settings` different settings drawn from a grid, the smallest models first."""
    counts: dict[Model, int] = {}
    of_shape = len(grid) // (len(grid.layers) * len(grid.parameters))
    for target in grid.parameters:
        for layers in grid.layers:
            hidden = width(cell, vocabulary, layers, target)
            model = Model(layers, hidden, parameters(cell, vocabulary, layers, hidden))
            counts[model] = counts.get(model, 0) + of_shape
    found = []
    for model in sorted(counts, key=lambda m: (m.parameters, m.layers)):
        mean = settings * counts[model] / len(grid)
        there = 1 - comb(len(grid) - counts[model], settings) / comb(len(grid), settings)
        cost = multiply_adds(cell, vocabulary, model.layers, model.hidden)
        found.append(Group(model, cost, mean, max(1, round(mean / there))))
    return tuple(found)


def seconds(found: Sequence[Group], epoch: Epoch, side_by_side: bool) -> float:
    """Seconds of one setting in one epoch: the mean over the settings of a stage. `side_by_side`: all groups
    train at the same time, as on a GPU; else one after another."""
    if not found:
        return 0.0
    if side_by_side:
        return epoch(found) / sum(group.members for group in found)
    ordered = sorted(found, key=lambda group: group.multiply_adds)
    some = _some(ordered)
    each = [epoch([group]) / group.members for group in some]
    if len(some) < len(ordered):
        costs = [group.multiply_adds for group in some]
        each = list(np.interp([group.multiply_adds for group in ordered], costs, each))
    return float(np.average(each, weights=[group.settings for group in ordered]))


def _some(ordered: Sequence[Group]) -> list[Group]:
    """At most `MOST` of them, evenly spaced, including the first and the last."""
    if len(ordered) <= MOST:
        return list(ordered)
    return [ordered[round(k * (len(ordered) - 1) / (MOST - 1))] for k in range(MOST)]
