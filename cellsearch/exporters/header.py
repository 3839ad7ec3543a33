"""The header of an exported file, as lines of plain text that the formats turn into comments.

Untrusted text in it is split into lines of printable characters, so that no comment can end early. The first
two lines have no such text, because Python reads an encoding from them.
"""

import textwrap
from collections.abc import Mapping

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import show
from cellsearch.errors import printable
from cellsearch.version import version

Provenance = Mapping[str, object]  # the origin of a cell, as names and values: search, score, setting
WIDTH = (
    120  # maximum width of a description; the cell's own lines are not wrapped, so that they can be parsed
)


def lines(cell: Cell, kind: str, provenance: Provenance | None = None) -> list[str]:
    """The lines; `kind` names the content and ends the sentence "A recurrent cell as …"."""
    found = [f"A recurrent cell as {kind}, written by cellsearch {printable(version())}.", ""]
    if cell.description:
        found += [*_prose(cell.description), ""]
    found += [f"    {line}" for line in equations(cell)]
    facts = {"fingerprint": fingerprint(cell), **(provenance or {})}
    names = {key: printable(str(key), 40) for key in facts}
    width = max(len(name) for name in names.values())
    found.append("")
    for key, value in facts.items():
        first, *more = [printable(line, 4_000) for line in str(value).splitlines() or [""]]
        found.append(f"{names[key]:<{width}}  {first}".rstrip())
        found += [f"{'':<{width}}  {line}".rstrip() for line in more]
    return found


def equations(cell: Cell) -> list[str]:
    """The cell's text without its description."""
    description = len(cell.description.split("\n")) if cell.description else 0
    return show(cell).rstrip("\n").split("\n")[description:]


def _prose(text: str) -> list[str]:
    """The lines of a description, wrapped."""
    found: list[str] = []
    for line in text.split("\n"):
        safe = printable(line.replace("\t", "    "), 70_000).rstrip()
        broken = textwrap.wrap(safe, WIDTH, break_long_words=False, break_on_hyphens=False)
        found += broken if len(safe) > WIDTH else [safe]
    return found
