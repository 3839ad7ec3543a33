"""What to do next: strategies by name, as functions of records and a generator.

In: the strategy's options, a `View` of the slots finished so far, a `numpy.random.Generator`. Out: a
`Decision`, or the settings of a stage. Nothing here evaluates or records.
"""

from cellsearch.search.strategies.parents import DRAWS, STRATEGIES, Way, decide
from cellsearch.search.strategies.settings import Pools, Result, draw, sources, top
from cellsearch.search.strategies.view import (
    Decision,
    Known,
    NothingLeft,
    Propose,
    Tried,
    View,
    admitted,
    grids,
    runnable,
    untried,
)

__all__ = [
    "DRAWS",
    "STRATEGIES",
    "Decision",
    "Known",
    "NothingLeft",
    "Pools",
    "Propose",
    "Result",
    "Tried",
    "View",
    "Way",
    "admitted",
    "decide",
    "draw",
    "grids",
    "runnable",
    "sources",
    "top",
    "untried",
]
