"""The zoo: published cells as `.cell` files, by name. The comment of each cites its publication.

Not expressible in the language, so not in the zoo: the Gated-Feedback RNN, which reads the states of all
layers, above ones too, through scalar gates; the Phased LSTM, whose gate takes the time modulo a
learned period; mLSTM, fast weights and other matrix memories; HyperLSTM with its smaller inner network, since
all values of a cell have one width; uRNN, LMU and others with complex or fixed matrices; Skip-RNN, ACT and
Zoneout, which round or sample.

    >>> [name for name in cs.zoo.names() if name.startswith("mut")]
    ['mut1', 'mut2', 'mut3']
    >>> cs.zoo.load("mut1") == cs.load("mut1"), cs.zoo.text("mut1").startswith("#")
    (True, True)
"""

from functools import cache
from importlib import resources

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.errors import TextError


@cache
def _names() -> tuple[str, ...]:
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".cell") for name in files if name.endswith(".cell")))


def names() -> list[str]:
    """The names of all cells of the zoo, sorted."""
    return list(_names())


def text(name: str) -> str:
    """The text of a zoo cell's file."""
    if name not in _names():
        raise TextError(f"there is no cell '{name}' in the zoo", remedy=f"(there are {', '.join(_names())})")
    return resources.files(__name__).joinpath(f"{name}.cell").read_text(encoding="utf-8")


@cache
def load(name: str) -> Cell:
    """The zoo's cell of this name. Raises TextError if there is none."""
    return parse(text(name), file=f"{name}.cell")
