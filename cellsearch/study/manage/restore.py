"""An archive becomes a search again. Everything in it is checked, since it may come from somebody else.

It is read as a stream of ustar members: regular files alone, each at a path that a search has (no absolute
path, no `..`, no link, no device), none longer than its limit, each as long as the list of contents says and
with the SHA-256 in it. They are written to a new folder that gets the name of the search in the end, when the
database in it was opened, and holds one study and no program (no view, no trigger). No worker of the copy
exists, so its unfinished trials return to the queue.
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
SPARE = 50_000_000  # bytes that stay free on the disk
OBJECTS = 1_000  # tables and indexes of a database


@dataclass(frozen=True, slots=True)
class Restored:
    """A search that was restored."""

    name: str
    contents: Contents


def restore(file: Path, name: str | None, results: Path) -> Restored:
    """Makes a search of the archive `file`, with another name where one is given. RunError where it is no
    archive, or where there is a search of that name; no file is left then."""
    if name is not None:
        directory(results, name)
    try:
        raw = open_regular(file)
    except NotRegularError as error:
        raise UsageError(f"{printable(str(file))} is {error.kind}; name a file made by `archive`") from error
    except (OSError, ValueError) as error:
        remedy = f"{near(file)}`cellsearch archive NAME` makes an archive"
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
            f"{printable(str(target))} is there already\nchoose another name: --name, or delete that search"
        )


class Archive:
    """An archive as a stream that is read once; every error is a RunError."""

    def __init__(self, raw: BinaryIO, shown: str) -> None:
        self.stream, self.shown = gzip.GzipFile(fileobj=raw, mode="rb"), shown

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        try:
            data = self.stream.read(count)
        except (OSError, EOFError, zlib.error) as error:
            raise no_archive(self.shown, str(error)) from error
        if len(data) != count:
            raise no_archive(self.shown, "it is cut off")
        return data

    def headers(self) -> Iterator[tarfile.TarInfo]:
        """The header of each member; its bytes are to be read before the next one."""
        while any(block := self.read(BLOCK)):
            try:
                info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            except (tarfile.TarError, ValueError, OverflowError) as error:
                raise no_archive(self.shown, f"a header cannot be read ({error})") from error
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
                kind = "a link" if info.issym() or info.islnk() else "no regular file"
                raise no_archive(self.shown, f"{info.name} is {kind}")
            yield info
        self._end()

    def pieces(self, size: int) -> Iterator[bytes]:
        """The bytes of a member, and past its padding."""
        for start in range(0, size, CHUNK):
            yield self.read(min(CHUNK, size - start))
        self.read(-size % BLOCK)

    def _end(self) -> None:
        """Nothing but padding follows; reading to the end compares the checksum of gzip."""
        try:
            rest = self.stream.read(CHUNK)
        except (OSError, EOFError, zlib.error) as error:
            raise no_archive(self.shown, str(error)) from error
        if any(rest) or len(rest) == CHUNK:
            raise no_archive(self.shown, "something follows its end")


def _unpacked(archive: Archive, folder: Path) -> Contents:
    """Writes the members of an archive below `folder`; its list of contents."""
    headers = archive.headers()
    contents = _contents(archive, next(headers, None))
    free = shutil.disk_usage(folder).free
    if contents.bytes + SPARE > free:
        raise RunError(
            f"{archive.shown} has {contents.bytes:,} bytes, and {free:,} are free on the disk of "
            f"{printable(str(folder.parent))}\nmake room, then give the same command again"
        )
    missing = dict(contents.files)
    for info in headers:
        path = info.name.removeprefix(f"{contents.name}/")
        member = missing.pop(path, None) if path != info.name else None
        if member is None:
            raise no_archive(archive.shown, f"{info.name} is not in its list of contents, or is there twice")
        if info.size != member.bytes:
            raise no_archive(archive.shown, f"{info.name} is not as long as its list of contents says")
        _write(archive, member, folder / path)
    if missing:
        raise no_archive(archive.shown, f"{next(iter(missing))} is missing")
    return contents


def _contents(archive: Archive, first: tarfile.TarInfo | None) -> Contents:
    """The first member: without it nothing is read."""
    if first is None or first.name.partition("/")[2] != CONTENTS or first.size > MOST_CONTENTS:
        raise no_archive(archive.shown, f"it does not begin with {CONTENTS}")
    contents = read_contents(b"".join(archive.pieces(first.size)), archive.shown)
    if first.name != f"{contents.name}/{CONTENTS}":
        raise no_archive(archive.shown, "it has another name than its list of contents")
    return contents


def _write(archive: Archive, member: Member, path: Path) -> None:
    """One member as a new file; its SHA-256 is that of the list."""
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(create(path), "wb") as file:
        for piece in archive.pieces(member.bytes):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != member.sha256:
        raise no_archive(archive.shown, f"{path.name} is not what its list of contents says (SHA-256)")


def _opened(file: Path, recorded: str, name: str, shown: str) -> None:
    """Opens the database that was unpacked and gives its study the name `name`."""
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
    """Refuses a database with anything that runs when it is read or written: views, triggers, virtual tables.
    Of such a file nothing else is read."""
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
            raise no_archive(shown, f"{DATABASE} has a {kind} {name} that would run")
    if len(found) > OBJECTS or any(column[6] for columns in hidden for column in columns):
        raise no_archive(shown, f"{DATABASE} is not the database of a search")
