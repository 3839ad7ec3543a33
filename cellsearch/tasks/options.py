"""Options of tasks: declared once as fields of a frozen dataclass, checked and listed from there.

In: a mapping as it came from a YAML file or a command line. Out: the task's options dataclass with every
field filled in, or a DataError that names the key, what was found, what is allowed and the nearest right
word.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from cellsearch.errors import DataError, did_you_mean, printable

MAX_SYMBOLS = 100_000_000  # per part; such a part takes 1.6 GB, and enwik8 and text8 just fit
MAX_TEXT = 4096  # characters of an option that is a text; paths are not longer

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class Option:
    """One option, as people read it."""

    name: str
    default: object
    allowed: str
    about: str


def option(
    default: Any,
    about: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    hashed: bool = True,
) -> Any:
    """A dataclass field with its help and its range (both ends allowed) or its choices.

    `hashed=False` marks an option that says where data lies; it stays out of the data set's digest.
    """
    metadata = {"about": about, "low": low, "high": high, "choices": choices, "hashed": hashed}
    return dataclasses.field(default=default, metadata=metadata)


def size(default: int, about: str) -> Any:
    """The field of a part's size in symbols, counted over all rows."""
    return option(default, about, low=1, high=MAX_SYMBOLS)


def cap(about: str) -> Any:
    """The field that shortens a part of a given text; None takes all of it."""
    return option(None, about, low=1, high=MAX_SYMBOLS)


def fields_of(kind: type[Any]) -> tuple[Option, ...]:
    """The options of a dataclass `kind` in order, for listings."""
    hints = get_type_hints(kind)
    return tuple(
        Option(
            field.name, field.default, _allowed(hints[field.name], field.metadata), field.metadata["about"]
        )
        for field in dataclasses.fields(kind)
    )


def unhashed(kind: type[Any]) -> frozenset[str]:
    """The names of the options that stay out of the digest."""
    return frozenset(field.name for field in dataclasses.fields(kind) if not field.metadata["hashed"])


def parse(kind: type[Options], mapping: Mapping[str, object], task: str) -> Options:
    """`mapping` as a `kind`, with defaults for what it leaves out; DataError as the module says."""
    if not isinstance(mapping, Mapping):
        raise DataError(
            f"the options of task '{task}' must be pairs of name and value, not {shown(mapping)}."
            " Write {} to take all defaults."
        )
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
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
    """A question with the nearest of `known`, to be put behind a sentence; empty where none is near."""
    if not isinstance(word, str):
        return ""
    question = did_you_mean(word, known)
    return f" D{question[1:-1]}" if question else ""


def _checked(value: object, hint: Any, metadata: Mapping[str, Any], name: str) -> object:
    """`value` as the type of `hint`, within its range; DataError else."""
    kinds = get_args(hint) or (hint,)
    if value is None and type(None) in kinds:
        return None
    if str in kinds:
        return _checked_text(value, metadata["choices"], name)
    # bool is a kind of int in Python, but `train: yes` is a mistake
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name} must be {_allowed(hint, metadata)}, not {shown(value)}.")
    number: int | float = value
    if int in kinds and isinstance(number, float) and number.is_integer():
        number = int(number)  # 1e6 is how people write a million
    if int in kinds and not isinstance(number, int):
        raise DataError(f"{name} must be {_allowed(hint, metadata)}, not {shown(value)}.")
    low, high = metadata["low"], metadata["high"]
    # before float(): an int of 400 digits does not fit in one; written so that NaN fails too
    if not low <= number <= high:
        raise DataError(f"{name} is {shown(value)}; it must be {_allowed(hint, metadata)}.")
    return number if int in kinds else float(number)


def _checked_text(value: object, choices: tuple[str, ...], name: str) -> str:
    if choices and value not in choices:
        raise DataError(
            f"{name} is {shown(value)}; it must be one of {', '.join(choices)}.{suggestion(value, choices)}"
        )
    if not isinstance(value, str):
        raise DataError(f"{name} must be a text, not {shown(value)}.")
    if not value or len(value) > MAX_TEXT or "\0" in value:
        raise DataError(
            f"{name} must be a text of 1 to {MAX_TEXT} characters without NUL, not {shown(value)}."
        )
    return value


def _allowed(hint: Any, metadata: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    kinds = get_args(hint) or (hint,)
    if metadata["choices"]:
        return " | ".join(metadata["choices"])
    if str in kinds:
        words = "a text"
    else:
        noun = "a whole number" if int in kinds else "a number"
        words = f"{noun} from {metadata['low']:,} to {metadata['high']:,}"
    return f"{words}, or null" if type(None) in kinds else words


def shown(value: object) -> str:
    """`value` as people wrote it, safe for a terminal and never long."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"  # and Python refuses to print an int of 5,000
    if isinstance(value, str):
        return f"'{printable(value, 60)}'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)
    return f"a {type(value).__name__}"
