"""Search for recurrent cells: write equations, mutate, train thousands, export the winner.

    import cellsearch as cs
    cell = cs.load("gru")                        # a zoo name or a .cell file; cs.parse(text) for a text
    rnn = cs.Recurrent(cell, 32, 64)             # an nn.Module, called like torch.nn.LSTM
    board = cs.search("quick", workers=2)        # the leaderboard; a repeated call continues
    model = cs.train("quick:1", "xml")           # its folder works without this package
    sampler = cs.MutationSampler("quick")        # for Optuna: cs.suggest_cell(trial) in an objective, and
                                                 # pruner=cs.StagePruner("quick") if it reports stages

Names are imported on first use, so that `import cellsearch` is fast and does not load torch.

Each folder imports only from those above it in this list:

    tasks       options, a batch and a seed -> a data set of symbols
    dsl         text -> a cell, a frozen graph; its names, weights, gates and edits
    compiler    a cell -> forward and backward passes over a population of its settings
    train       a cell, settings, a data set -> the outcome of each setting
    exporters   a cell -> files that work without this package
    study       a space -> cells proposed, trained in stages, recorded, ranked
    analysis    measurements: training steps, costs of a search, replays
    report      presentation of cells and searches
    api         the program from Python: search, leaderboard, train, verify
    cli         the command

`files`, `options`, `notebook`, `errors` and `version` are below all of them.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellsearch.api.cells import mutate as mutate
    from cellsearch.api.compare import compare as compare
    from cellsearch.api.search import leaderboard as leaderboard
    from cellsearch.api.search import search as search
    from cellsearch.api.train import train as train
    from cellsearch.api.verify import verify as verify
    from cellsearch.compiler.torch.recurrent import Recurrent as Recurrent
    from cellsearch.dsl import zoo as zoo
    from cellsearch.dsl.describe import describe as describe
    from cellsearch.dsl.graph import Cell as Cell
    from cellsearch.dsl.load import load as load
    from cellsearch.dsl.rewriting.variant import variant as variant
    from cellsearch.dsl.text import parse as parse
    from cellsearch.dsl.text import show as show
    from cellsearch.errors import CellsearchError as CellsearchError
    from cellsearch.exporters.write import export as export
    from cellsearch.study.space import Space as Space
    from cellsearch.study.space import load_space as load_space
    from cellsearch.study.storage.pruner import StagePruner as StagePruner
    from cellsearch.study.storage.sampler import MutationSampler as MutationSampler
    from cellsearch.study.storage.sampler import suggest_cell as suggest_cell

#: Public name -> the module that has it under the same name.
_HOMES = {
    "Cell": "cellsearch.dsl.graph",
    "CellsearchError": "cellsearch.errors",
    "MutationSampler": "cellsearch.study.storage.sampler",
    "Recurrent": "cellsearch.compiler.torch.recurrent",
    "Space": "cellsearch.study.space",
    "StagePruner": "cellsearch.study.storage.pruner",
    "compare": "cellsearch.api.compare",
    "describe": "cellsearch.dsl.describe",
    "export": "cellsearch.exporters.write",
    "leaderboard": "cellsearch.api.search",
    "load": "cellsearch.dsl.load",
    "load_space": "cellsearch.study.space",
    "mutate": "cellsearch.api.cells",
    "parse": "cellsearch.dsl.text",
    "search": "cellsearch.api.search",
    "show": "cellsearch.dsl.text",
    "suggest_cell": "cellsearch.study.storage.sampler",
    "train": "cellsearch.api.train",
    "variant": "cellsearch.dsl.rewriting.variant",
    "verify": "cellsearch.api.verify",
    "zoo": "cellsearch.dsl.zoo",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("cellsearch.version").version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "zoo":
        return importlib.import_module(_HOMES[name])
    home = importlib.import_module(_HOMES[name])
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Face(ModuleType):
    """The type of this module: `cellsearch.train` is always the function, independent of imports. The package
    `train` is available to import statements, as in `from cellsearch.train.settings import Grid`."""

    @property
    def train(self) -> Any:
        return getattr(importlib.import_module(_HOMES["train"]), "train")  # noqa: B009  (a module has no type)

    @train.setter
    def train(self, package: ModuleType) -> None:
        """Importing the package `train` sets it here."""


sys.modules[__name__].__class__ = _Face
