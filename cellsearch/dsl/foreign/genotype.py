"""Genotypes in the text of a .py file: literals in, their names and numbers out, or a ForeignError.

Read are assignments NAME = Genotype(recurrent=..., concat=...) that begin in the first column, and a
Genotype(...) alone on its line, as logs have it. What is indented, begins with a word like `def`, or has no
Genotype(...) in it is passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from keyword import iskeyword

from cellsearch.dsl.foreign.python_text import Token, statements
from cellsearch.dsl.foreign.source import MAX_CELLS, Source, quoted
from cellsearch.dsl.invariants import MAX_NODES
from cellsearch.errors import ForeignError, did_you_mean

CALLED, FIELDS = "Genotype", ("recurrent", "concat")
FORM = "write NAME = Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=range(1, 3))"
#: The functions of a genotype, as ops of ours; None where there is nothing to apply.
FUNCTIONS = {"none": None, "tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "identity": None}

_WHOLE = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_OF_IMAGES = ("normal", "normal_concat", "reduce", "reduce_concat")


@dataclass(frozen=True, slots=True)
class Genotype:
    """A genotype, "" as its name where it has none, and where it stands: for each node 1, 2, … a function and
    the node that it reads; and the nodes of the output."""

    name: str
    recurrent: tuple[tuple[str, int], ...]
    concat: tuple[int, ...]
    start: int
    end: int


def genotypes(source: Source) -> Iterator[Genotype]:
    """The genotypes of the text in its order."""
    seen: set[str] = set()
    for count, (name, tokens, at) in enumerate(_found(source)):
        start, end = tokens[0].start, tokens[-1].end
        if name and name in seen:
            raise source.error(f"{quoted(name)} is assigned twice", start, end, "rename one of them")
        if count == MAX_CELLS:
            raise source.error(f"more than {MAX_CELLS:,} genotypes", start, end, "split the file")
        seen.add(name)
        recurrent, concat = _Reader(source, tokens, at + 2).fields()
        yield Genotype(name, recurrent, concat, start, end)


def _found(source: Source) -> Iterator[tuple[str, list[Token], int]]:
    """Each statement that calls Genotype, the name that it assigns to, and where in it the call stands."""
    for tokens in statements(source):
        at = None if iskeyword(tokens[0].text) else _call(source, tokens)
        if at is not None:
            yield _name(source, tokens, at), tokens, at


def _call(source: Source, tokens: list[Token]) -> int | None:
    """Where a statement calls Genotype, None where it does not."""
    for k, (token, behind) in enumerate(pairwise(tokens)):
        if (token.kind, token.text, behind.text) == ("name", CALLED, "("):
            if token.depth:
                what = "a genotype inside of another expression is not read"
                raise source.error(what, token.start, token.end, FORM)
            return k
    return None


def _name(source: Source, tokens: list[Token], at: int) -> str:
    """The name that the genotype at `at` is assigned to; "" where it stands alone."""
    while at >= 2 and tokens[at - 1].text == "." and tokens[at - 2].kind == "name":
        at -= 2  # genotypes.Genotype(...)
    head = tokens[:at]
    if not head:
        return ""
    annotated = len(head) > 2 and head[1].text == ":" and all(t.text != "=" or t.depth for t in head[2:-1])
    if head[0].kind == "name" and head[-1].text == "=" and (len(head) == 2 or annotated):
        return head[0].text
    raise source.error("this is no plain assignment of a genotype", head[0].start, tokens[at].end, FORM)


class _Reader:
    """The literals in the call of Genotype, token by token, from `at` on."""

    def __init__(self, source: Source, tokens: list[Token], at: int) -> None:
        self.source, self.tokens, self.at = source, tokens, at

    @property
    def token(self) -> Token:
        """The token that comes next; at the end of the statement an empty one."""
        if self.at < len(self.tokens):
            return self.tokens[self.at]
        end = self.tokens[-1].end
        return Token("", "", end, end, 0)

    def fields(self) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...]]:
        """What stands in the parentheses of the call, which ends the statement."""
        places: dict[str, Token] = {}
        recurrent: list[tuple[str, int]] = []
        concat: list[tuple[int, Token]] = []
        while not self._take(")"):
            first, field = self.token, self._field(len(places))
            if field in places:
                raise self._error(f"{field} is given twice", first, "remove one of them")
            places[field] = first
            if field == "recurrent":
                recurrent = self._recurrent()
            else:
                concat = self._concat()
            if not self._take(","):
                self._need(")", "',' or ')'")
                break
        if self.at < len(self.tokens):
            raise self._error(f"{quoted(self.token.text)} behind the genotype", self.token, FORM)
        for field in FIELDS:
            if field not in places:
                raise self._error(f"the genotype has no {field}", self.tokens[0], FORM)
        if not concat:
            raise self._error("concat is empty", places["concat"], "name at least one node, 0 to the last")
        for place, token in concat:
            if not 0 <= place <= len(recurrent):
                there = f"there are 0, the first one, to {len(recurrent)}, one for each pair of recurrent"
                raise self._error(f"concat names node {place}, which is not there", token, there)
        return tuple(recurrent), tuple(place for place, _ in concat)

    def _field(self, position: int) -> str:
        token = self.token
        named = self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].text == "="
        if token.kind == "name" and named:
            self.at += 2
            if token.text in FIELDS:
                return token.text
            if token.text in _OF_IMAGES:
                what = "this is the genotype of a convolutional network"
                raise self._error(what, token, f"recurrent ones are read: {FORM}")
            raise self._error(
                f"unknown field {quoted(token.text)}", token, did_you_mean(token.text, FIELDS) + FORM
            )
        if position < len(FIELDS):
            return FIELDS[position]
        raise self._unexpected("')'", FORM)

    def _recurrent(self) -> list[tuple[str, int]]:
        pairs: list[tuple[str, int]] = []
        close = self._open("a list of pairs")
        while not self._take(close):
            end = self._open("a pair like ('tanh', 0)")
            function = self._function()
            self._need(",", "','")
            token, reads = self.token, self._number()
            if not 0 <= reads <= len(pairs):
                whole = f"node {len(pairs) + 1} can read 0 to {len(pairs)}, which stand before it"
                raise self._error(f"node {len(pairs) + 1} reads node {reads}", token, whole)
            self._take(",")
            self._need(end, quoted(end))
            pairs.append((function, reads))
            if len(pairs) > MAX_NODES:
                raise self._error(f"more than {MAX_NODES:,} nodes", token, "a cell has at most as many")
            self._between(close)
        return pairs

    def _function(self) -> str:
        token = self.token
        if token.kind != "string" or token.text[0] not in "'\"" or token.text[:3] in ("'''", '"""'):
            raise self._unexpected("a function in quotes", f"({', '.join(FUNCTIONS)})")
        name = token.text[1:-1]
        if name not in FUNCTIONS:
            hint = f"{did_you_mean(name, FUNCTIONS)}({', '.join(FUNCTIONS)})"
            raise self._error(f"unknown function {quoted(name)}", token, hint)
        self.at += 1
        return name

    def _concat(self) -> list[tuple[int, Token]]:
        token = self.token
        if token.text in ("list", "tuple"):
            self.at += 1
            self._need("(", "'('")
            found = self._range()
            self._need(")", "')'")
            return found
        return self._range() if token.text == "range" else self._numbers()

    def _range(self) -> list[tuple[int, Token]]:
        token = self.token
        if token.text != "range":
            raise self._unexpected("range(1, 9)", FORM)
        self.at += 1
        bounds = [number for number, _ in self._numbers()]
        if not 1 <= len(bounds) <= 3 or (len(bounds) == 3 and not bounds[2]):
            raise self._error("this is no range", token, "write range(1, 9) for 1 to 8")
        return [(place, token) for place in range(*bounds)[: MAX_NODES + 1]]

    def _numbers(self) -> list[tuple[int, Token]]:
        found: list[tuple[int, Token]] = []
        close = self._open("a list of numbers, or range(1, 9),")
        while not self._take(close):
            token = self.token
            found.append((self._number(), token))
            if len(found) > MAX_NODES:
                raise self._error(f"more than {MAX_NODES:,} numbers", token, "a cell has fewer nodes")
            self._between(close)
        return found

    def _number(self) -> int:
        first, sign = self.token, -1 if self._take("-") else 1
        token = self.token
        if not _WHOLE.match(token.text):
            shown = quoted(self.source.text[first.start : token.end])
            raise self._error(
                f"{shown} where a whole number should stand", first, "write it in digits: 0, 12"
            )
        self.at += 1
        return sign * int(token.text)

    def _open(self, wanted: str) -> str:
        """Passes the bracket that opens a list or tuple; the one that will close it."""
        if self._take("["):
            return "]"
        self._need("(", wanted)
        return ")"

    def _between(self, close: str) -> None:
        """Passes a comma, unless the list ends here."""
        if not self._take(",") and self.token.text != close:
            raise self._unexpected(f"',' or {close!r}", FORM)

    def _take(self, mark: str) -> bool:
        if self.token.kind == "mark" and self.token.text == mark:
            self.at += 1
            return True
        return False

    def _need(self, mark: str, wanted: str) -> None:
        if not self._take(mark):
            raise self._unexpected(wanted, f"literals alone are read; {FORM}")

    def _unexpected(self, wanted: str, remedy: str) -> ForeignError:
        return self._error(f"{quoted(self.token.text)} where {wanted} should stand", self.token, remedy)

    def _error(self, message: str, token: Token, remedy: str) -> ForeignError:
        return self.source.error(message, token.start, token.end, remedy)
