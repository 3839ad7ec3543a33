"""The text of a cell, in both directions: `parse` reads it, `show` prints it, its inverse."""

from cellsearch.dsl.printer import show
from cellsearch.dsl.text.parser import parse

__all__ = ["parse", "show"]
