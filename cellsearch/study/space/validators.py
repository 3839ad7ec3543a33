"""From nodes of a YAML text to checked values: numbers in a range, words of a list, mappings as dataclasses.

In: a `Node` and what is allowed there. Out: the value, or a SpaceError at the place of what is wrong, with
the nearest right word. Keys are the fields of a dataclass, and its defaults are those of the YAML.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cellsearch.errors import did_you_mean, printable
from cellsearch.study.space.yaml_text import FORBIDDEN, Node, error

T = TypeVar("T")

Range = tuple[float, float]  # both ends allowed
Rule = Range | tuple[str, ...]  # or the words allowed

MAX_TEXT, MAX_ITEMS = 10_000, 1_000  # characters of a text, items of a list


def shown(node: Node) -> str:
    """What stands at `node`, short and safe for a terminal."""
    value = node.content
    if isinstance(value, dict | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return f"'{printable(value, 60)}'" if isinstance(value, str) else f"{value}"


def named(what: str) -> str:
    """The path of a key as messages show it; that of the whole is empty."""
    return f"'{what}'" if what else "the search space"


def nearest(word: str, known: Sequence[str]) -> str:
    """A question with the nearest of `known`, and all of them."""
    return f"{did_you_mean(word, known)}({', '.join(known)})"


def mapping(node: Node, what: str, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, Node]:
    """The pairs of a mapping whose keys are all in `known`. Nothing at all is an empty mapping."""
    pairs = {} if node.content is None else node.content
    if not isinstance(pairs, dict):
        raise error(
            node.span, f"{named(what)} is {shown(node)}, not a mapping", f"its keys are {', '.join(known)}"
        )
    for key, value in pairs.items():
        if key not in known:
            raise error(value.key or value.span, f"unknown key '{printable(key, 60)}'", nearest(key, known))
    for key in required:
        if key not in pairs:
            raise error(
                node.key or node.span,
                f"'{key}' is missing in {named(what)}",
                f"it must have {', '.join(required)}",
            )
    return pairs


def items(node: Node, what: str) -> tuple[Node, ...]:
    """The items of a list; there is at least one."""
    if not isinstance(node.content, tuple):
        raise error(
            node.span,
            f"{named(what)} is {shown(node)}, not a list",
            "write [a, b, ...], or one item a line after '- '",
        )
    if not node.content:
        raise error(node.span, f"{named(what)} is empty", "give at least one item")
    if len(node.content) > MAX_ITEMS:
        raise error(node.span, f"{named(what)} has more than {MAX_ITEMS:,} items", "shorten it")
    return node.content


def distinct(node: Node, what: str, read: Callable[[Node, str], T]) -> tuple[T, ...]:
    """The items of a list, each read by `read`; twice the same is an error."""
    found: list[T] = []
    for item in items(node, what):
        value = read(item, what)
        if value in found:
            raise error(item.span, f"{shown(item)} stands twice in {named(what)}", "remove one of the two")
        found.append(value)
    return tuple(found)


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


def number(node: Node, what: str, limits: Range, noun: str = "a number") -> float:
    """A number within `limits`."""
    value, (low, high) = node.content, limits
    allowed = f"write {noun} from {low:,g} to {high:,g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise error(node.span, f"{named(what)} is {shown(node)}, not {noun}", allowed)
    if not low <= value <= high:
        raise error(node.span, f"{named(what)} is {shown(node)}, out of range", allowed)
    return float(value)


def whole(node: Node, what: str, limits: Range) -> int:
    """A whole number within `limits`; 5e6 is one."""
    noun = "a whole number"
    value = number(node, what, limits, noun)
    if not value.is_integer():
        low, high = limits
        raise error(
            node.span,
            f"{named(what)} is {shown(node)}, not {noun}",
            f"write {noun} from {low:,g} to {high:,g}",
        )
    return int(value)


def record(
    kind: type[T],
    node: Node,
    what: str,
    rules: Mapping[str, Rule],
    base: T | None = None,
    readers: Mapping[str, Callable[[Node, str], object]] | None = None,
) -> T:
    """A mapping as a dataclass `kind`. Keys left out have the value of `base`, or the default of the field.

    A field is read by its type and its rule (a range, or the words allowed), or by its own reader.
    """
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    needed = [
        f.name for f in fields if base is None and f.default is f.default_factory is dataclasses.MISSING
    ]
    pairs = mapping(node, what, [f.name for f in fields], needed)
    hints = get_type_hints(kind)
    values: dict[str, Any] = {} if base is None else {f.name: getattr(base, f.name) for f in fields}
    for key, value in pairs.items():
        reader = (readers or {}).get(key)
        path = f"{what}.{key}" if what else key
        values[key] = reader(value, path) if reader else typed(value, path, hints[key], rules[key])
    return kind(**values)


def typed(node: Node, what: str, hint: Any, rule: Rule) -> Any:
    """A value of the type `hint`: int, float, str, a tuple of these, or one of them or None."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return distinct(node, what, lambda item, name: typed(item, name, inner, rule))
    kinds = get_args(hint) or (hint,)
    if node.content is None and type(None) in kinds:
        return None
    if isinstance(rule[0], str):
        return word(node, what, [str(allowed) for allowed in rule])
    limits = (float(rule[0]), float(rule[1]))
    return whole(node, what, limits) if int in kinds else number(node, what, limits)
