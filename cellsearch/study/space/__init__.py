"""A search space: from YAML to a frozen, fully checked `Space`.

load         a name or a file -> `Space`; differences between two
model        the parts of a space as frozen values, each key with default, range and reason
keys         the table of all keys
sections     a parsed document -> the parts
stages       the filter and the tasks
own_text     `--text my.log`
overrides    `--set budget.trials=20`
validators   ranges and words; suggestions
data         sizes of the data of each stage
faults       all errors of a file at once
yaml_text    text -> nodes with places
yaml_emit    values -> text
"""

from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.space.load import (
    MAY_CHANGE,
    SUFFIXES,
    check_seeds,
    difference,
    load_space,
    names,
    parse_space,
    shipped,
    source_of,
    with_cells,
)
from cellsearch.study.space.model import (
    FILTER,
    Budget,
    Filter,
    Space,
    TaskStage,
    grids,
)
from cellsearch.study.strategies.parents import Strategy

__all__ = [
    "FILTER",
    "MAY_CHANGE",
    "SUFFIXES",
    "Budget",
    "Filter",
    "Limits",
    "MutationSpec",
    "Space",
    "Strategy",
    "TaskStage",
    "check_seeds",
    "difference",
    "grids",
    "load_space",
    "names",
    "parse_space",
    "shipped",
    "source_of",
    "with_cells",
]
