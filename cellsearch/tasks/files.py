"""Texts from disk: a path in, its characters out; anything that is not a text of sensible size is a
DataError.
"""

import codecs
import os
import stat
from pathlib import Path

from cellsearch import files
from cellsearch.errors import DataError, printable

MAX_BYTES = 128 * 2**20  # of a file; the largest texts in use for this, enwik8 and text8, have 100,000,000

PROBE = 2**16  # bytes read to learn whether a file is a text

#: How compressed files begin, and what unpacks them.
COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"PK\x03\x04", "zip", "unzip"),
)


def located(path: str, data: Path | None, task: str) -> Path:
    """`path` itself if absolute, else below the data directory.

    An absolute path that is not there, as on another machine, is replaced by the file of its name in the data
    directory, where there is one: the digest of the data tells whether it is the same.
    """
    given = Path(path)
    if given.is_absolute():
        moved = None if data is None else data / given.name
        return moved if moved is not None and not exists(given) and exists(moved) else given
    if data is None:
        raise DataError(
            f"task '{task}': there is no '{printable(path)}' in the folder of the search space, and no data"
            " directory is given. Check the path, or name the directory with --data DIR."
        )
    return directory(data, task) / path


def directory(data: Path | None, task: str) -> Path:
    """`data` if it is a directory that can be looked into; DataError else."""
    if data is None:
        raise DataError(f"task '{task}' needs a directory with its data. Name it with --data DIR.")
    if not stat.S_ISDIR(_status(data, f"the data directory of task '{task}'").st_mode):
        raise DataError(
            f"{_shown(data)}: the data directory of task '{task}' is not a directory. Check --data."
        )
    return data


def read_text(path: Path, what: str) -> str:
    """The UTF-8 text in the file `path`, without a byte order mark, lines ended by newline characters alone.

    `what` says in messages what the file is for. DataError if it is missing, not a regular file, unreadable,
    larger than MAX_BYTES, not UTF-8, or empty.
    """
    raw = _read(path, what, MAX_BYTES)
    if len(raw) > MAX_BYTES:
        raise _too_large(path, what)
    text = _decoded(raw, path, what, whole=True)
    if not text.strip():
        raise DataError(f"{_shown(path)}: {what} is empty. Give a file with text in it.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def probe(path: Path, what: str) -> int:
    """The size in bytes of the file `path`, whose start is read; DataError as of `read_text`."""
    size = _status(path, what).st_size
    _decoded(_read(path, what, PROBE), path, what, whole=False)
    if size > MAX_BYTES:
        raise _too_large(path, what)
    return size


def _read(path: Path, what: str, most: int) -> bytes:
    _status(path, what)
    try:
        return files.read(path, most)
    except files.NotRegularError as error:
        raise DataError(f"{_shown(path)}: {what} must be a file, and this is {error.kind}.") from None
    except OSError as error:
        raise DataError(f"{_shown(path)}: cannot read {what}: {files.reason(error)}.") from None


def _decoded(raw: bytes, path: Path, what: str, whole: bool) -> str:
    text = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(text, final=whole)
    except UnicodeDecodeError as error:
        at = error.start + len(raw) - len(text)
        for start, kind, command in COMPRESSED:
            if raw.startswith(start):
                raise DataError(
                    f"{_shown(path)}: {what} is compressed ({kind}). Unpack it first: {command} FILE."
                ) from None
        remedy = "Save it as UTF-8, or convert it: iconv -f ENCODING -t UTF-8."
        raise DataError(
            f"{_shown(path)}: {what} is not UTF-8 (byte {raw[at]:#04x} at offset {at:,}). {remedy}"
        ) from None


def _too_large(path: Path, what: str) -> DataError:
    return DataError(
        f"{_shown(path)}: {what} is larger than {MAX_BYTES // 2**20} MiB, the most that is read. Cut it down."
    )


def exists(path: Path) -> bool:
    """Whether anything is there, of whatever kind; also where it may not be looked at."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # reading it will say what is wrong
    return True


def _status(path: Path, what: str) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise DataError(f"{_shown(path)}: {what} is not there. Check the path and --data DIR.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{_shown(path)}: cannot look at {what}: {files.reason(error)}.") from None


def _shown(path: Path) -> str:
    return printable(str(path), 300)
