"""Split the text of one cell into tokens with positions: words, numbers, symbols, line ends.

Line ends inside parentheses and brackets, blank lines and comments produce no tokens; the comments above the
first token are the description.
"""

import math
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from cellsearch.dsl.limits import MAX_NAME, MAX_TEXT
from cellsearch.dsl.text.messages import MESSAGES
from cellsearch.dsl.text.spellings import CHARACTERS, spelled
from cellsearch.errors import Place, TextError

_TOKEN = re.compile(
    r"(?P<space>[ \t]+)|(?P<comment>\#[^\n]*)|(?P<line>\n)|(?P<word>[A-Za-z_][A-Za-z0-9_]*'*)"
    r"|(?P<number>[0-9](?:[eE][+-]|[A-Za-z0-9_.])*)|(?P<sign>->|[-+*/=,;()\[\].@])",
    re.ASCII,
)
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_OPENING, _CLOSING = frozenset("(["), frozenset(")]")


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is "word", "number", "sign", "line" or "end"; `at` its offset; `value` a number's."""

    kind: str
    text: str
    at: int
    value: float = 0.0

    @property
    def shown(self) -> str:
        """Its name in a message."""
        return {"line": "the end of the line", "end": "the end of the text"}.get(self.kind, f"'{self.text}'")


class Source:
    """A text, its name, and the offsets of its lines: converts offsets to places."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        if len(text) > MAX_TEXT or len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT:
            self.text, self.lines = "", [""]
            self.fail("too_long", 0, limit=MAX_TEXT // 1024)
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self.lines = self.text.split("\n")

    def place(self, at: int, length: int = 1) -> Place:
        """The place of the character at offset `at`."""
        line = self.text.count("\n", 0, at)
        column = at - (self.text.rfind("\n", 0, at) + 1)
        return Place(self.file, line + 1, column + 1, self.lines[line], max(1, length))

    def fail(
        self,
        key: str,
        at: int,
        length: int = 1,
        scope: Collection[str] = (),
        carried: Collection[str] = (),
        **facts: object,
    ) -> NoReturn:
        """Raise the error of row `key` of the table of messages. `scope` holds the visible names of values,
        `carried` those of states."""
        row, place = MESSAGES[key], self.place(at, length)
        meant = spelled(key, place.text, place.column - 1, scope, carried)
        remedy = meant + row.remedy.format(**(facts | {"nearest": ""} if meant else facts))
        raise TextError(row.message.format(**facts), place, remedy.strip())


def tokens(source: Source) -> tuple[list[Token], str]:
    """The tokens of a text, the last of kind "end", and its description."""
    found: list[Token] = []
    description: list[str] = []
    text, at, depth = source.text, 0, 0
    blank = commented = False
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            _refuse(source, at)
        kind, piece = match.lastgroup or "", match.group()
        if kind == "word":
            _check_word(source, piece, at)
            found.append(Token(kind, piece, at))
        elif kind == "number":
            found.append(Token(kind, piece, at, _number(source, piece, at)))
        elif kind == "sign":
            depth = depth + 1 if piece in _OPENING else max(0, depth - 1) if piece in _CLOSING else depth
            found.append(Token(kind, piece, at))
        elif kind == "line":
            if depth == 0 and found and found[-1].kind != "line":
                found.append(Token(kind, piece, at))
            blank = blank or not commented
            commented = False
        elif kind == "comment":
            _check_comment(source, piece, at)
            if not found:
                description += [""] * (blank and bool(description))  # keep paragraphs separate
                description.append(piece[1:].removeprefix(" "))
            blank, commented = False, True
        at = match.end()
    if found and found[-1].kind != "line":
        found.append(Token("line", "\n", len(text)))
    found.append(Token("end", "", len(text)))
    return found, "\n".join(description)


def _check_word(source: Source, word: str, at: int) -> None:
    name = word.rstrip("'")
    if len(name) > MAX_NAME:
        source.fail("long_name", at, len(word), limit=MAX_NAME)
    if len(word) - len(name) > 1:
        source.fail("primes", at + len(name), len(word) - len(name), name=name)


def _number(source: Source, piece: str, at: int) -> float:
    if not _DECIMAL.fullmatch(piece):
        source.fail("bad_number", at, len(piece), number=piece if len(piece) <= 40 else f"{piece[:40]}…")
    value = float(piece)
    vanished = value == 0 and any(digit in "123456789" for digit in re.split("[eE]", piece)[0])
    if math.isinf(value) or vanished:
        source.fail("number_range", at, len(piece), side="large" if value else "small")
    return value


def _check_comment(source: Source, piece: str, at: int) -> None:
    if not piece.replace("\t", " ").isprintable():
        for k, c in enumerate(piece):
            if c != "\t" and not c.isprintable():
                source.fail("comment_character", at + k, code=_code(c))


def _refuse(source: Source, at: int) -> NoReturn:
    c = source.text[at]
    if c.isascii() and c.isprintable():
        source.fail("stray_character", at, character=c)
    plain = unicodedata.normalize("NFKC", c)
    meant = CHARACTERS.get(c) or (plain if plain.isascii() and plain.isprintable() and plain.strip() else "")
    source.fail("foreign_character", at, code=_code(c), nearest=f"did you mean '{meant}'? " if meant else "")


def _code(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")
