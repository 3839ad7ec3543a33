"""JSON in which every value knows its place: a text in, a tree of `Value` or a ForeignError out.

It reads what Python's json module writes (NaN and Infinity are numbers). A key that stands twice in one
object is an error, and depth and lengths have limits, so that any text is read or refused in bounded time.
"""

import json
import re
from typing import NamedTuple

from cellsearch.dsl.importers.source import MAX_CELLS, Source, quoted
from cellsearch.dsl.limits import MAX_NODES
from cellsearch.errors import ForeignError

MAX_DEPTH = 16

_SPACE = re.compile(r"[ \t\n]*+")
_TOKEN = re.compile(
    r"""(?P<mark>   [{}\[\]:,])
      | (?P<string> "[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+")
      | (?P<number> -?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?(?![\w.]))
      | (?P<word>   -?[A-Za-z]++(?!\w))""",
    re.VERBOSE | re.ASCII,
)
_WORDS: dict[str, bool | float | None] = {
    "true": True, "false": False, "null": None,
    "NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf"),
}  # fmt: skip
_KINDS = {str: "a text", dict: "an object", list: "a list", bool: "true or false", float: "a number"}

Content = str | float | bool | list["Value"] | dict[str, "Value"] | None


class Value(NamedTuple):
    """A value, where it begins and ends in the text, and where its key does, if it has one."""

    content: Content
    start: int
    end: int
    key: tuple[int, int] = (0, 0)

    @property
    def kind(self) -> str:
        """What it is, for messages."""
        return _KINDS.get(type(self.content), "null")


def parse(source: Source) -> Value:
    """The one value in the text."""
    reader = _Reader(source)
    value = reader.value(0)
    if reader.text:
        raise reader.unexpected("nothing more", "a file holds one recipe, or a list of them: [{...}, {...}]")
    return value


class _Reader:
    """The text, token by token: `kind` and `text` of the next one ("" at the end), and where it stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.kind, self.text, self.start, self.end = "", "", 0, 0
        self._advance()

    def _advance(self) -> None:
        space = _SPACE.match(self.source.text, self.end)
        assert space is not None
        self.start = space.end()
        match = _TOKEN.match(self.source.text, self.start)
        if match is None:
            self.kind, self.text, self.end = "", self.source.text[self.start : self.start + 1], self.start + 1
        else:
            assert match.lastgroup is not None
            self.kind, self.text, self.end = match.lastgroup, match[0], match.end()

    def value(self, depth: int, key: tuple[int, int] = (0, 0)) -> Value:
        """The value that comes next, in `depth` others. Recursion is as deep as MAX_DEPTH allows."""
        start, end, content = self.start, self.end, self._content(depth)
        return Value(content, start, end, key)

    def _content(self, depth: int) -> Content:
        if self.text in ("{", "["):
            if depth == MAX_DEPTH:
                raise self._error(
                    f"more than {MAX_DEPTH} objects and lists in one another", "is this a recipe?"
                )
            return self._object(depth + 1) if self.text == "{" else self._list(depth + 1)
        content: Content
        if self.kind == "string":
            content = self._string()
        elif self.kind == "number":
            content = float(self.text)
        elif self.text in _WORDS:
            content = _WORDS[self.text]
        else:
            raise self.unexpected("a value")
        self._advance()
        return content

    def _object(self, depth: int) -> dict[str, Value]:
        self._advance()
        found: dict[str, Value] = {}
        while self.text != "}":
            if found:
                self._pass(",", "',' or '}'")
            if self.kind != "string":
                raise self.unexpected('a key in "quotes"')
            name, place = self._string(), (self.start, self.end)
            if name in found:
                raise self._error(
                    f"the key {quoted(name)} stands twice in one object", "remove or rename one"
                )
            if len(found) == MAX_NODES:
                raise self._error(
                    f"an object with more than {MAX_NODES:,} keys", "a cell has at most as many nodes"
                )
            self._advance()
            self._pass(":", "':'")
            found[name] = self.value(depth, place)
        self._advance()
        return found

    def _list(self, depth: int) -> list[Value]:
        self._advance()
        found: list[Value] = []
        while self.text != "]":
            if found:
                self._pass(",", "',' or ']'")
            if len(found) == MAX_CELLS:
                raise self._error(f"a list of more than {MAX_CELLS:,}", "split it into several files")
            found.append(self.value(depth))
        self._advance()
        return found

    def _pass(self, mark: str, wanted: str) -> None:
        if self.text != mark:
            raise self.unexpected(wanted)
        self._advance()

    def _string(self) -> str:
        try:
            text = json.loads(self.text)
        except json.JSONDecodeError as error:
            at = self.start + error.pos
            raise self.source.error(
                "not an escape of JSON", at, at + 1, "write \\\\ for a backslash"
            ) from None
        assert isinstance(text, str)
        return text

    def _error(self, message: str, remedy: str) -> ForeignError:
        return self.source.error(message, self.start, self.end, remedy)

    def unexpected(self, wanted: str, remedy: str = "") -> ForeignError:
        """An error that says what should have come next."""
        if not self.text:
            return self._error(f"the text ends where {wanted} should follow", remedy or "is the file whole?")
        if self.text == '"':
            return self._error("a text in quotes does not end on its line", 'put a " behind it')
        if self.text in ("'", "/", "#"):
            remedy = "JSON has double quotes and no comments"
        elif self.text in ("}", "]"):
            remedy = "remove the comma before it, or add what is missing"
        return self._error(f"{quoted(self.text)} where {wanted} should stand", remedy or "is this JSON?")
