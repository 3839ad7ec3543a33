"""How lines of Python are broken, as `ruff format` at 110 characters leaves them.

In: the parts of a statement. Out: its lines, indented. What does not fit stands one to a line with a comma behind each,
a form that formatters keep.
"""

import textwrap
from collections.abc import Sequence

LINE = 110


def comment(indent: int, text: str) -> list[str]:
    """A comment in as many lines as it needs."""
    mark = " " * indent + "#"
    lines = textwrap.wrap(text, LINE - indent - 2, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return [f"{mark} {line}" for line in lines]


def listing(indent: int, before: str, items: Sequence[str], after: str) -> list[str]:
    """`before` and `after` around items with commas between them; both end and begin with a bracket."""
    pad = " " * indent
    line = f"{pad}{before}{', '.join(items)}{after}"
    if len(line) <= LINE:
        return [line]
    return [f"{pad}{before}", *(f"{pad}    {item}," for item in items), f"{pad}{after}"]


def parallel(indent: int, targets: Sequence[str], values: Sequence[str]) -> list[str]:
    """`a, b = x, y`; one line each where that is too long. No value may read a target before it."""
    pad = " " * indent
    line = f"{pad}{', '.join(targets)} = {', '.join(values)}"
    if len(line) <= LINE:
        return [line]
    return [f"{pad}{target} = {value}" for target, value in zip(targets, values, strict=True)]


def unpack(indent: int, targets: Sequence[str], value: str) -> list[str]:
    """`a, b = value`."""
    pad = " " * indent
    line = f"{pad}{', '.join(targets)} = {value}"
    return [line] if len(line) <= LINE else listing(indent, "(", targets, f") = {value}")
