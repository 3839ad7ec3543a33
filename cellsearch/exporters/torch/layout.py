"""Line breaking of Python in the style of `ruff format` at 110 characters.

Arguments of a long statement go on a separate line; if that is too long too, or for items of a tuple, each
goes on its own line with a trailing comma.
"""

import textwrap
from collections.abc import Sequence

LINE = 110
MANY = 8  # items whose types are no longer written out


def comment(indent: int, text: str) -> list[str]:
    """A comment in as many lines as it needs."""
    mark = " " * indent + "#"
    lines = textwrap.wrap(
        text, LINE - indent - 2, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return [f"{mark} {line}" for line in lines]


def call(indent: int, before: str, arguments: Sequence[str], after: str) -> list[str]:
    """`before` and `after` around arguments or parameters with commas between them; both end and begin with a
    bracket."""
    pad = " " * indent
    line = f"{pad}{before}{', '.join(arguments)}{after}"
    if len(line) <= LINE:
        return [line]
    line = f"{pad}    {', '.join(arguments)}"
    if len(line) <= LINE:
        return [f"{pad}{before}", line, f"{pad}{after}"]
    return listing(indent, before, arguments, after)


def listing(indent: int, before: str, items: Sequence[str], after: str) -> list[str]:
    """The same for the items of a tuple."""
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


def returned(indent: int, items: Sequence[str]) -> list[str]:
    """`return a, b`."""
    line = f"{' ' * indent}return {', '.join(items)}"
    return [line] if len(line) <= LINE else listing(indent, "return (", items, ")")


def paragraphs(*blocks: Sequence[str]) -> list[str]:
    """The blocks that are not empty, with an empty line between them."""
    found: list[str] = []
    for block in blocks:
        found += ["", *block] if found and block else block
    return found
