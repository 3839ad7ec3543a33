"""The zoo: published cells as `.cell` files, by name. Each says in its comment where it was published."""

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
    """The file of a zoo cell as it was written."""
    if name not in _names():
        raise TextError(f"there is no cell '{name}' in the zoo", remedy=f"(there are {', '.join(_names())})")
    return resources.files(__name__).joinpath(f"{name}.cell").read_text(encoding="utf-8")


@cache
def load(name: str) -> Cell:
    """The zoo's cell of this name. Raises TextError where there is none."""
    return parse(text(name), file=f"{name}.cell")
