"""Restore a search from an archive. Everything in it is checked, since it may be untrusted.

It is read as a stream of ustar members: only regular files, each at a path that a search has (no absolute
path, no `..`, no link, no device), within its size limit, and with the size and SHA-256 of the manifest. They
are written to a new folder, which is renamed to the search at the end, after the database was opened and
found to have one study and no code (no view, no trigger). The copy has no workers, so its unfinished trials
return to the queue.
"""

import gzip
import hashlib
import os
import secrets
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from sqlalchemy import delete, update

from cellsearch.errors import CellsearchError, RunError, UsageError, printable
from cellsearch.files import NotRegularError, create, near, open_regular, own_folder, reason, sync_folder
from cellsearch.study.manage.hold import DATABASE, LOCK, sweep
from cellsearch.study.manage.members import (
    BLOCK,
    CONTENTS,
    MOST_CONTENTS,
    Contents,
    Member,
    no_archive,
    read_contents,
)
from cellsearch.study.space import parse_space
from cellsearch.study.states import Ending
from cellsearch.study.system import processes
from cellsearch.study.tables import database, integrity, records, schema, transactions
from cellsearch.study.workers.run import directory

CHUNK = 1 << 20
SPARE = 50_000_000  # bytes to keep free on the disk
OBJECTS = 1_000  # maximum tables and indexes of a database


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored search."""

    name: str
    contents: Contents


def restore(file: Path, name: str | None, results: Path) -> Restored:
    """Restores the archive `file`, optionally under another name. Raises RunError, without leaving files, if
    it is not an archive or the search exists."""
    if name is not None:
        directory(results, name)
    try:
        raw = open_regular(file)
    except NotRegularError as error:
        raise UsageError(
            f"{printable(str(file))} is {error.kind}; name a file written by `archive`"
        ) from error
    except (OSError, ValueError) as error:
        remedy = f"{near(file)}`cellsearch archive NAME` writes an archive"
        raise RunError(f"cannot read {printable(str(file))}: {printable(reason(error))}\n{remedy}") from error
    own_folder(results)
    sweep(results)
    temporary = results / f".restoring-{secrets.token_hex(6)}"
    own_folder(temporary)
    with raw, processes.exclusive(temporary / LOCK, "it"):
        try:
            contents = _unpacked(Archive(raw, printable(str(file))), temporary)
            chosen = name or contents.name
            target = directory(results, chosen)
            _free(target)
            _opened(temporary / DATABASE, contents.name, chosen, printable(str(file)))
            os.sync()
            _free(target)
            temporary.rename(target)
            sync_folder(results)
        except OSError as error:
            raise RunError(f"cannot write {printable(str(results))}: {reason(error)}") from error
        finally:
            if temporary.exists():
                shutil.rmtree(temporary, ignore_errors=True)
    return Restored(chosen, contents)


def _free(target: Path) -> None:
    if os.path.lexists(target):
        raise RunError(
            f"{printable(str(target))} already exists\nchoose another name with --name, or delete that search"
        )


class Archive:
    """An archive as a stream that is read once; all errors are RunErrors."""

    def __init__(self, raw: BinaryIO, shown: str) -> None:
        self.stream, self.shown = gzip.GzipFile(fileobj=raw, mode="rb"), shown

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        try:
            data = self.stream.read(count)
        except (OSError, EOFError, zlib.error) as error:
            raise no_archive(self.shown, str(error)) from error
        if len(data) != count:
            raise no_archive(self.shown, "it is truncated")
        return data

    def headers(self) -> Iterator[tarfile.TarInfo]:
        """The header of each member; the caller reads its bytes before the next one."""
        while any(block := self.read(BLOCK)):
            try:
                info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            except (tarfile.TarError, ValueError, OverflowError) as error:
                raise no_archive(self.shown, f"a header cannot be read ({error})") from error
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
                kind = "a link" if info.issym() or info.islnk() else "not a regular file"
                raise no_archive(self.shown, f"{info.name} is {kind}")
            yield info
        self._end()

    def pieces(self, size: int) -> Iterator[bytes]:
        """The bytes of a member; skips its padding."""
        for start in range(0, size, CHUNK):
            yield self.read(min(CHUNK, size - start))
        self.read(-size % BLOCK)

    def _end(self) -> None:
        """Checks that only padding follows; reading to the end verifies the checksum of gzip."""
        try:
            rest = self.stream.read(CHUNK)
        except (OSError, EOFError, zlib.error) as error:
            raise no_archive(self.shown, str(error)) from error
        if any(rest) or len(rest) == CHUNK:
            raise no_archive(self.shown, "it has data after its end")


def _unpacked(archive: Archive, folder: Path) -> Contents:
    """Writes the members of an archive below `folder` and returns its manifest."""
    headers = archive.headers()
    contents = _contents(archive, next(headers, None))
    free = shutil.disk_usage(folder).free
    if contents.bytes + SPARE > free:
        raise RunError(
            f"{archive.shown} has {contents.bytes:,} bytes, and {free:,} are free on the disk of "
            f"{printable(str(folder.parent))}\nfree some space, then run the same command again"
        )
    missing = dict(contents.files)
    for info in headers:
        path = info.name.removeprefix(f"{contents.name}/")
        member = missing.pop(path, None) if path != info.name else None
        if member is None:
            raise no_archive(archive.shown, f"{info.name} is not in its manifest, or appears twice")
        if info.size != member.bytes:
            raise no_archive(archive.shown, f"{info.name} does not have the size in its manifest")
        _write(archive, member, folder / path)
    if missing:
        raise no_archive(archive.shown, f"{next(iter(missing))} is missing")
    return contents


def _contents(archive: Archive, first: tarfile.TarInfo | None) -> Contents:
    """Reads the manifest, which must be the first member."""
    if first is None or first.name.partition("/")[2] != CONTENTS or first.size > MOST_CONTENTS:
        raise no_archive(archive.shown, f"it does not start with {CONTENTS}")
    contents = read_contents(b"".join(archive.pieces(first.size)), archive.shown)
    if first.name != f"{contents.name}/{CONTENTS}":
        raise no_archive(archive.shown, "its name differs from its manifest")
    return contents


def _write(archive: Archive, member: Member, path: Path) -> None:
    """Writes one member as a new file and compares its SHA-256 with the manifest."""
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(create(path), "wb") as file:
        for piece in archive.pieces(member.bytes):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != member.sha256:
        raise no_archive(archive.shown, f"{path.name} does not match its SHA-256 in the manifest")


def _opened(file: Path, recorded: str, name: str, shown: str) -> None:
    """Opens the unpacked database and renames its study to `name`."""
    _plain(file, shown)
    url = database.url_of(file)
    try:
        store = records.open_study(url, recorded)
        try:
            if list(records.bound(store.engine, url)) != [recorded]:
                raise no_archive(shown, "its database has more than one study")
            if torn := integrity.torn(store):
                raise no_archive(shown, f"its database is damaged: {torn[0]}")
            parse_space(records.facts(store).space, f"{recorded}/space.yaml")
            with transactions.writing(store) as connection:
                if name != recorded:
                    records.rename(connection, store, name)
                mine = schema.items.c.study == store.study
                open_ = update(schema.items).where(mine, schema.items.c.outcome == Ending.OPEN)
                connection.execute(open_.values(owner=""))
                connection.execute(delete(schema.workers).where(schema.workers.c.study == store.study))
        finally:
            database.settle(store.engine)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise no_archive(shown, f"its study cannot be read ({error})") from error
    except CellsearchError as error:
        message = str(error).replace(str(file), DATABASE)
        raise error if shown in message else no_archive(shown, message.replace("\n", "; ")) from error


def _plain(file: Path, shown: str) -> None:
    """Refuses a database with code that runs on reads or writes: views, triggers, virtual tables. Reads
    nothing else of such a file."""
    uri = f"file:{quote(str(file.absolute()))}?immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            query = f"SELECT type, name, sql FROM sqlite_master LIMIT {OBJECTS + 1}"
            found = connection.execute(query).fetchall()
            tables = [str(name).replace('"', '""') for kind, name, _ in found if kind == "table"]
            hidden = [connection.execute(f'PRAGMA table_xinfo("{table}")').fetchall() for table in tables]
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise no_archive(shown, f"{DATABASE}: {error}") from error
    for kind, name, sql in found:
        words = str(sql or "").upper().split()
        if kind not in ("table", "index") or words[:2] == ["CREATE", "VIRTUAL"]:
            raise no_archive(shown, f"{DATABASE} has a {kind} {name}, which could run code")
    if len(found) > OBJECTS or any(column[6] for columns in hidden for column in columns):
        raise no_archive(shown, f"{DATABASE} is not the database of a search")
