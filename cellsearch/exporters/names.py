"""Names of the language as Python names: classes, files, local variables, attributes of modules.

An identifier is not a keyword, does not shadow a name of the exported code, and is short enough for its line;
other names become expressions that access the attribute.
"""

import keyword
import sys
from collections.abc import Iterable

from torch import nn

MAX_LOCAL = 24  # maximum characters of a local variable
_MODULE_LEVEL = frozenset({"Tensor", "Weights", "States", "ValueError"})
_AMBIGUOUS = frozenset({"l", "O", "I"})  # rejected by linters


def class_name(name: str) -> str:
    """`peephole_lstm` as `PeepholeLstm`."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    if not camel[:1].isalpha():
        camel = f"Cell{camel}"
    taken = keyword.iskeyword(camel) or camel in _MODULE_LEVEL | _AMBIGUOUS
    return f"{camel}_" if taken else camel


def file_stem(name: str) -> str:
    """The name of an importable file that shadows no module imported by torch."""
    taken = keyword.iskeyword(name) or name in sys.stdlib_module_names or name in ("torch", "numpy")
    return f"{name}_" if taken else name


class Locals:
    """Assigns unique local variables of a function."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._taken = set(reserved) | _AMBIGUOUS

    def fresh(self, wanted: str) -> str:
        """`wanted`, or a similar free name."""
        mangled = wanted.startswith("__") or not wanted.strip("_")
        base = f"v{wanted}" if mangled or not wanted.isidentifier() else wanted
        base = base if len(base) <= MAX_LOCAL else base[: MAX_LOCAL - 4].rstrip("_")
        name, number = base, 1
        if self._is_taken(name):
            name = f"{base}_"
        while self._is_taken(name):
            number += 1
            name = f"{base[: MAX_LOCAL - 4].rstrip('_')}_{number}"
        self._taken.add(name)
        return name

    def _is_taken(self, name: str) -> bool:
        return name in self._taken or keyword.iskeyword(name) or len(name) > MAX_LOCAL


def is_plain(name: str) -> bool:
    """Whether a name is a valid attribute and keyword argument: not a number, not a keyword, and not mangled
    by Python."""
    special = name == "__debug__" or (name.startswith("__") and not name.endswith("__"))
    return name.isidentifier() and not keyword.iskeyword(name) and not special


def is_taken(name: str) -> bool:
    """Whether torch modules reserve this attribute, such as `train`."""
    return name == "__debug__" or hasattr(nn.Module(), name)


def parameter(owner: str, name: str) -> str:
    """The expression for a parameter of the module `owner`."""
    if is_taken(name):
        return f'{owner}._parameters["{name}"]'
    return f"{owner}.{name}" if is_plain(name) else f'getattr({owner}, "{name}")'


def submodule(owner: str, name: str) -> str:
    """The expression for a submodule of the module `owner`."""
    if is_taken(name):
        return f'{owner}._modules["{name}"]'
    return f"{owner}.{name}" if is_plain(name) else f'getattr({owner}, "{name}")'
