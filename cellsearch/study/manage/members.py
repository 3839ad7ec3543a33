"""The files allowed in an archive, with their size limits, and its manifest.

An archive is a .tar.gz in the ustar format: the manifest `NAME/archive.json`, then regular files below
`NAME/`, each with its size and its SHA-256 in the manifest.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cellsearch.errors import RunError, printable
from cellsearch.study.tables.outbox import MOST, OUTBOX
from cellsearch.study.workers.run import NAME

FORMAT = 1  # raised when the format changes
CONTENTS = "archive.json"  # the first member
MOST_CONTENTS = 1 << 26  # maximum bytes of the manifest
MOST_FILES = 200_000
MOST_BYTES = 1 << 35  # maximum bytes of all files together
BLOCK = 512  # of a tar file
DEPTH = 3  # maximum depth of folders
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
FILES = (  # paths in the folder of a search -> maximum bytes of one file; ustar is limited to 8 GiB
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
    """The manifest of an archive."""

    name: str  # of the search
    program: str  # version of the program that wrote the archive
    made: str  # UTC
    files: Mapping[str, Member]  # by path in the folder of the search

    @property
    def bytes(self) -> int:
        """Total size of all files in bytes."""
        return sum(member.bytes for member in self.files.values())


def limit(path: str) -> int | None:
    """The maximum size of the file at `path` in bytes; None for unknown files."""
    return next((most for pattern, most in _LIMITS if pattern.match(path)), None)


def written(contents: Contents) -> bytes:
    """The manifest as JSON."""
    files = {path: {"bytes": m.bytes, "sha256": m.sha256} for path, m in contents.files.items()}
    value = {"format": FORMAT, "name": contents.name, "program": contents.program, "made": contents.made}
    return (json.dumps(value | {"files": files}, indent=1) + "\n").encode()


def read_contents(data: bytes, file: str) -> Contents:
    """Parse and check the manifest; `file` is the archive. Raises RunError if it is invalid."""
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
        raise no_archive(file, f"its manifest is invalid ({error})") from None
    if contents.bytes > MOST_BYTES:
        raise no_archive(file, f"its files would be {contents.bytes:,} bytes; the limit is {MOST_BYTES:,}")
    return contents


def _member(path: str, about: Mapping[str, object]) -> Member:
    size, digest, most = about["bytes"], about["sha256"], limit(path)
    if most is None or type(size) is not int or not 0 <= size <= most:
        raise ValueError(f"{path}: not a file of a search, or too large: {size} bytes")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{path}: no SHA-256")
    return Member(size, digest)


def no_archive(file: str, why: str) -> RunError:
    """The error for a file that is not an archive, or is damaged."""
    return RunError(
        f"{file} is not an archive of a search, or is damaged: {printable(why, 300)}\n"
        "nothing was restored; copy it again, or create one with `cellsearch archive NAME`"
    )
