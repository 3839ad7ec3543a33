"""Options: declared once as fields of a frozen dataclass, and checked and listed from these.

A field made by `option` carries its default, its range or choices, and the reason as metadata. The options of
tasks and the keys of a search space are such fields. Their readers ask `admitted` whether a value is allowed,
and word the refusal for its place: a Python call, or a line of a YAML file.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from cellsearch.errors import CellsearchError

Range = tuple[float, float]  # both ends allowed


class Refused(CellsearchError):
    """A value that an option does not admit; `allowed` says in words what it does.

    `out_of_range`: the value is of the right kind, but is not in the range or not among the choices.
    """

    def __init__(self, allowed: str, out_of_range: bool) -> None:
        super().__init__(f"allowed: {allowed}")
        self.allowed, self.out_of_range = allowed, out_of_range


@dataclass(frozen=True, slots=True)
class Option:
    """One option, in display form."""

    name: str
    default: object
    allowed: str
    about: str
    follows: bool = False  # whether `default` is no value but says in words what it follows from


def option(
    default: Any = MISSING,
    about: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    allowed: str = "",
    path: bool = False,
    factory: Callable[[], object] | None = None,
    key: str = "",
    otherwise: str = "",
    free: bool = False,
) -> Any:
    """A dataclass field with its help and its range (both ends allowed) or its choices.

    `allowed` describes values that a reader of their own checks. `path` marks the name of a file: it says
    where data lies, not what it is. `key` is the name people write where it is not that of the field, and
    `otherwise` names the default where it is no fixed value. No result depends on a `free` one: a search may
    be continued with another value.
    """
    metadata = {
        "about": about, "low": low, "high": high, "choices": choices, "allowed": allowed, "path": path,
        "key": key, "otherwise": otherwise, "free": free,
    }  # fmt: skip
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def fields_of(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of `kind` that are options, in order, by the names people write."""
    declared = (field for field in dataclasses.fields(kind) if "about" in field.metadata)
    return {field.metadata["key"] or field.name: field for field in declared}


def listed(kind: type[Any]) -> tuple[Option, ...]:
    """The options of a dataclass `kind` in order."""
    hints = get_type_hints(kind)
    found = []
    for name, field in fields_of(kind).items():
        metadata = field.metadata
        value = field.default if field.default_factory is MISSING else field.default_factory()
        default = metadata["otherwise"] or value
        words = allowed(hints[field.name], metadata)
        found.append(Option(name, default, words, metadata["about"], bool(metadata["otherwise"])))
    return tuple(found)


def limits(kind: type[Any], name: str) -> Range:
    """The range of the option `name`."""
    metadata = fields_of(kind)[name].metadata
    return float(metadata["low"]), float(metadata["high"])


def choices(kind: type[Any], name: str) -> tuple[str, ...]:
    """The words that the option `name` may be."""
    found: tuple[str, ...] = fields_of(kind)[name].metadata["choices"]
    return found


def admitted(value: object, hint: Any, metadata: Mapping[str, Any]) -> object:
    """`value` as a scalar of the type `hint`: a number in its range, one of its choices, or None where the
    type has it. 1e6 is a whole number. Refused else."""
    kinds = get_args(hint) or (hint,)
    if value is None and NoneType in kinds:
        return None
    if metadata["choices"]:
        if value not in metadata["choices"]:
            raise Refused(allowed(hint, metadata), isinstance(value, str))
        return value
    words = allowed(hint, metadata)
    return number(value, (metadata["low"], metadata["high"]), int in kinds, words)


def number(value: object, limits: Range, whole: bool, allowed: str) -> int | float:
    """`value` as a number within `limits`; Refused with the words `allowed` else."""
    # bool is a kind of int in Python, but `train: yes` is a mistake
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(allowed, False)
    if whole and isinstance(value, float):
        if value.is_integer():
            value = int(value)  # 1e6 is how people write a million
        else:
            raise Refused(allowed, False)
    # before float(): an int of 400 digits does not fit in one; written so that NaN fails too
    if not limits[0] <= value <= limits[1]:
        raise Refused(allowed, True)
    return value if whole else float(value)


def allowed(hint: Any, metadata: Mapping[str, Any]) -> str:
    """The allowed values of the type `hint`, in words."""
    if metadata["allowed"]:
        return str(metadata["allowed"])
    if get_origin(hint) is tuple:
        inner = allowed(get_args(hint)[0], metadata)
        return f"a list, each {inner}"
    kinds = get_args(hint) or (hint,)
    if metadata["choices"]:
        return " | ".join(metadata["choices"])
    words = "a text" if str in kinds else between(int in kinds, (metadata["low"], metadata["high"]))
    return f"{words}, or null" if NoneType in kinds else words


def between(whole: bool, limits: Range) -> str:
    """A range in words: a whole number from 1 to 1,000."""
    low, high = map(_number, limits)
    return f"{'a whole number' if whole else 'a number'} from {low} to {high}"


def _number(value: float) -> str:
    whole = float(value).is_integer() and abs(value) < 1e9
    return f"{int(value):,}" if whole else re.sub(r"e\+?(-?)0*", r"e\1", f"{value:g}")
