"""Read texts from disk. Raises DataError for anything but a text of reasonable size."""

import codecs
import os
import stat
from pathlib import Path

from cellsearch import files
from cellsearch.errors import DataError, printable

MAX_BYTES = (
    128 * 2**20
)  # maximum bytes of a file; the largest common benchmarks, enwik8 and text8, have 100,000,000

PROBE = 2**16  # bytes read to detect whether a file is a text

#: Magic bytes of compressed files, and their unpackers.
COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"PK\x03\x04", "zip", "unzip"),
)


def located(path: str, data: Path | None, task: str) -> Path:
    """`path` itself if absolute, else below the data directory.

    If an absolute path is missing, as on another machine, uses the file of the same name in the data
    directory, if any: the digest of the data verifies it.
    """
    given = Path(path)
    if given.is_absolute():
        moved = None if data is None else data / given.name
        return moved if moved is not None and not exists(given) and exists(moved) else given
    if data is None:
        raise DataError(
            f"task '{task}': there is no '{printable(path)}' in the folder of the search space, and no data "
            f"directory is given. Check the path, or give the directory with --data DIR."
        )
    return directory(data, task) / path


def directory(data: Path | None, task: str) -> Path:
    """`data` if it is a readable directory; else raises DataError."""
    if data is None:
        raise DataError(f"task '{task}' needs a directory with its data. Name it with --data DIR.")
    if not stat.S_ISDIR(_status(data, f"the data directory of task '{task}'").st_mode):
        raise DataError(
            f"{_shown(data)}: the data directory of task '{task}' is not a directory. Check --data."
        )
    return data


def read_text(path: Path, what: str) -> str:
    """The UTF-8 text in the file `path`, without a byte order mark, with newlines as the only line ends.
    `what` is the purpose of the file in messages. Raises DataError if it is missing, not a regular file,
    unreadable, larger than MAX_BYTES, not UTF-8, or empty.
    """
    raw = _read(path, what, MAX_BYTES)
    if len(raw) > MAX_BYTES:
        raise _too_large(path, what)
    text = _decoded(raw, path, what, whole=True)
    if not text.strip():
        raise DataError(f"{_shown(path)}: {what} is empty. Give a file with text in it.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def probe(path: Path, what: str) -> int:
    """The size in bytes of the file `path`, after reading its start; raises DataError like `read_text`."""
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
        raise DataError(f"{_shown(path)}: {what} must be a file, but is {error.kind}.") from None
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
        f"{_shown(path)}: {what} is larger than {MAX_BYTES // 2**20} MiB, the limit. Shorten it."
    )


def exists(path: Path) -> bool:
    """Whether the path exists, of any kind, even without permission to stat it."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # reading it raises the error
    return True


def _status(path: Path, what: str) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise DataError(f"{_shown(path)}: {what} does not exist. Check the path and --data DIR.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{_shown(path)}: cannot access {what}: {files.reason(error)}.") from None


def _shown(path: Path) -> str:
    return printable(str(path), 300)
