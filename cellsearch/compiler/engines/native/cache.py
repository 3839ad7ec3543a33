"""The cache of compiled kernels on disk: private, atomic, and bounded.

A loaded library is code that runs. So no other user may be able to put a file into the cache: each
directory of its path is checked as ssh checks the directories of its keys, and the last directory and each
file stay open before loading. Files appear whole, by renaming.
"""

import atexit
import os
import shutil
import stat
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cellsearch.errors import printable

LIMIT = 256 << 20  # bytes of all libraries; beyond it the least recently used are removed
KEPT = 0.75  # of the limit, once it is exceeded
MAKING = "making-"  # prefix of the directory of a compilation
LEFT_OVER = 600.0  # seconds after which such a directory belongs to a killed process
OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Cache:
    """A directory of libraries, open as `handle`."""

    path: Path
    handle: int


@lru_cache(maxsize=1)
def opened() -> Cache:
    """The cache of this user: `CELLSEARCH_CACHE`, or in the user's cache directory. If it is not writable, or
    another user could write to it (a warning), a temporary directory of this process."""
    base = os.environ.get("CELLSEARCH_CACHE") or os.path.join(  # noqa: PTH118  # may be unset or relative
        os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"), "cellsearch"
    )
    path = Path(os.path.realpath(base)) / "kernels"
    with suppress(OSError):  # no home, or a read-only one
        _make(path)
        if doubt := unsafe(path):
            shown = printable(str(path))
            warnings.warn(f"compiled kernels are not kept in {shown}: {doubt}", stacklevel=2)
        elif os.access(path, os.W_OK):
            return Cache(path, _held(path))
    temporary = Path(tempfile.mkdtemp(prefix="cellsearch-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Cache(temporary, _held(temporary))


def _make(path: Path) -> None:
    """Makes a directory and its parents, private to this user for any umask."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def _held(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def unsafe(path: Path) -> str:
    """The reason why another user could put a file into a directory, with the remedy; "" if no user can.
    `path` is absolute and without links."""
    me = os.geteuid()
    for folder in (path, *path.parents):
        found = folder.lstat()
        shown = printable(str(folder))
        if not stat.S_ISDIR(found.st_mode):
            return f"{shown} is not a directory"
        if found.st_uid not in ((me,) if folder == path else (me, 0)):
            return f"{shown} belongs to another user ({found.st_uid}); choose another CELLSEARCH_CACHE"
        # in a sticky directory such as /tmp only the owner can move a file
        if found.st_mode & OTHERS and (folder == path or not found.st_mode & stat.S_ISVTX):
            return f"other users may write to {shown}; chmod go-w {shown}, or choose another CELLSEARCH_CACHE"
    return ""


def find(cache: Cache, name: str) -> str | None:
    """The path to load the library `name`, or None if it is missing. A file that is not private to this user
    is removed. The path uses the open directory if the system has such paths."""
    try:
        handle = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=cache.handle
        )
    except FileNotFoundError:
        return None
    except OSError:  # a link
        remove(cache, name)
        return None
    try:
        found = os.fstat(handle)
        mine = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
        if not mine or found.st_mode & OTHERS:
            remove(cache, name)
            return None
        with suppress(OSError, NotImplementedError):
            os.utime(handle)  # marks it as used
    finally:
        os.close(handle)
    through = f"/proc/self/fd/{cache.handle}"
    return f"{through if Path(through).is_dir() else cache.path}/{name}"


def put(cache: Cache, made: Path, name: str) -> None:
    """Moves a library into the cache, and makes room for it if the cache is full."""
    with made.open("rb") as file:
        os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())  # a truncated library may load, and crash the process later
    os.rename(made, name, dst_dir_fd=cache.handle)
    tidy(cache)


def remove(cache: Cache, name: str) -> None:
    """Removes a file, a link or a directory of this name."""
    with suppress(OSError):
        os.unlink(name, dir_fd=cache.handle)
        return
    shutil.rmtree(name, ignore_errors=True, dir_fd=cache.handle)


def tidy(cache: Cache) -> None:
    """Removes files left by killed compilations and, beyond the limit, the least recently used libraries.
    Processes that have loaded one keep using it."""
    libraries = []
    with os.scandir(cache.handle) as entries:
        for entry in entries:
            with suppress(OSError):  # another process removes it
                found = entry.stat(follow_symlinks=False)
                if entry.name.startswith(MAKING):
                    if found.st_mtime < time.time() - LEFT_OVER:
                        remove(cache, entry.name)
                else:
                    libraries.append((found.st_mtime, found.st_size, entry.name))
    total = sum(size for _, size, _ in libraries)
    if total <= LIMIT:
        return
    for _, size, name in sorted(libraries)[:-1]:  # the last one is new
        if total <= KEPT * LIMIT:
            return
        remove(cache, name)
        total -= size
