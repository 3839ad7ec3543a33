"""Safe reading and writing of files.

Reading is bounded and cannot hang: only regular files are opened, up to the requested size. Writing is
atomic: a file is the old or the new one at any time, even after a crash. `read` and `write_whole` raise what
goes wrong as it is, for those who know more about it; `read_text` and `write_text` say it to people.

The folder of a search may come from somebody else, with links in it that lead to other files. `own_folder`,
`open_own` and `refuse_links` stand before everything that is written there in place: they refuse what leads
elsewhere, and what is no file.
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
MOST_NAMES = 1_000  # of a folder that are compared with a wrong one


class NotRegularError(Exception):
    """A path is not a regular file: `kind` says what it is ("a directory", "a FIFO", …)."""

    def __init__(self, mode: int) -> None:
        self.is_directory = stat.S_ISDIR(mode)
        self.kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        super().__init__(self.kind)


class UnsafeError(RunError):
    """A path in the folder of a search is a link or not a regular file: nothing was written."""


def read(path: Path, most: int) -> bytes:
    """The bytes of a regular file, cut behind the first that is one too many: a result longer than `most`
    says that the file is.

    Raises NotRegularError for directories, devices, FIFOs and sockets, without opening them; OSError
    (FileNotFoundError among them); ValueError for an invalid path.
    """
    with open_regular(path) as file:
        return file.read(most + 1)  # not st_size: a file may grow, and in /proc it says 0


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading. Raises the errors of `read`."""
    if not stat.S_ISREG(mode := path.stat().st_mode):
        raise NotRegularError(mode)
    # not blocking: between the two looks the path may have become a FIFO
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
    OSError, and ValueError for an invalid path; the old file remains then, without leftovers."""
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
    """A descriptor of a new, empty file, whatever was there before: a link is removed and not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # O_EXCL follows no link either
    try:
        return os.open(path, flags, mode)
    except FileExistsError:  # left by a process of this number that was killed
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
    """Makes a folder of a search where it is missing. RunError where that fails; UnsafeError where a link is
    in its place. What it stands in may be a link: that is of this machine, and not of the search."""
    refuse_links(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make {printable(str(folder))}: {reason(error)}\n"
            "free some space, change the permissions, or go to another directory"
        ) from error


def open_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of a file of the search, open for writing in place (a lock, a log). It is made where
    `flags` have O_CREAT. Raises OSError, and UnsafeError where the path is a link, no regular file, has
    another name, or belongs to another user.

    Root may write to everybody's file: folders of users are mounted into containers, and unpacked with their
    owners. So may everybody to a file that belongs to the owner of the folder: a file system of a server may
    give all its files to one user, those of this process too.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    except OSError:
        refuse_links(path)  # it may be the reason
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
    """UnsafeError where one of these is a link, no regular file and no folder, or has another name."""
    for path in paths:
        with contextlib.suppress(OSError):  # it is not there, or opening it says why not
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode):
                _refuse(path, found)


def _refuse(path: Path, found: os.stat_result) -> None:
    shown = printable(str(path))
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
        leads = stat.S_ISLNK(found.st_mode)
        raise UnsafeError(
            f"{shown} is {kind}; a search writes to files and folders of its own alone\n"
            f"remove it{', or put in its place what it leads to' * leads}, then give the same command again"
        )
    if found.st_nlink > 1:
        raise UnsafeError(
            f"{shown} is a hard link; to write to it would change the file of another name, too\n"
            "put a copy in its place, then give the same command again"
        )


def write_text(path: Path, text: str) -> None:
    """`write_whole` of a text in UTF-8; raises RunError on failure."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RunError(
            f"cannot write {printable(str(path))}: {reason(error)}\nfree some space, or change permissions"
        ) from error
