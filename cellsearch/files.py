"""Files on disk, read and written with care.

Reading cannot hang and has a bound: only regular files are opened, and no more than asked for is read.
Writing is whole: a file is the old or the new one at any moment, also after a crash. `read` and
`write_whole` raise what goes wrong as it is, for those who know more about it; `read_text` and `write_text`
say it to people.
"""

import contextlib
import os
import re
import stat
from pathlib import Path

from cellsearch.errors import LocatedError, Place, RunError, printable

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_BREAK = re.compile(r"\r\n|\n|\r")


class NotRegularError(Exception):
    """A path leads to something that is no regular file: `kind` says to what ("a directory", "a FIFO", …)."""

    def __init__(self, mode: int) -> None:
        self.is_directory = stat.S_ISDIR(mode)
        self.kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        super().__init__(self.kind)


def read(path: Path, most: int) -> bytes:
    """The bytes of a regular file, cut behind the first that is one too many: a result longer than `most`
    says that the file is.

    Raises NotRegularError for directories, devices, FIFOs and sockets, without opening them; OSError
    (FileNotFoundError among them); ValueError where no system has such a path.
    """
    if not stat.S_ISREG(mode := path.stat().st_mode):
        raise NotRegularError(mode)
    # not blocking: between the two looks the path may have become a FIFO
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
            raise NotRegularError(mode)
        return file.read(most + 1)  # not st_size: a file may grow, and in /proc it says 0


def read_text(
    path: str | Path, most: int, error: type[LocatedError], what: str, kind: str, doubt: str
) -> str:
    """The text of a file in UTF-8. FileNotFoundError where there is none; any other trouble is an `error`.

    `what` is read from such a file ("a cell"), `kind` is how the file is called (".cell file"), and `doubt`
    is the question where it is too long.
    """
    shown = printable(str(path))
    try:
        data = read(Path(path), most)
    except NotRegularError as found:
        if found.is_directory:
            raise error(f"{shown} is a directory", remedy=f"name a {kind} in it") from None
        raise error(f"{shown} is not a regular file", remedy=f"{what} is read from a file on disk") from None
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as failure:
        told = printable(reason(failure))
        raise error(f"cannot read {shown}: {told}", remedy=f"name a readable {kind}") from None
    if len(data) > most:
        size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
        raise error(f"{shown} is longer than {size}", remedy=doubt)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as failure:
        byte = f"byte 0x{data[failure.start]:02X} is not UTF-8"
        raise error(byte, _place_of(failure, str(path)), "save the file as UTF-8") from None


def reason(error: Exception) -> str:
    """Why the system refused a path, in its own words."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _place_of(failure: UnicodeDecodeError, file: str) -> Place:
    """Where in the text of `file` the byte stands that is not UTF-8."""
    data, at = failure.object, failure.start
    before = _BREAK.split(data[:at].decode("utf-8"))
    lines = _BREAK.split(data.decode("utf-8", "replace"))
    return Place(file, len(before), len(before[-1]) + 1, lines[len(before) - 1])


def write_whole(path: Path, data: bytes) -> None:
    """Writes `path` so that it is the old or the new file at any moment, also after a crash. Raises OSError,
    and ValueError where no system has such a path; the old file is there then, and no other."""
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            partial.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the new name, too, is on the disk
    finally:
        os.close(directory)


def write_text(path: Path, text: str) -> None:
    """`write_whole` of a text in UTF-8; RunError where that fails."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RunError(
            f"cannot write {printable(str(path))}: {reason(error)}\nfree some space, or change permissions"
        ) from error
