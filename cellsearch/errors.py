"""User-facing errors: one message with location, cause and remedy; never a traceback. The command line prints
these and exits with `exit_code`; any other exception is a defect of the program.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

MAX_WORD = 100  # compared characters of a word
#: Invisible characters that Unicode calls printable: fillers, joiners, the blank Braille pattern, variation
#: selectors, tags.
INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0000-\U000e0fff]")

_SECRETS = re.compile(  # user and password before the @ of a URL; and password options of URLs and libpq
    r"(:/{1,2})[^\s/:'\"]*:[^\s'\"]*(?=@)|(passw(?:or)?d=)[^\s&'\"]+", re.IGNORECASE
)
_SECRETS_IN = re.compile(":/|passw", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A location in a text: 1-based line and column, and the line itself for the caret."""

    file: str
    line: int
    column: int
    text: str = ""
    length: int = 1

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}:{self.column}"


def escaped(text: str) -> str:
    """`text` with control, bidirectional and invisible characters as escapes: `\\x1b`, `\\u202e`."""
    if text.isprintable() and (text.isascii() or not INVISIBLE.search(text)):
        return text
    return "".join(c if _visible(c) else c.encode("unicode_escape").decode() for c in text)


def _visible(c: str) -> bool:
    return c.isprintable() and not INVISIBLE.match(c)


def printable(text: str, limit: int = 160) -> str:
    """`text` with unsafe characters as escapes, truncated at `limit`."""
    shown = escaped(text[: limit + 1])
    return shown[:limit] + "…" if len(shown) > limit else shown


def safe(text: str) -> str:
    """`text` for a terminal or a log: lines of visible characters, without passwords of URLs."""
    if not (text.isascii() and text.isprintable()):
        text = "\n".join(map(escaped, text.split("\n")))
    return _SECRETS.sub(r"\1\2…", text) if _SECRETS_IN.search(text) else text


def plural(count: int, noun: str, nouns: str = "") -> str:
    """1 trial, 12 trials, 12,000 trials."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def did_you_mean(word: str, known: Iterable[str], suffix: str = "", cutoff: float = 0.6) -> str:
    """The start of a remedy: a question with the word of `known` that resembles `word`, else ""."""
    names = [name for name in known if len(name) <= MAX_WORD]
    for wanted in (word[:MAX_WORD], word[:MAX_WORD].lower()):
        if near := difflib.get_close_matches(wanted, names, n=1, cutoff=cutoff):
            return f"did you mean '{printable(near[0])}{suffix}'? "
    return ""


def nearest(word: str, known: Collection[str]) -> str:
    """A remedy: a question with the nearest of `known`, and all of them."""
    return f"{did_you_mean(word, known)}({', '.join(known)})"


def excerpt(place: Place, width: int = 96) -> str:
    """The line of `place` with a caret under it; long lines are cut around the caret."""
    start = max(0, min(place.column - 1 - width // 2, len(place.text) - width))
    before = printable(place.text[start : place.column - 1].replace("\t", " "), 10 * width)
    here = printable(place.text[place.column - 1 : place.column - 1 + place.length].replace("\t", " "), width)
    after = printable(
        place.text[place.column - 1 + place.length : start + width].replace("\t", " "), 10 * width
    )
    line = f"{before}{here}{after}".rstrip()
    leading = len(line) - len(line.lstrip())
    indent = len(before) - leading
    return f"    {line.strip()}\n    {' ' * max(0, indent)}{'^' * max(1, len(here))}"


class CellsearchError(Exception):
    """The base of all user-facing errors: location, cause and remedy in one message. Any other exception
    raised by this package is a defect.

        >>> try:
        ...     cs.parse("cell a(x; h)\\nh' = tanhh[x, h]")
        ... except cs.CellsearchError as error:
        ...     print(str(error).splitlines()[0])
        <text>:2:6: unknown function 'tanhh'
    """

    exit_code = 1


class LocatedError(CellsearchError):
    """An error with a place in a text. `str(error)` is the full message: place, cause, caret, remedy."""

    def __init__(self, message: str, place: Place | None = None, remedy: str = "") -> None:
        self.message, self.place, self.remedy = message, place, remedy
        parts = [f"{place}: {message}" if place else message]
        if place and place.text.strip():
            parts.append(excerpt(place))
        if remedy:
            parts.append(remedy)
        super().__init__("\n".join(parts))


class TextError(LocatedError):
    """A `.cell` text that is not a cell."""


class SpaceError(LocatedError):
    """An invalid search space (YAML): one error, or all errors of a file in the order of their places.

    `parts` are the single errors; message, place and remedy are those of the first.
    """

    def __init__(
        self, message: str, place: Place | None = None, remedy: str = "", parts: Sequence["SpaceError"] = ()
    ) -> None:
        super().__init__(message, place, remedy)
        self.parts = tuple(parts) or (self,)
        if len(self.parts) > 1:
            told = [*map(str, self.parts), f"{len(self.parts)} errors"]
            self.args = ("\n\n".join(told),)


class ForeignError(LocatedError):
    """A file from another tool without a cell, or with a cell that the language cannot express."""


class CellError(CellsearchError):
    """A malformed cell, or a cell that cannot be used in the requested way."""


class DataError(CellsearchError):
    """Missing, damaged or unsuitable data."""


class ExportError(CellsearchError):
    """An export that could not be written, or that disagreed with the compiled cell."""


def not_written(what: str, reason: str) -> ExportError:
    """The error for a wrong export: a defect of the program, not of its user."""
    return ExportError(
        f"{what} was not written: {reason}\n"
        "this is a defect of cellsearch; please report it with the cell's text"
    )


class RunError(CellsearchError):
    """A search that cannot start, continue, or be read."""


class UsageError(CellsearchError):
    """Wrong arguments on the command line."""

    exit_code = 2
