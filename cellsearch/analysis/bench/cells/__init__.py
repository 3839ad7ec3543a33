"""The cells of the bench that are nobody's: mutants, made once and kept as text. Each says in its comment
how it was made."""

from functools import cache
from importlib import resources

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse

MUTANTS = ("mutant_12", "mutant_24")  # named after the number of their nodes


@cache
def load(name: str) -> Cell:
    """The mutant of this name."""
    file = f"{name}.cell"
    return parse(resources.files(__name__).joinpath(file).read_text(encoding="utf-8"), file=file)
