"""Comparison of strategies on recorded results: lines, or a value for JSON."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.text import Text

from cellsearch.analysis.replay import Replay
from cellsearch.report.columns import Column, table, text, wrapped
from cellsearch.report.formatting import large, plural

NONE = "-"
SHARES = (0.1, 0.25, 0.5, 1.0)  # share of the cost of all recorded results


def middle(scores: Sequence[float | None]) -> tuple[float | None, float | None, float | None]:
    """Median, minimum and maximum; None, below any score, if nothing was found."""
    ordered = [-1.0 if score is None else score for score in scores]
    found = [median(ordered), min(ordered), max(ordered)]
    median_, least, most = (None if score < 0 else score for score in found)
    return median_, least, most


def lines(found: Replay, name: str, width: int) -> list[Text]:
    """The table, and how to read it."""
    names = list(found.curves)
    columns = [Column("strategy", [text(n, "bold") for n in names])]
    for share in SHARES:
        cells = [_spread(middle(found.best(n, share))) for n in names]
        columns.append(Column(f"{share:.0%} of the cost", cells))
    trials = [median(len(curve.points) for curve in found.curves[n]) for n in names]
    columns.append(Column("trials", [text(f"{count:,.0f}") for count in trials], right=True))
    repeats = len(next(iter(found.curves.values())))
    best = "no ranked cell in it" if found.score is None else f"the best in it has {found.score:.4f}"
    said = [
        f"Best score so far, without the seeds: the median of {plural(repeats, 'repeat')}, and the minimum "
        f"and maximum. Nothing was trained. {name} has recorded {plural(found.cells, 'cell')} with "
        f"{plural(found.settings, 'setting')}; {best}. All of it cost {large(found.spent)} multiply-adds; "
        "the cost of the seeds comes before and is the same for all.",
        "A replay shows how fast a strategy finds cells in this table, not beyond it: mutants are drawn from "
        "the recorded cells, children of the parent first. All of them descend from parents that {name} "
        "chose, so that even a random draw profits from its choices. At the end every strategy has seen the "
        "whole table.",
    ]
    return [*table(columns, width), *(line for part in said for line in (text(""), *wrapped(part, width)))]


def _spread(scores: tuple[float | None, float | None, float | None]) -> Text:
    median_, least, most = (f"{score:.4f}" if score is not None else NONE for score in scores)
    return text(median_).append(f" {least} to {most}", "dim")


def as_json(found: Replay, name: str) -> dict[str, Any]:
    """Everything in the table, and every repeat."""
    return {
        "name": name, "cells": found.cells, "settings": found.settings, "cost": found.spent,
        "best": found.score,
        "strategies": {
            strategy: {
                "best": {f"{share:g}": found.best(strategy, share) for share in SHARES},
                "trials": [len(curve.points) for curve in curves],
                "spent": [curve.spent for curve in curves],
            }
            for strategy, curves in found.curves.items()
        },
    }  # fmt: skip
