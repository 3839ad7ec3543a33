"""Read genotype literals from a .py file or a log; a ForeignError for each refused one.

Python's own parser reads the text, and nothing is compiled or executed. In a .py file genotypes are top-level
assignments NAME = Genotype(recurrent=..., concat=...) or bare calls. In a log, and in a .py file with invalid
syntax, every Genotype(...) counts.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cellsearch.dsl.importers.source import MAX_CELLS, Source, lines, quoted
from cellsearch.dsl.limits import MAX_NAME, MAX_NODES, MAX_TEXT
from cellsearch.errors import ForeignError, did_you_mean, nearest, printable

CALLED, FIELDS = "Genotype", ("recurrent", "concat")
CALL = re.compile(rf"(?<!\w){CALLED}[ \t]*\(")
_OTHER_NAMES = {"recurrent_concat": "concat"}  # of a field
FORM = "write NAME = Genotype(recurrent=[('tanh', 0), ('relu', 1)], concat=range(1, 3))"
LITERALS = f"only literals are read; {FORM}"
#: The functions of a genotype as our ops; None for the identity.
FUNCTIONS = {"tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "identity": None}
_NO_FUNCTION = "none"  # no connection: a choice in the search of DARTS, in no derived genotype
_OF_IMAGES = ("normal", "normal_concat", "reduce", "reduce_concat")
_ASSIGNED = re.compile(r"([^\W\d]\w*)[ \t]*=[ \t]*(?:\w+\.)*\Z")
#: A call with parentheses nested up to three deep: Genotype([...], list(range(1, 9))).
_WHOLE = re.compile(CALL.pattern + r"(?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\)")


@dataclass(frozen=True, slots=True)
class Genotype:
    """A genotype with its name ("" if unnamed) and location: for each node 1, 2, … a function and the node
    that it reads; and the nodes of the output."""

    name: str
    recurrent: tuple[tuple[str, int], ...]
    concat: tuple[int, ...]
    start: int
    end: int


def genotypes(source: Source) -> Iterator[Genotype | ForeignError]:
    """The genotypes of a .py file in its order."""
    part = _Part(source, 0, source.text)
    try:
        tree = part.parsed("exec")
    except ForeignError as error:
        found = list(logged(source))
        yield from found
        if not found or any(isinstance(one, ForeignError) for one in found):
            yield error
        return
    seen: set[str] = set()
    for statement in ast.iter_child_nodes(tree):
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr):
            calls = [node for node in ast.walk(statement) if _is_call(node)]
            if calls:
                yield _assigned(part, statement, calls[0], seen)


def logged(source: Source) -> Iterator[Genotype | ForeignError]:
    """The genotypes of a log in its order. Each `genotype = Genotype(...)` has the name genotype."""
    starts = [match.start() for match in CALL.finditer(source.text)]
    if len(starts) > MAX_CELLS:
        raise ForeignError(
            f"{printable(source.file)} holds more than {MAX_CELLS:,} genotypes", remedy="split the file"
        )
    for start, end in pairwise([*starts, len(source.text)]):
        line = source.text[max(source.text.rfind("\n", 0, start) + 1, start - 2 * MAX_NAME) : start]
        assigned = _ASSIGNED.search(line)
        try:
            whole = _WHOLE.match(source.text, start, min(end, start + MAX_TEXT))
            if whole is None:
                what = f"this {CALLED}( is not closed within {MAX_TEXT // 1024} KiB"
                raise source.error(what, start, start + len(CALLED), FORM)
            part = _Part(source, start, whole[0])
            (call,) = ast.iter_child_nodes(part.parsed("eval"))
            yield _genotype(part, assigned[1] if assigned else "", call, call)
        except ForeignError as error:
            yield error


def _is_call(node: ast.AST) -> bool:
    """Whether a node is Genotype(...) or module.Genotype(...)."""
    function = node.func if isinstance(node, ast.Call) else None
    return CALLED in (getattr(function, "id", ""), getattr(function, "attr", ""))


def _assigned(part: "_Part", statement: ast.stmt, call: ast.AST, seen: set[str]) -> Genotype | ForeignError:
    """The genotype of a statement. `seen` are the used names."""
    try:
        if getattr(statement, "value", None) is not call:
            raise part.error("a genotype inside another expression is not read", call, FORM)
        target = getattr(statement, "target", None)
        targets = getattr(statement, "targets", [] if target is None else [target])
        if isinstance(statement, ast.AugAssign) or [type(t) for t in targets] not in ([], [ast.Name]):
            raise part.error("this is not a plain assignment of a genotype", statement, FORM)
        name = targets[0].id if targets else ""
        if name and name in seen:
            raise part.error(f"{quoted(name)} is assigned twice", statement, "rename one of them")
        seen.add(name)
        return _genotype(part, name, call, statement)
    except ForeignError as error:
        return error


def _genotype(part: "_Part", name: str, call: ast.AST, whole: ast.AST) -> Genotype:
    assert isinstance(call, ast.Call)
    fields: dict[str, ast.expr] = {}
    for field, node in [*zip(FIELDS, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]:
        field = _OTHER_NAMES.get(field or "", field or "**")
        if field in _OF_IMAGES:
            message = "this is the genotype of a convolutional network"
            raise part.error(message, node, f"only recurrent ones are read: {FORM}")
        if field not in FIELDS:
            raise part.error(f"unknown field {quoted(field)}", node, did_you_mean(field, FIELDS) + FORM)
        if field in fields:
            raise part.error(f"{field} is given twice", node, "remove one of them")
        fields[field] = node
    for extra in call.args[len(FIELDS) :]:
        raise part.error("a genotype has two fields", extra, FORM)
    for field in FIELDS:
        if field not in fields:
            raise part.error(f"the genotype has no {field}", call, FORM)
    pairs = _values(part, fields["recurrent"], "a list of pairs")
    concat = _values(part, fields["concat"], "a list of numbers or range(1, 9)")
    recurrent = tuple(_pair(part, node, pair, k) for k, (pair, node) in enumerate(pairs, 1))
    if not concat:
        raise part.error("concat is empty", fields["concat"], "name at least one node, 0 to the last")
    for place, node in concat:
        if type(place) is not int or not 0 <= place <= len(pairs):
            there = f"nodes are 0 (the first) to {len(pairs)}, one for each pair of recurrent"
            raise part.error(f"concat names node {part.shown(node)}, which does not exist", node, there)
    start, end = part.place(whole)
    return Genotype(name, recurrent, tuple(place for place, _ in concat), start, end)


def _values(part: "_Part", node: ast.expr, wanted: str) -> list[tuple[Any, ast.expr]]:
    """The values of a list, or of range(...) or list(range(...)), with their locations."""
    name, args = _called(node)
    if name in ("list", "tuple") and len(args) == 1:
        name, args = _called(args[0])
    entries = node.elts if isinstance(node, ast.List | ast.Tuple) else args if name == "range" else None
    if entries is None:
        raise part.error(f"expected {wanted}, found {part.shown(node)}", node, LITERALS)
    values = []
    for entry in entries[: MAX_NODES + 1]:
        try:
            values.append((ast.literal_eval(entry), entry))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise part.error(f"{part.shown(entry)} is not a literal", entry, LITERALS) from None
    if name == "range":
        try:
            values = [(k, node) for k in range(*(value for value, _ in values))[: MAX_NODES + 1]]
        except (ValueError, TypeError):
            raise part.error("this is not a valid range", node, "write range(1, 9) for 1 to 8") from None
    if len(values) > MAX_NODES:
        raise part.error(f"more than {MAX_NODES:,} values", node, "a cell cannot have that many nodes")
    return values


def _called(node: ast.expr) -> tuple[str, list[ast.expr]]:
    """The name and the arguments of a call; "" for other nodes."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return node.func.id, node.args
    return "", []


def _pair(part: "_Part", node: ast.expr, pair: object, k: int) -> tuple[str, int]:
    """The function of node k, and the node that it reads."""
    match pair:
        case (str(function), int(reads)) if type(reads) is int:
            pass
        case _:
            wanted = "a pair like ('tanh', 0)"
            raise part.error(f"expected {wanted}, found {part.shown(node)}", node, LITERALS)
    if function == _NO_FUNCTION:
        message = "'none' is not a function of a genotype: in DARTS it means no connection"
        remedy = f"DARTS never derives it; write one of {', '.join(FUNCTIONS)}"
        raise part.error(message, node, remedy)
    if function not in FUNCTIONS:
        raise part.error(f"unknown function {quoted(function)}", node, nearest(function, FUNCTIONS))
    if not 0 <= reads < k:
        remedy = f"node {k} can read 0 to {k - 1}, the earlier nodes"
        raise part.error(f"node {k} reads node {reads}", node, remedy)
    return function, reads


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file that begins at offset `start`."""

    source: Source
    start: int
    text: str

    def parsed(self, mode: str) -> ast.AST:
        """The syntax tree of the text."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes in strings
                return ast.parse(self.text, mode=mode)
        except SyntaxError as error:
            message, line, column = error.msg, error.lineno or 1, error.offset or 1
        except (ValueError, RecursionError, MemoryError) as error:
            message, line, column = str(error) or "it is nested too deeply", 1, 1
        begins = lines(self.text)
        at = min(begins[min(line, len(begins)) - 1] + column - 1, len(self.text) - 1)
        at += self.start
        raise self.source.error(f"this is not Python: {printable(message)}", at, at + 1, FORM)

    def place(self, node: ast.AST) -> tuple[int, int]:
        """Start and end offset of a node in the file."""
        assert isinstance(node, ast.expr | ast.stmt) and node.end_lineno and node.end_col_offset is not None
        begins = lines(self.text)

        def offset(line: int, column: int) -> int:
            begin = begins[line - 1]  # a syntax tree counts bytes
            before = self.text[begin : begin + column].encode("utf-8", "replace")[:column]
            return self.start + begin + len(before.decode(errors="ignore"))

        return offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)

    def shown(self, node: ast.AST) -> str:
        start, end = self.place(node)
        return printable(self.source.text[start:end], MAX_NAME)

    def error(self, message: str, node: ast.AST, remedy: str) -> ForeignError:
        return self.source.error(message, *self.place(node), remedy)
