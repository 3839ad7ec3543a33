"""Initial biases and matrix structures in a search space, parsed by the language's parser."""

from dataclasses import replace
from functools import lru_cache

from cellsearch.dsl.initial import Initial
from cellsearch.dsl.nodes import Affine, Connection, sources
from cellsearch.dsl.structures import STRUCTURES, TABLE
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError, CellsearchError

BIASES = ("none", "-1", "0", "1", "2", "uniform(-1, 1)")
STRUCTURED = ("eye(1)", *(row.text for row in TABLE))
CLOCK = (1, 2, 4, 8)


@lru_cache(maxsize=256)
def bias(text: str) -> Initial:
    """Parse an initial bias: `1`, `none`, `uniform(-1, 1)`. Raises CellError for others."""
    return _bracket(
        f"[h, bias={text}]", text, "an initial bias; write a number, none, or uniform(-1, 1)"
    ).bias


@lru_cache(maxsize=256)
def structure(text: str) -> Connection:
    """Parse a structure into a connection: `rank(8)`, `eye(1)`, `skew`, `slower@eye(1)`.
    Raises CellError for others."""
    known = ", ".join(("eye(1)", *STRUCTURES))
    (found,) = _bracket(f"[h@{text}]", text, f"a structure; write one of {known}").connections
    return replace(found, source=0)


def _bracket(bracket: str, text: str, what: str) -> Affine:
    try:
        nodes = parse(f"cell a(x; h)\nclock 1, 2\nh' = tanh[x] + {bracket}\n").nodes
    except CellsearchError:
        raise CellError(f"{text!r} is not {what}") from None
    found = [n for n in nodes if isinstance(n, Affine) and 0 not in sources(n)]
    if len(found) != 1 or len(found[0].connections) != 1 or found[0].connections[0].peephole:
        raise CellError(f"{text!r} is not {what}")
    return found[0]
