"""Random mutants for the bench, generated once and stored as text. The comment of each describes its
generation."""

from functools import cache
from importlib import resources

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse

MUTANTS = ("mutant_12", "mutant_24")  # named after their number of nodes


@cache
def load(name: str) -> Cell:
    """The mutant of this name."""
    file = f"{name}.cell"
    return parse(resources.files(__name__).joinpath(file).read_text(encoding="utf-8"), file=file)
