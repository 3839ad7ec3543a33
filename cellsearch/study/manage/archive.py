"""A search as one file: a consistent copy of its database, its space, cells, logs, outbox, exports and
models.

The database is copied by SQLite's backup API, never as a file. Links are not followed. The archive is
complete or absent.
"""

import gzip
import hashlib
import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from cellsearch.errors import RunError, printable
from cellsearch.files import create, reason, refuse_links, sync_folder
from cellsearch.study.manage.hold import DATABASE, LOCK, Tell, held, only
from cellsearch.study.manage.members import (
    CONTENTS,
    DEPTH,
    FOLDERS,
    MOST_FILES,
    Contents,
    Member,
    limit,
    written,
)
from cellsearch.study.tables import database
from cellsearch.study.tables.sqlite import backups
from cellsearch.study.workers.run import directory
from cellsearch.version import version

SUFFIX = ".tar.gz"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archived:
    """A written archive."""

    file: Path
    bytes: int
    contents: Contents
    left_out: Sequence[str]  # other files in the folder of the search


def archive(name: str, file: Path | None, results: Path, force: bool, tell: Tell) -> Archived:
    """Writes the search `name` to `file` (default: NAME.tar.gz in this directory). Raises RunError if the
    search is missing or running, or if the file exists without `force` or cannot be written."""
    folder = directory(results, name)
    target = file or Path(f"{name}{SUFFIX}")
    if folder.is_dir() and not (folder / DATABASE).is_file():
        raise RunError(
            f"the database of {name!r} is not in {printable(str(folder))}\n"
            "only a search with its database in its folder can be archived; copy a server's database with "
            "the server's tools"
        )
    if os.path.lexists(target) and not (force and target.is_file()):
        raise RunError(f"{printable(str(target))} already exists\nname another file, or give --force")
    with held(name, None, results, tell) as search:
        only(search.store)
        database.settle(search.store.engine)
        try:
            with tempfile.TemporaryDirectory(prefix=".archiving-", dir=target.parent) as scratch:
                copy = backups.copy(folder / DATABASE, Path(scratch) / DATABASE)
                files, left_out = _files(folder)
                files = {DATABASE: copy, **files}
                members = {path: _member(source, path) for path, source in files.items()}
                made = datetime.now(UTC).isoformat(timespec="seconds")
                contents = Contents(name, version(), made, members)
                size = _write(target, contents, files)
        except (OSError, sqlite3.Error, tarfile.TarError) as error:
            message = reason(error) if isinstance(error, OSError) else str(error)
            raise RunError(
                f"cannot write {printable(str(target))}: {printable(message)}\n"
                "free some space, change permissions, or name another file"
            ) from error
    return Archived(target, size, contents, left_out)


def _files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of a search except its database, by path in its folder, and other files. Raises UnsafeError
    for links."""
    found: dict[str, Path] = {}
    left_out = []
    for path in _below(folder):
        inner = path.relative_to(folder).as_posix()
        if inner.startswith(DATABASE) or path.name == LOCK or path.name.startswith("."):
            continue
        if limit(inner) is None or (path.is_dir() and not path.is_symlink()):
            left_out.append(inner)
            continue
        refuse_links(path)
        found[inner] = path
    if len(found) >= MOST_FILES:
        raise RunError(f"{printable(str(folder))} has {len(found):,} files; the limit is {MOST_FILES - 1:,}")
    return found, left_out


def _below(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The files in a folder of a search, in order, and unknown folders."""
    for path in sorted(folder.iterdir()):
        known = path.name in FOLDERS if depth == 0 else depth < DEPTH
        if known and path.is_dir() and not path.is_symlink():
            yield from _below(path, depth + 1)
        else:
            yield path


def _open(source: Path) -> BinaryIO:
    return os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _member(source: Path, path: str) -> Member:
    digest, size = hashlib.sha256(), 0
    with _open(source) as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            size += len(piece)
    most = limit(path) or 0
    if size > most:
        raise RunError(
            f"{printable(str(source))} is {size:,} bytes; the limit of an archive is {most:,}\nmove it away"
        )
    return Member(size, digest.hexdigest())


def _write(target: Path, contents: Contents, files: dict[str, Path]) -> int:
    """Writes the archive atomically and returns its size in bytes."""
    partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.partial")
    try:
        with os.fdopen(create(partial), "wb") as raw:
            with (
                gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
            ):
                listed = written(contents)
                tar.addfile(_info(contents.name, CONTENTS, len(listed)), io.BytesIO(listed))
                for path, source in files.items():
                    with _open(source) as file:
                        tar.addfile(_info(contents.name, path, contents.files[path].bytes), file)
            raw.flush()
            os.fsync(raw.fileno())
            size = raw.tell()
        partial.replace(target)
    except ValueError as error:  # raised by tarfile for a path that ustar cannot hold
        raise RunError(f"cannot write {printable(str(target))}: {printable(str(error))}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    sync_folder(target.parent)
    return size


def _info(name: str, path: str, size: int) -> tarfile.TarInfo:
    """The header of a member, without user or machine."""
    info = tarfile.TarInfo(f"{name}/{path}")
    info.size, info.mode = size, 0o644
    return info
