"""The difference between two cells as `show --against` prints it."""

from typing import Any

from rich.text import Text

from cellsearch.dsl.difference import Difference
from cellsearch.errors import printable
from cellsearch.report.columns import cut, facts, text

STYLES = {"-": "red", "+": "green", " ": "dim"}


def lines(found: Difference, width: int) -> list[Text]:
    """Removed (-) and added (+) equations, then the parts in words."""
    old, new = printable(found.old), printable(found.new)
    shown = [text(f"{new} against {old}: - is {old}, + is {new}", "bold"), text("")]
    shown += [
        cut(text(f"{sign} {printable(line, 10_000)}", STYLES[sign]), width) for sign, line in found.lines
    ]
    if not found.parts:
        said = "the same equations" if all(sign == " " for sign, _ in found.lines) else "the same parts"
        return [*shown, text(""), text(said)]
    pairs = []
    for part in found.parts:
        for verb, names in (("added", part.added), ("removed", part.removed)):
            if names:
                pairs.append((f"{part.kind} {verb}", printable(", ".join(names), 10_000)))
    return [*shown, text(""), *facts(pairs, width)]


def as_json(found: Difference) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "old": found.old,
        "new": found.new,
        "lines": [{"sign": sign, "text": line} for sign, line in found.lines],
        **{part.kind: {"added": list(part.added), "removed": list(part.removed)} for part in found.parts},
    }
