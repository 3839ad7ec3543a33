"""Convert nodes of a YAML text to checked values: numbers in a range, words of a list, mappings as
dataclasses. Errors are located SpaceErrors with a suggestion. Keys are the fields of a dataclass declared
with `option`, which also gives defaults, ranges and choices.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cellsearch import options
from cellsearch.errors import nearest, printable
from cellsearch.options import Range, Refused, between, fields_of
from cellsearch.study.space.faults import Faults
from cellsearch.study.space.yaml_text import FORBIDDEN, Node, error

T = TypeVar("T")

MAX_TEXT, MAX_ITEMS = 10_000, 1_000  # maximum characters of a text, items of a list


def shown(node: Node) -> str:
    """The content of `node`, short and safe for a terminal."""
    value = node.content
    if isinstance(value, dict | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return f"'{printable(value, 60)}'" if isinstance(value, str) else f"{value}"


def named(what: str) -> str:
    """The path of a key in messages; empty for the top level."""
    return f"'{what}'" if what else "the search space"


def mapping(
    node: Node, what: str, known: Sequence[str], faults: Faults, required: Sequence[str] = ()
) -> dict[str, Node]:
    """The pairs of a mapping with keys in `known`; unknown and missing keys are faults. An empty value is an
    empty mapping."""
    pairs = {} if node.content is None else node.content
    if not isinstance(pairs, dict):
        remedy = f"its keys are {', '.join(known)}"
        faults.add(error(node.span, f"{named(what)} is {shown(node)}, not a mapping", remedy))
        return {}
    for key, value in pairs.items():
        if key not in known:
            at = value.key or value.span
            faults.add(error(at, f"unknown key '{printable(key, 60)}'", nearest(key, known)))
    for key in required:
        if key not in pairs:
            at = node.key or node.span
            faults.add(
                error(at, f"'{key}' is missing in {named(what)}", f"it must have {', '.join(required)}")
            )
    return {key: value for key, value in pairs.items() if key in known}


def items(node: Node, what: str) -> tuple[Node, ...]:
    """The items of a list with at least one item."""
    if not isinstance(node.content, tuple):
        raise error(
            node.span,
            f"{named(what)} is {shown(node)}, not a list",
            "write [a, b, ...], or one item per line after '- '",
        )
    if not node.content:
        raise error(node.span, f"{named(what)} is empty", "give at least one item")
    if len(node.content) > MAX_ITEMS:
        raise error(node.span, f"{named(what)} has more than {MAX_ITEMS:,} items", "shorten it")
    return node.content


def distinct(node: Node, what: str, read: Callable[[Node, str], T]) -> tuple[T, ...]:
    """The items of a list, each read by `read`; duplicates are errors."""
    found: list[T] = []
    faults = Faults()
    for item in items(node, what):
        faults.take(None, _distinct, item, what, read, found)
    faults.check()
    return tuple(found)


def _distinct(item: Node, what: str, read: Callable[[Node, str], T], found: list[T]) -> None:
    value = read(item, what)
    if value in found:
        raise error(item.span, f"{shown(item)} appears twice in {named(what)}", "remove one of the two")
    found.append(value)


def text(node: Node, what: str) -> str:
    """A text."""
    if not isinstance(node.content, str):
        raise error(
            node.span, f"{named(what)} is {shown(node)}, not text", "put it in quotes if it is meant as text"
        )
    if len(node.content) > MAX_TEXT:
        raise error(node.span, f"{named(what)} has more than {MAX_TEXT:,} characters", "shorten it")
    if found := FORBIDDEN.search(node.content):
        raise error(node.span, f"{named(what)} holds U+{ord(found[0]):04X}, a control character", "remove it")
    return node.content


def word(node: Node, what: str, allowed: Sequence[str]) -> str:
    """One of the words `allowed`."""
    value = text(node, what)
    if value not in allowed:
        raise error(node.span, f"{named(what)} cannot be {shown(node)}", nearest(value, allowed))
    return value


def number(node: Node, what: str, limits: Range) -> float:
    """A number within `limits`."""
    return float(_number(node, what, "a number", options.number, limits, False, between(False, limits)))


def whole(node: Node, what: str, limits: Range) -> int:
    """An integer within `limits`; accepts 5e6."""
    return int(_number(node, what, "a whole number", options.number, limits, True, between(True, limits)))


def _number(node: Node, what: str, noun: str, read: Callable[..., Any], *rest: object) -> Any:
    try:
        return read(node.content, *rest)
    except Refused as refused:
        wrong = "out of range" if refused.out_of_range else f"not {noun}"
        message = f"{named(what)} is {shown(node)}, {wrong}"
        raise error(node.span, message, f"write {refused.allowed}") from None


def record(
    kind: type[T],
    node: Node,
    what: str,
    base: T | None = None,
    readers: Mapping[str, Callable[[Node, str], object]] | None = None,
) -> T:
    """A mapping as a dataclass `kind`. Omitted keys have the value of `base`, or the default of the field. A
    field is read by its type and its range or choices, or by its own reader.
    """
    faults = Faults()
    fields, hints = fields_of(kind), get_type_hints(kind)
    values: dict[str, Any] = {} if base is None else {name: getattr(base, name) for name in fields}
    for key, value in mapping(node, what, list(fields), faults).items():
        path = f"{what}.{key}" if what else key
        if reader := (readers or {}).get(key):
            values[key] = faults.take(None, reader, value, path)
        else:
            values[key] = faults.take(None, typed, value, path, hints[key], fields[key].metadata)
    faults.check()
    return kind(**values)


def typed(node: Node, what: str, hint: Any, metadata: Mapping[str, Any]) -> Any:
    """A value of the type `hint`: int, float, str, a tuple of these, or one of them or None."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return distinct(node, what, lambda item, name: typed(item, name, inner, metadata))
    kinds = get_args(hint) or (hint,)
    if metadata["choices"]:
        return word(node, what, metadata["choices"])
    noun = "a whole number" if int in kinds else "a number"
    return _number(node, what, noun, options.admitted, hint, metadata)
