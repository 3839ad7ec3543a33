"""The limits of the language, its keywords and its legal names."""

import re

from cellsearch.dsl.ops import OPS

MAX_NODES, MAX_DEPTH, MAX_NAME, MAX_PERIOD, MAX_GROUPS = 1_000, 100, 64, 1_000_000, 64
MAX_DELAY, MAX_PART = 1_000, 65_536  # maximum delay of before(v, d); maximum number of a structure
MAX_NESTING = 100  # nesting of brackets and parentheses in a text
MAX_TEXT = 65_536  # maximum bytes of a cell's text
KEYWORDS = frozenset({"cell", "clock", "tick", "below", "before", "bias", "scalar", "none"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


def check_name(name: str) -> str:
    """The error in a name, or ""."""
    if not NAME.match(name):
        return "a name has ASCII letters, digits and _, and does not start with a digit"
    if len(name) > MAX_NAME:
        return f"a name has at most {MAX_NAME} characters"
    if name in KEYWORDS:
        return f"{name!r} is a keyword"
    return f"{name!r} is the name of an op" if name in OPS else ""
