"""Genotypes in the text of a .py file or of a log: literals in, their names and numbers out, or a
ForeignError for each that is refused.

In a .py file these are assignments NAME = Genotype(recurrent=..., concat=...) that begin in the first column,
a Genotype(...) alone on its line, and lines of a log, which begin with a date. What is indented, begins with
a word like `def`, or has no Genotype(...) in it is passed over. In a log it is every Genotype(...), whatever
stands around it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from keyword import iskeyword

from cellsearch.dsl.importers.python_text import Token, call, statements
from cellsearch.dsl.importers.source import MAX_CELLS, Source, quoted
from cellsearch.dsl.limits import MAX_NAME, MAX_NODES
from cellsearch.errors import ForeignError, did_you_mean, printable

CALLED, FIELDS = "Genotype", ("recurrent", "concat")
CALL = re.compile(rf"(?<!\w){CALLED}[ \t]*\(")
_OTHER_NAMES = {"recurrent_concat": "concat"}  # of a field
FORM = "write NAME = Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=range(1, 3))"
#: The functions of a genotype, as ops of ours; None where there is nothing to apply.
FUNCTIONS = {"tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "identity": None}
_NO_FUNCTION = "none"  # no connection: a choice of the search of DARTS, which no genotype that it derives has

_ASSIGNED = re.compile(r"([^\W\d]\w*)[ \t]*=[ \t]*(?:\w+\.)*\Z")
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


def genotypes(source: Source) -> Iterator[Genotype | ForeignError]:
    """The genotypes of a .py file in its order. An error in the form of the text itself is the last item."""
    seen: set[str] = set()
    count = 0
    found = statements(source)
    while True:
        try:
            tokens = next(found, None)  # None also after an error
            if tokens is None:
                return
            genotype: Genotype | ForeignError | None = _genotype(source, tokens, seen)
        except ForeignError as error:
            genotype = error
        if genotype is not None:
            yield _counted(source, genotype, count)
            count += 1


def logged(source: Source) -> Iterator[Genotype | ForeignError]:
    """The genotypes of a log in its order. `genotype = Genotype(...)` is called genotype, each time."""
    starts = [match.start() for match in CALL.finditer(source.text)]
    for count, (start, end) in enumerate(pairwise([*starts, len(source.text)])):
        try:
            tokens = call(source, start, end)
            line = source.text[max(source.text.rfind("\n", 0, start) + 1, start - 2 * MAX_NAME) : start]
            name = match[1] if (match := _ASSIGNED.search(line)) else ""
            recurrent, concat = _Reader(source, tokens, 2).fields()
            genotype: Genotype | ForeignError = Genotype(name, recurrent, concat, start, tokens[-1].end)
        except ForeignError as error:
            genotype = error
        yield _counted(source, genotype, count)


def _counted(source: Source, found: Genotype | ForeignError, count: int) -> Genotype | ForeignError:
    """What was found, unless it is one too many."""
    if count == MAX_CELLS:
        raise ForeignError(
            f"{printable(source.file)} holds more than {MAX_CELLS:,} genotypes", remedy="split the file"
        )
    return found


def _genotype(source: Source, tokens: list[Token], seen: set[str]) -> Genotype | None:
    """The genotype of a statement, None where it calls none. `seen` are the names that are taken."""
    at = None if iskeyword(tokens[0].text) else _call(source, tokens)
    if at is None:
        return None
    start, end = tokens[0].start, tokens[-1].end
    name, dated = _name(source, tokens, at)
    if not dated and name and name in seen:
        raise source.error(f"{quoted(name)} is assigned twice", start, end, "rename one of them")
    seen.add("" if dated else name)
    recurrent, concat = _Reader(source, tokens, at + 2).fields()
    return Genotype(name, recurrent, concat, start, end)


def _call(source: Source, tokens: list[Token]) -> int | None:
    """Where a statement calls Genotype, None where it does not."""
    for k, (token, behind) in enumerate(pairwise(tokens)):
        if (token.kind, token.text, behind.text) == ("name", CALLED, "("):
            if token.depth:
                what = "a genotype inside of another expression is not read"
                raise source.error(what, token.start, token.end, FORM)
            return k
    return None


def _name(source: Source, tokens: list[Token], at: int) -> tuple[str, bool]:
    """The name that the genotype at `at` is assigned to, "" where it stands alone; and whether a date stands
    before it, as in a log."""
    while at >= 2 and tokens[at - 1].text == "." and tokens[at - 2].kind == "name":
        at -= 2  # genotypes.Genotype(...)
    head = tokens[:at]
    if not head:
        return "", False
    if "number" in (head[0].kind, head[1].kind if len(head) > 1 and head[0].text in "[(" else ""):
        return (head[-2].text if head[-1].text == "=" and head[-2].kind == "name" else ""), True
    annotated = len(head) > 2 and head[1].text == ":" and all(t.text != "=" or t.depth for t in head[2:-1])
    if head[0].kind == "name" and head[-1].text == "=" and (len(head) == 2 or annotated):
        return head[0].text, False
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
            field = _OTHER_NAMES.get(token.text, token.text)
            if field in FIELDS:
                return field
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
        if name == _NO_FUNCTION:
            what = "'none' is no function of a genotype: in DARTS it means no connection"
            remedy = f"no search of DARTS derives it; write one of {', '.join(FUNCTIONS)}"
            raise self._error(what, token, remedy)
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
