"""The text of a cell, in both directions: `parse` reads it, `show` prints it, its inverse."""

from cellsearch.dsl.text.parser import parse
from cellsearch.dsl.text.printer import show

__all__ = ["parse", "show"]
