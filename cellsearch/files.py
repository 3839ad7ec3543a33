"""Safe reading and writing of files.

Reading is bounded and cannot hang: only regular files are opened, up to the requested size. Writing is
atomic: a file is the old or the new one at any time, even after a crash. `read` and `write_whole` raise the
original exceptions, for callers that can say more; `read_text` and `write_text` raise user-facing errors.

A received folder of a search may contain links to other files. `own_folder`, `open_own` and `refuse_links`
precede every write in place: they refuse links out of the folder and paths that are not regular files.
"""

import contextlib
import itertools
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from cellsearch.errors import LocatedError, Place, RunError, did_you_mean, printable

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
}
_BREAK = re.compile(r"\r\n|\n|\r")
MOST_NAMES = 1_000  # names in a folder, compared with a wrong one


class NotRegularError(Exception):
    """A path is not a regular file; `kind` is its type ("a directory", "a FIFO", …)."""

    def __init__(self, mode: int) -> None:
        self.is_directory = stat.S_ISDIR(mode)
        self.kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        super().__init__(self.kind)


class UnsafeError(RunError):
    """A path in the folder of a search is a link or not a regular file: nothing was written."""


def read(path: Path, most: int) -> bytes:
    """The bytes of a regular file, at most `most` + 1: a result longer than `most` means that the file is too
    long.

    Raises NotRegularError for directories, devices, FIFOs and sockets, without opening them; OSError
    (FileNotFoundError among them); ValueError for an invalid path.
    """
    with open_regular(path) as file:
        return file.read(most + 1)  # not st_size: a file may grow, and in /proc it is 0


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading. Raises the errors of `read`."""
    if not stat.S_ISREG(mode := path.stat().st_mode):
        raise NotRegularError(mode)
    # not blocking: between the two checks the path may have become a FIFO
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
        os.close(handle)
        raise NotRegularError(mode)
    return os.fdopen(handle, "rb")


def near(path: str | Path) -> str:
    """The start of a remedy: a question with a similarly named file beside `path`, else ""."""
    try:
        wanted = Path(path)
        with os.scandir(wanted.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, MOST_NAMES)]
    except (OSError, ValueError):
        return ""
    return did_you_mean(str(wanted), [str(wanted.parent / name) for name in sorted(names)])


def read_text(
    path: str | Path, most: int, error: type[LocatedError], what: str, kind: str, doubt: str
) -> str:
    """The text of a file in UTF-8. Raises FileNotFoundError if it is missing, `error` for any other failure.

    `what` is the content of such a file ("a cell"), `kind` names the file (".cell file"), and `doubt` is the
    question if it is too long.
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
    """The system's reason for refusing a path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _place_of(failure: UnicodeDecodeError, file: str) -> Place:
    """The location of the invalid UTF-8 byte in the text of `file`."""
    data, at = failure.object, failure.start
    before = _BREAK.split(data[:at].decode("utf-8"))
    lines = _BREAK.split(data.decode("utf-8", "replace"))
    return Place(file, len(before), len(before[-1]) + 1, lines[len(before) - 1])


def write_whole(path: Path, data: bytes) -> None:
    """Writes `path` atomically: it is the old or the new file at any time, even after a crash. Raises
    OSError, and ValueError for an invalid path; then the old file remains, without leftovers."""
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.partial")
    try:
        with os.fdopen(create(partial), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def create(path: Path, mode: int = 0o666) -> int:
    """A descriptor of a new, empty file, which replaces any old one: a link is removed and not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # O_EXCL does not follow links either
    try:
        return os.open(path, flags, mode)
    except FileExistsError:  # left by a killed process with this number
        path.unlink()
        return os.open(path, flags, mode)


def sync_folder(folder: Path) -> None:
    """Flushes new names in a folder to disk."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def own_folder(folder: Path) -> None:
    """Creates a folder of a search if it is missing. Raises RunError on failure; UnsafeError if there is a
    link in its place. Its parent may be a link, which belongs to this machine, not to the search."""
    refuse_links(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make {printable(str(folder))}: {reason(error)}\n"
            "free some space, change the permissions, or go to another directory"
        ) from error


def open_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of a file of the search, open for writing in place (a lock, a log). It is created if
    `flags` have O_CREAT. Raises OSError, and UnsafeError if the path is a link, is not a regular file, has
    another name (a hard link), or belongs to another user.

    Root may write to files of any user: folders of users are mounted into containers, and unpacked with their
    owners. Any user may write to a file that belongs to the owner of the folder: a network file system may
    give all its files to one user, those of this process included.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    except OSError:
        refuse_links(path)  # possibly the reason
        raise
    try:
        found = os.fstat(handle)
        _refuse(path, found)
        if os.geteuid() not in (0, found.st_uid) and path.parent.stat().st_uid != found.st_uid:
            raise UnsafeError(
                f"{printable(str(path))} belongs to another user ({found.st_uid}); it was not written to\n"
                "change its owner, or go on in a copy of the folder"
            )
    except BaseException:
        os.close(handle)
        raise
    return handle


def refuse_links(*paths: Path) -> None:
    """Raises UnsafeError if one of these is a link, is neither a regular file nor a folder, or has another
    name."""
    for path in paths:
        with contextlib.suppress(OSError):  # it is missing, or opening it reports the reason
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode):
                _refuse(path, found)


def _refuse(path: Path, found: os.stat_result) -> None:
    shown = printable(str(path))
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
        leads = stat.S_ISLNK(found.st_mode)
        raise UnsafeError(
            f"{shown} is {kind}; a search writes only to its own files and folders\n"
            f"remove it{', or replace it by its target' * leads}, then run the same command again"
        )
    if found.st_nlink > 1:
        raise UnsafeError(
            f"{shown} is a hard link; writing to it would also change another file\n"
            "put a copy in its place, then run the same command again"
        )


def write_text(path: Path, text: str) -> None:
    """`write_whole` of a text in UTF-8; raises RunError on failure."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RunError(
            f"cannot write {printable(str(path))}: {reason(error)}\nfree some space, or change permissions"
        ) from error
