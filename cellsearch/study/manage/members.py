"""The files of a search that an archive may have, each with the most bytes it may be; and the list of
contents that comes first in it.

An archive is a .tar.gz in the ustar format: `NAME/archive.json`, then regular files below `NAME/`, each of
them with its size and its SHA-256 in that list.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cellsearch.errors import RunError, printable
from cellsearch.study.tables.outbox import MOST, OUTBOX
from cellsearch.study.workers.run import NAME

FORMAT = 1  # raised when an archive would be read in another way
CONTENTS = "archive.json"  # the first member
MOST_CONTENTS = 1 << 26  # bytes of it
MOST_FILES = 200_000
MOST_BYTES = 1 << 35  # of all files together
BLOCK = 512  # of a tar file
DEPTH = 3  # of folders in one another
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
FILES = (  # paths in the folder of a search -> bytes of one, at most; ustar knows no file of 8 GiB
    (r"study\.db", (1 << 33) - 1),
    (r"space\.yaml", 1 << 20),
    (rf"cells/{_PART}\.cell", 1 << 16),
    (rf"logs/{_PART}\.(?:jsonl|log)", (1 << 33) - 1),
    (rf"{OUTBOX}/{_PART}\.json", MOST),
    (rf"(?:exports|models)(?:/{_PART}){{1,{DEPTH}}}", (1 << 33) - 1),
)
FOLDERS = ("cells", "logs", OUTBOX, "exports", "models")  # of a search
_LIMITS = tuple((re.compile(rf"{pattern}\Z", re.ASCII), most) for pattern, most in FILES)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The list of contents of an archive."""

    name: str  # of the search
    program: str  # version of the program that wrote it
    made: str  # UTC
    files: Mapping[str, Member]  # by path in the folder of the search

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(member.bytes for member in self.files.values())


def limit(path: str) -> int | None:
    """The most bytes of the file at `path`; None where a search has no such file."""
    return next((most for pattern, most in _LIMITS if pattern.match(path)), None)


def written(contents: Contents) -> bytes:
    """The list of contents as JSON."""
    files = {path: {"bytes": m.bytes, "sha256": m.sha256} for path, m in contents.files.items()}
    value = {"format": FORMAT, "name": contents.name, "program": contents.program, "made": contents.made}
    return (json.dumps(value | {"files": files}, indent=1) + "\n").encode()


def read_contents(data: bytes, file: str) -> Contents:
    """The list of contents from JSON, checked; `file` is the archive. RunError for anything else."""
    try:
        value = json.loads(data)
        found = value["format"]
        if type(found) is int and found > FORMAT:
            raise RunError(
                f"{file} was written by a newer cellsearch (format {found}, not {FORMAT})\n"
                "upgrade this one: pip install --upgrade cellsearch"
            )
        name, files = value["name"], value["files"]
        if found != FORMAT or not NAME.match(name) or name.endswith("."):
            raise ValueError("its format or its name")
        if "study.db" not in files or len(files) > MOST_FILES:
            raise ValueError("no study.db, or too many files")
        checked = {path: _member(path, about) for path, about in files.items()}
        contents = Contents(name, str(value["program"]), str(value["made"]), checked)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise no_archive(file, f"its list of contents is not valid ({error})") from None
    if contents.bytes > MOST_BYTES:
        raise no_archive(file, f"its files would be {contents.bytes:,} bytes, the most is {MOST_BYTES:,}")
    return contents


def _member(path: str, about: Mapping[str, object]) -> Member:
    size, digest, most = about["bytes"], about["sha256"], limit(path)
    if most is None or type(size) is not int or not 0 <= size <= most:
        raise ValueError(f"{path}: no search has such a file, or one of {size} bytes")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{path}: no SHA-256")
    return Member(size, digest)


def no_archive(file: str, why: str) -> RunError:
    """The error of a file that is no archive, or a damaged one."""
    return RunError(
        f"{file} is no archive of a search, or is damaged: {printable(why, 300)}\n"
        "nothing was restored; copy it again, or make one with `cellsearch archive NAME`"
    )
