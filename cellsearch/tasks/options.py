"""Options of tasks: from a mapping, of a YAML file or a Python call, to the task's options dataclass with all
fields filled in.

A DataError names the key, the value, the allowed values and a suggestion.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from cellsearch.errors import DataError, did_you_mean, printable
from cellsearch.options import Refused, admitted, fields_of, option

MAX_SYMBOLS = 100_000_000  # maximum symbols per part; such a part takes 1.6 GB, and enwik8 and text8 just fit
MAX_TEXT = 4096  # maximum characters of a text option; enough for paths

Options = TypeVar("Options")


def size(default: int, about: str) -> Any:
    """The field for a part's size in symbols over all rows."""
    return option(default, about, low=1, high=MAX_SYMBOLS)


def cap(about: str) -> Any:
    """The field that truncates a part of a given text; None takes all of it."""
    return option(None, about, low=1, high=MAX_SYMBOLS)


def paths(kind: type[Any]) -> frozenset[str]:
    """The names of path options, which are excluded from the data set's digest."""
    return frozenset(name for name, field in fields_of(kind).items() if field.metadata["path"])


def parse(kind: type[Options], mapping: Mapping[str, object], task: str) -> Options:
    """`mapping` as a `kind`, with defaults for omitted options; raises DataError as described above."""
    if not isinstance(mapping, Mapping):
        raise DataError(
            f"the options of task '{task}' must be pairs of name and value, not {shown(mapping)}."
            " Write {} to take all defaults."
        )
    fields = fields_of(kind)
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for key, value in mapping.items():
        if key not in fields:
            raise DataError(
                f"unknown option {shown(key)} of task '{task}'.{suggestion(key, tuple(fields))}"
                f" Its options: {', '.join(fields)}."
            )
        values[key] = _checked(value, hints[key], fields[key].metadata, f"option '{key}' of task '{task}'")
    return kind(**values)


def suggestion(word: object, known: tuple[str, ...]) -> str:
    """A question with the nearest of `known`, to follow a sentence; empty if none is near."""
    if not isinstance(word, str):
        return ""
    question = did_you_mean(word, known)
    return f" D{question[1:-1]}" if question else ""


def _checked(value: object, hint: Any, metadata: Mapping[str, Any], name: str) -> object:
    """`value` as the type of `hint`, within its range; else raises DataError."""
    if str in (get_args(hint) or (hint,)) and not metadata["choices"]:
        return None if value is None and NoneType in get_args(hint) else _text(value, name)
    try:
        return admitted(value, hint, metadata)
    except Refused as refused:
        if known := metadata["choices"]:
            hint = suggestion(value, known)
            message = f"{name} is {shown(value)}; it must be one of {', '.join(known)}.{hint}"
        elif refused.out_of_range:
            message = f"{name} is {shown(value)}; it must be {refused.allowed}."
        else:
            message = f"{name} must be {refused.allowed}, not {shown(value)}."
        raise DataError(message) from None


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{name} must be a text, not {shown(value)}.")
    if not value or len(value) > MAX_TEXT or "\0" in value:
        raise DataError(
            f"{name} must be a text of 1 to {MAX_TEXT} characters without NUL, not {shown(value)}."
        )
    return value


def shown(value: object) -> str:
    """`value` as written, short and safe for a terminal."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"  # and Python refuses to print an int of 5,000
    if isinstance(value, str):
        return f"'{printable(value, 60)}'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)
    return f"a {type(value).__name__}"
