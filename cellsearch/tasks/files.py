"""Texts from disk: a path in, its characters out; anything that is not a text of sensible size is a
DataError.
"""

import os
import stat
from pathlib import Path

from cellsearch import files
from cellsearch.errors import DataError, printable

MAX_BYTES = 128 * 2**20  # of a file; the largest texts in use for this, enwik8 and text8, have 100,000,000


def located(path: str, data: Path | None, task: str) -> Path:
    """`path` itself if absolute, else below the data directory."""
    if Path(path).is_absolute():
        return Path(path)
    if data is None:
        raise DataError(
            f"task '{task}': '{printable(path)}' is relative to the data directory, and none is given."
            " Name it with --data DIR, or give an absolute path."
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
    _status(path, what)
    try:
        raw = files.read(path, MAX_BYTES)
    except files.NotRegularError as error:
        raise DataError(f"{_shown(path)}: {what} must be a file, and this is {error.kind}.") from None
    except OSError as error:
        raise DataError(f"{_shown(path)}: cannot read {what}: {files.reason(error)}.") from None
    if len(raw) > MAX_BYTES:
        raise DataError(
            f"{_shown(path)}: {what} is larger than {MAX_BYTES // 2**20} MiB, the most that is read."
            " Cut it down."
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = "Save it as UTF-8, or convert it: iconv -f ENCODING -t UTF-8."
        raise DataError(
            f"{_shown(path)}: {what} is not UTF-8 (byte {raw[error.start]:#04x} at offset {error.start:,})."
            f" {remedy}"
        ) from None
    if not text.strip():
        raise DataError(f"{_shown(path)}: {what} is empty. Give a file with text in it.")
    return text.replace("\r\n", "\n")


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
