"""A text from another tool with locations, and legal names for its parts."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from cellsearch import files
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.limits import MAX_NAME, check_name
from cellsearch.errors import ForeignError, Place, printable

MAX_BYTES = 16 * 2**20  # the 14,000 recipes of NAS-Bench-NLP are about 10 MiB
MAX_BYTES_OF_PYTHON = 2**18  # its syntax tree needs about a thousand times as much memory
MAX_CELLS = 20_000

PYTHON, JSON = ".py", ".json"
_PICKLES = frozenset((".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill", ".npy", ".npz"))
_PICKLED = re.compile(
    rb"\x80[\x02-\x05]|PK\x03\x04|\x93NUMPY"
)  # pickle protocols 2 to 5; the zip format of torch.save
_FEW = 8  # maximum names in a note
_LINE = 1_000  # maximum characters of a line in an error


@dataclass(frozen=True, slots=True)
class Found:
    """The cells of a file in its order, and an error for each refused recipe or genotype."""

    cells: tuple[Cell, ...]
    refused: tuple[ForeignError, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A text and its name in errors. Places are offsets in characters."""

    file: str
    text: str

    @property
    def stem(self) -> str:
        """The base name of unnamed cells."""
        return Path(self.file).stem

    @property
    def title(self) -> str:
        """The file's name in descriptions."""
        return printable(Path(self.file).name)

    def error(self, message: str, start: int, end: int, remedy: str = "") -> ForeignError:
        """An error about the characters from `start` to `end`."""
        begins = lines(self.text)
        number = bisect_right(begins, start)
        line = begins[number - 1]
        text = self.text[line : begins[number] - 1 if number < len(begins) else None]
        length = max(1, min(end - start, line + len(text) - start))
        place = Place(self.file, number, start - line + 1, text, length)
        found = ForeignError(message, place, remedy)
        found.place = replace(place, text=text[:_LINE])  # many errors in one long line: each keeps a part
        return found


@lru_cache(maxsize=2)
def lines(text: str) -> list[int]:
    """Offsets of the lines of a text, cached: a file of thousands of recipes can have thousands of errors."""
    return [0, *(match.end() for match in re.finditer("\n", text))]


def open_source(path: Path) -> Source:
    """The text of a regular UTF-8 file of up to 16 MiB (256 KiB of Python). Raises ForeignError for other
    files."""
    shown, suffix = printable(str(path)), path.suffix.lower()
    if suffix in _PICKLES or _PICKLED.match(_beginning(path)):
        raise ForeignError(
            f"{shown} is or contains a pickle; refused, since reading a pickle runs code",
            remedy="save the recipe as JSON instead: json.dump(recipe, file)",
        )
    if suffix == ".cell":
        raise ForeignError(f"{shown} is already a cell", remedy=f"show it: cellsearch show {shown}")
    most = MAX_BYTES_OF_PYTHON if suffix == PYTHON else MAX_BYTES
    try:
        text = files.read_text(path, most, ForeignError, "a recipe", ".json or .py file", "split the file")
    except FileNotFoundError:
        remedy = f"{files.near(path)}check the path"
        raise ForeignError(f"there is no file '{shown}'", remedy=remedy) from None
    if not text.strip("\ufeff \t\r\n"):
        raise ForeignError(f"{shown} is empty", remedy="is this the right file?")
    return Source(str(path), text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def _beginning(path: Path) -> bytes:
    try:
        with files.open_regular(path) as file:
            return file.read(8)
    except (OSError, ValueError, files.NotRegularError):
        return b""  # raises the error of `read_text`


class Names:
    """Assigns unique legal names close to the wanted ones: appends _ to keywords and `reserved` names, and a
    number to used names."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._reserved = frozenset(reserved)
        self._taken = set(self._reserved)
        self._next: dict[str, int] = {}

    def fresh(self, wanted: str, spare: str, count: int = 1) -> str:
        """A name like `wanted` for an equation with `count` brackets, with _ for illegal characters. `spare`
        is the prefix for a name that starts with a digit."""
        base = re.sub(r"[^A-Za-z0-9_]", "_", wanted[: 2 * MAX_NAME])
        if not base.strip("_") or base[0].isdigit():
            base = f"{spare}_{base}".rstrip("_")
        base = base[:MAX_NAME]
        if check_name(base) or base in self._reserved:
            base = f"{base[: MAX_NAME - 1]}_"
        name = base
        number = self._next.get(base, 2)
        while not self._free(name, count):
            name = f"{base[: MAX_NAME - 8].rstrip('_')}_{number}"
            number += 1
            self._next[base] = number
        self._taken.update(brackets(name, count))
        return name

    def _free(self, name: str, count: int) -> bool:
        return not check_name(name) and self._taken.isdisjoint(brackets(name, count))


def brackets(name: str, count: int) -> list[str]:
    """The prefixes of the weight names of an equation: its name, or one per bracket if it has several."""
    return [name, *(f"{name}_{k}" for k in range(1, count + 1) if count > 1)]


def quoted(name: str) -> str:
    """A name of the file in a message."""
    return f"'{printable(name, MAX_NAME)}'"


def listed(names: list[str]) -> str:
    """Names in a note, truncated."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(printable(name, MAX_NAME) for name in names[:_FEW]) + more
