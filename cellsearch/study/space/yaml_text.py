"""Parse YAML into a tree of located `Node`s, or raise a SpaceError.

Only the subset of YAML that is safe and unambiguous: one document of mappings with text keys, lists and
scalars. Anchors, aliases, tags, merge keys, directives, duplicate keys and tabs are errors. A plain scalar is
null, true, false or a decimal number (`1e-3` is one); everything else is text: `no`, `12:30`, `2015-07-06`,
`0x1F`, `1_000`. A number with a leading zero is an error: 017 is 15 in YAML 1.1 and 17 in 1.2.

The text is read as a stream of events without recursion, so that no input takes unbounded time or depth.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from cellsearch import files
from cellsearch.errors import Place, SpaceError, printable
from cellsearch.study.space.faults import Faults

MAX_BYTES, MAX_DEPTH, MAX_DIGITS = 1 << 20, 64, 40

Scalar = bool | int | float | str | None
Plain = bool | int | float | str | list["Plain"] | dict[str, "Plain"] | None

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml if available: about fifty times faster

INTEGER = re.compile(r"[-+]?[0-9]+\Z")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip

# Characters that are not allowed: control characters, tabs, unusual line breaks, a byte order mark inside,
# lone surrogates.
FORBIDDEN = re.compile(
    "[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
DIRECTIVE = re.compile(r"^%", re.MULTILINE)
BREAK = re.compile(r"\r\n|\n|\r")

# Parts of libyaml's messages, and remedies.
REMEDIES = (
    ("mapping values are not allowed", "put text that contains ': ' in quotes"),
    ("cannot start any token", "put text that starts with this character in quotes"),
    ("could not find expected ':'", "write ': ' and a value after a key; check the indentation"),
    ("did not find expected key", "check the indentation of this line and the previous one"),
    (
        "did not find expected '-' indicator",
        "check the indentation: the items of a list start in the same column",
    ),
    ("unexpected end of stream", "close the quotes"),
    ("unknown escape character", "write \\\\ for a backslash, or use single quotes"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """A text by lines, and its name in errors."""

    file: str
    lines: tuple[str, ...]

    def span(self, line: int, column: int, length: int = 1) -> "Span":
        return Span(self, line, column, max(1, length))


@dataclass(frozen=True, slots=True)
class Span:
    """A location: line and column from 0, length in characters."""

    source: Source
    line: int
    column: int
    length: int

    @property
    def place(self) -> Place:
        lines = self.source.lines
        text = lines[self.line] if self.line < len(lines) else ""
        return Place(self.source.file, self.line + 1, self.column + 1, text, self.length)


@dataclass(frozen=True, slots=True)
class Node:
    """A located value. `key` is the location of its key, for a value in a mapping."""

    content: Scalar | tuple["Node", ...] | dict[str, "Node"]
    span: Span
    key: Span | None = None

    @property
    def plain(self) -> Plain:
        """The value without places."""
        if isinstance(self.content, dict):
            return {key: node.plain for key, node in self.content.items()}
        if isinstance(self.content, tuple):
            return [node.plain for node in self.content]
        return self.content


def error(span: Span, message: str, remedy: str = "") -> SpaceError:
    """A SpaceError at `span`."""
    return SpaceError(message, span.place, remedy)


def read_text(path: Path) -> str:
    """The text of a regular file of at most 1 MiB in UTF-8. Raises SpaceError for anything else, without
    hanging."""
    doubt = "is this the YAML of a search space?"
    try:
        return files.read_text(path, MAX_BYTES, SpaceError, "a search space", ".yaml file", doubt)
    except FileNotFoundError:
        remedy = f"{files.near(path)}check the path"
        raise SpaceError(f"there is no file {printable(str(path))}", remedy=remedy) from None


def parse(text: str, file: str = "<text>", shown: str | None = None) -> Node:
    """The one document in `text`; a SpaceError holds all errors up to the first one that stops the parser.
    `shown` is the text for locations, if it differs from `text`."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise SpaceError(f"{printable(file)} is longer than {MAX_BYTES >> 20} MiB", remedy="shorten it")
    text = text.removeprefix("\ufeff")
    source = Source(file, tuple(BREAK.split(text if shown is None else shown)))
    if found := FORBIDDEN.search(text):
        tab = found[0] == "\t"
        raise error(
            _at(source, text, found.start()),
            "a tab" if tab else f"the character U+{ord(found[0]):04X} is not allowed",
            r"use spaces; in double quotes a tab is written \t"
            if tab
            else r"write it in double quotes, as \u1234",
        )
    if found := DIRECTIVE.search(text):
        raise error(_at(source, text, found.start()), "directives are not allowed", "remove the line")
    faults = Faults()
    try:
        root = _document(text, source, faults)
    except SpaceError as failure:
        fatal: SpaceError = failure
    except yaml.MarkedYAMLError as failure:
        problem = failure.problem or failure.context or "it cannot be read"
        mark = failure.problem_mark or failure.context_mark
        remedy = next((help for part, help in REMEDIES if part in problem), "")
        context = f" ({failure.context})" if failure.context and failure.problem else ""
        span = source.span(mark.line, mark.column) if mark else source.span(0, 0)
        fatal = error(span, f"not YAML: {printable(problem)}{printable(context)}", remedy)
    except yaml.YAMLError as failure:
        fatal = error(source.span(0, 0), f"not YAML: {printable(str(failure))}")
    else:
        faults.check()
        return root
    faults.add(fatal)
    faults.check()
    raise fatal


def _at(source: Source, text: str, offset: int) -> Span:
    before = BREAK.split(text[:offset])
    return source.span(len(before) - 1, len(before[-1]))


class _Open:
    """An open mapping or list."""

    def __init__(self, kind: str, span: Span, key: Span | None) -> None:
        self.kind, self.span, self.key = kind, span, key
        self.items: list[Node] = []
        self.pairs: dict[str, Node] = {}
        self.waiting: tuple[str, Span] | None = None  # a key whose value comes next


def _document(text: str, source: Source, faults: Faults) -> Node:
    stack: list[_Open] = []
    root: Node | None = None
    for event in yaml.parse(text, Loader=LOADER):
        span = _span(source, event)
        top = stack[-1] if stack else None
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise error(span, "a second document", "a file holds one search space; remove what follows '---'")
        if not isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            continue
        if isinstance(event, yaml.NodeEvent):
            faults.take(None, _refuse, event, span)
        is_key = top is not None and top.kind == "mapping" and top.waiting is None
        if is_key and top and isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                raise error(
                    span,
                    "a key that is a list or a mapping",
                    "keys are plain text; is a quote or a bracket missing?",
                )
            top.waiting = faults.take(("", span), _key, event, span, top)
            continue
        if isinstance(event, yaml.CollectionStartEvent):
            if len(stack) >= MAX_DEPTH:
                raise error(span, f"nested more than {MAX_DEPTH} deep", "reduce the nesting")
            kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
            stack.append(_Open(kind, span, top.waiting[1] if top and top.waiting else None))
            continue
        if isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            key = top.waiting[1] if top and top.waiting else None
            empty = isinstance(event, yaml.ScalarEvent) and not event.value and not event.style
            shown = key if key and empty else span  # empty: show its key
            node = Node(faults.take(None, _scalar, event, span), shown, key)
        else:
            done = stack.pop()
            node = Node(done.pairs if done.kind == "mapping" else tuple(done.items), done.span, done.key)
            top = stack[-1] if stack else None
        if top is None:
            root = node
        elif top.waiting is not None:
            top.pairs[top.waiting[0]] = node
            top.waiting = None
        else:
            top.items.append(node)
    return root or Node(None, source.span(0, 0))


def _span(source: Source, event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    assert start and end, "events of a text have marks"
    if not isinstance(event, yaml.ScalarEvent):
        return source.span(start.line, start.column)
    if start.line == end.line:
        return source.span(start.line, start.column, end.column - start.column)
    return source.span(start.line, start.column, len(source.lines[start.line]) - start.column)


def _refuse(event: yaml.NodeEvent, span: Span) -> None:
    """Refuses features that let a file grow without bound or run code."""
    if isinstance(event, yaml.AliasEvent):
        raise error(span, "aliases are not allowed", "write out the value")
    if event.anchor is not None:
        raise error(
            span, "anchors are not allowed", "remove the '&' word, and write out values where they are used"
        )
    if getattr(event, "tag", None) is not None:
        raise error(span, "tags are not allowed", "remove the '!' word; put text in quotes")


def _key(event: yaml.NodeEvent, span: Span, mapping: _Open) -> tuple[str, Span]:
    if not isinstance(event, yaml.ScalarEvent):  # an alias, which was refused
        return "", span
    if event.value == "<<" and not event.style:
        raise error(span, "merge keys are not allowed", "write out the pairs")
    key = _scalar(event, span)
    if not isinstance(key, str):
        raise error(
            span, f"the key {_shown(event.value)} is not text", "put it in quotes if it is meant as text"
        )
    if key in mapping.pairs:
        first = mapping.pairs[key].key
        where = f"; the first one is in line {first.line + 1}" if first else ""
        raise error(span, f"duplicate key '{printable(key, 60)}'{where}", "keep one of the two")
    return key, span


def _scalar(event: yaml.NodeEvent, span: Span) -> Scalar:
    if not isinstance(event, yaml.ScalarEvent):  # an alias, which was refused
        return None
    if not event.style:
        return resolve(event.value, span)
    if surrogate := re.search("[\ud800-\udfff]", event.value):
        remedy = r"a character above U+FFFF is written \U0001F600"
        raise error(span, f"U+{ord(surrogate[0]):04X} is a lone surrogate", remedy)
    return str(event.value)


def resolve(text: str, span: Span | None = None) -> Scalar:
    """The value of a plain scalar."""
    span = span or Source("<text>", (text,)).span(0, 0, len(text))
    if text in WORDS:
        return WORDS[text]
    if NOT_FINITE.match(text):
        raise error(span, f"{text} is not a finite number", "put it in quotes if it is meant as text")
    if not FLOAT.match(text):
        return text
    if LEADING_ZERO.match(text):
        plain = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", text)
        remedy = f"write {printable(plain, 60)}, or put it in quotes if it is meant as text"
        raise error(
            span, "a number with a leading zero (octal for some programs, decimal for others)", remedy
        )
    if INTEGER.match(text):
        if len(text) > MAX_DIGITS:
            raise error(
                span, f"a number of more than {MAX_DIGITS} digits", "put it in quotes if it is meant as text"
            )
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise error(
            span, f"{_shown(text)} is too large for a number", "put it in quotes if it is meant as text"
        )
    return value


def _shown(text: str) -> str:
    return f"'{printable(text, 60)}'"
