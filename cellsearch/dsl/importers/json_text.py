"""JSON from another tool, parsed by Python's json module into an `Item`.

NaN and Infinity are numbers, as Python's json module writes them. A duplicate key is an error when its object
is read, and so is an object or a list with more entries than any recipe has.
"""

import json
import re
from dataclasses import dataclass

from cellsearch.dsl.importers.source import MAX_CELLS, Source, quoted
from cellsearch.dsl.limits import MAX_NODES
from cellsearch.errors import ForeignError, printable

_KINDS = {str: "a text", dict: "an object", list: "a list", bool: "true or false", float: "a number"}


@dataclass(frozen=True, slots=True)
class _Repeated:
    """An object with a duplicate key."""

    key: str


@dataclass(frozen=True, slots=True)
class Item:
    """A value and its path in messages: recipe 3 → node 'i' → input[1]."""

    source: Source
    value: object
    path: tuple[str, ...] = ()

    def error(self, message: str, remedy: str) -> ForeignError:
        where = ": ".join([printable(self.source.file), *filter(None, [" → ".join(self.path)])])
        return ForeignError(f"{where}: {message}", remedy=remedy)

    def at(self, step: str, value: object) -> "Item":
        """A value within this one."""
        return Item(self.source, value, (*self.path, step))

    def unlike(self, wanted: str, remedy: str) -> ForeignError:
        """The error for a value of the wrong type."""
        kind = _KINDS.get(type(self.value), "null")
        if isinstance(self.value, _Repeated):
            kind, remedy = f"an object with the key {quoted(self.value.key)} twice", "remove or rename one"
        return self.error(f"expected {wanted}, found {kind}", remedy)

    def entries(self, wanted: str, remedy: str) -> dict[str, object]:
        """The entries of an object."""
        if not isinstance(self.value, dict):
            raise self.unlike(wanted, remedy)
        if len(self.value) > MAX_NODES:
            raise self.error(f"an object with more than {MAX_NODES:,} keys", "a cell has fewer nodes")
        return self.value

    def values(self, wanted: str, remedy: str) -> list[object]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self.unlike(wanted, remedy)
        if len(self.value) > MAX_CELLS:
            raise self.error(f"a list of more than {MAX_CELLS:,}", "split it into several files")
        return self.value


def parse(source: Source) -> Item:
    """The one value in the text."""
    try:
        value = json.loads(source.text, object_pairs_hook=_object, parse_int=float)
    except json.JSONDecodeError as error:
        problem = re.sub(r"( starting)? at$|:? ?$", "", error.msg)
        message = f"this is not JSON: {problem[:1].lower()}{problem[1:]}"
        raise source.error(message, error.pos, error.pos + 1, _remedy(source.text, error)) from None
    except (RecursionError, MemoryError):
        message = "objects and lists are nested too deeply"
        raise Item(source, None).error(message, "is this a recipe?") from None
    return Item(source, value)


def _object(pairs: list[tuple[str, object]]) -> object:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    for key, _ in pairs:
        if key not in found:
            break
        del found[key]
    return _Repeated(key)


def _remedy(text: str, error: json.JSONDecodeError) -> str:
    sign = text[error.pos : error.pos + 1]
    if error.msg.startswith("Extra data"):
        return "a file holds one recipe, or a list of them: [{...}, {...}]"
    if not sign or error.msg.startswith("Unterminated"):
        return "is the file whole?"
    if sign in "'/#":
        return "JSON uses double quotes and has no comments"
    if sign in "}]" or "trailing comma" in error.msg:
        return "remove the comma before it, or add the missing value"
    return "is this JSON?"
