"""Strategies by name, as functions of a `View` of the study and a random generator.

`decide` gives the cell of a trial, `draw` the settings of a stage by chance, `tpe` by a sampler of Optuna.
Nothing here evaluates or records.
"""

from cellsearch.study.strategies.parents import DRAWS, STRATEGIES, Strategy, Way, decide, refining
from cellsearch.study.strategies.settings import Pools, Result, draw, sources, top
from cellsearch.study.strategies.view import Decision, NothingLeft, Propose, View

__all__ = [
    "DRAWS",
    "STRATEGIES",
    "Decision",
    "NothingLeft",
    "Pools",
    "Propose",
    "Result",
    "Strategy",
    "View",
    "Way",
    "decide",
    "draw",
    "refining",
    "sources",
    "top",
]
