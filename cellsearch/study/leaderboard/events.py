"""What happened in a search, as JSON lines in `results/NAME/logs/search.jsonl`, for other programs to follow.

In: events of the coordinator. Out: one object a line, `{"at": UTC, "event": …, …}`. The events:

    start     a search begins: program, format, devices (one for each worker), items that have ended (none in
              a new study), trials, proposals and seconds (targets)
    worker    a process of this search: state (started, ended), worker (its id), device, code of its exit; why
              it ended stands in the message that follows; those that `end` ends are not listed
    baseline  the units are settled: task -> unit, and the tasks that are not used
    trial     an item has ended: trial, piece, kind, outcome, task (where it was filtered), cause, score,
              seconds, cell
    best      another cell leads: name, fingerprint, score
    message   a message that was printed
    end       this search ends: code (0, or 128 and the number of the signal)

The log is derived from the records and never read back. Each item appears once: items that ended while no
search was writing are added at the next start. A line torn by a crash stays, and the next one begins after
it; readers skip it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from cellsearch.errors import RunError, printable
from cellsearch.files import NotRegularError, UnsafeError, open_own, open_regular, reason
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.states import Ending
from cellsearch.study.tables.schema import items
from cellsearch.study.tables.study_facts import Facts
from cellsearch.study.tables.transactions import Store, reading

FORMAT = 2  # raised when the meaning of a line changes
NAME = "search.jsonl"


class JournalError(RunError):
    """The log cannot be read or written. A search continues without it."""


def events(path: Path) -> Iterator[dict[str, object]]:
    """The events of a log, oldest first, without torn lines."""
    try:
        with open_regular(path) as file:
            for line in file:
                try:
                    found = json.loads(line)
                except ValueError:  # torn
                    continue
                if isinstance(found, dict):
                    yield found
    except FileNotFoundError:
        return


@dataclass
class Journal:
    """The log of a study, owned by the search that writes it. Its methods raise JournalError if the file
    cannot be read or written."""

    path: Path
    _read: bool = False
    _written: set[tuple[int, int]] = field(default_factory=set, repr=False)  # trials and pieces
    _before: int = 0  # all trials with a smaller number are written
    _best: str = ""
    _based: bool = False

    def append(self, event: str, values: Mapping[str, object]) -> None:
        """Writes one event. If that fails, earlier events stay readable."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"at": at, "event": event, **values}, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            handle = open_own(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            try:
                size = os.fstat(handle).st_size
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                _write(handle, ("\n" * torn + line).encode())
            finally:
                os.close(handle)
        except UnsafeError as error:
            raise JournalError(str(error)) from error
        except OSError as error:
            raise JournalError(
                f"cannot write {printable(str(self.path))}: {reason(error)}\nfree some space; "
                "the search continues without it"
            ) from error

    def follow(self, store: Store, known: Facts, leader: Row | None) -> None:
        """Writes new events: finished items, the units of scores, a new leader."""
        self._catch_up()
        ended, first = self._look(store)
        for values in ended:
            self.append("trial", values)
            self._written.add((values["trial"], values["piece"]))
        self._forget(first)
        if known.baseline is not None and not self._based:
            unused = [task for task, unit in known.baseline.items() if not unit.kept]
            self.append("baseline", {"units": known.units, "unused": unused})
            self._based = True
        if leader is not None and leader.fingerprint != self._best:
            named = {"name": leader.name, "fingerprint": leader.fingerprint, "score": leader.score}
            self.append("best", named)
            self._best = leader.fingerprint

    def _look(self, store: Store) -> tuple[list[dict[str, Any]], int | None]:
        """The finished items not yet written, in order, and the first trial with an open item, from one
        transaction."""
        names = ("trial", "piece", "kind", "outcome", "task", "cause", "score", "seconds")
        ended = select(*(items.c[name] for name in names), items.c.fingerprint.label("cell")).where(
            items.c.study == store.study, items.c.outcome != Ending.OPEN, items.c.trial >= self._before
        )
        open_ = select(func.min(items.c.trial)).where(
            items.c.study == store.study, items.c.outcome == Ending.OPEN
        )
        with reading(store.engine, store.url) as connection:
            rows = connection.execute(ended.order_by(items.c.trial, items.c.piece)).mappings().all()
            first = connection.execute(open_).scalar()
        return [dict(row) for row in rows if (row["trial"], row["piece"]) not in self._written], first

    def _catch_up(self) -> None:
        """Reads the events of earlier searches."""
        if self._read:
            return
        try:
            for found in events(self.path):
                trial, piece = found.get("trial"), found.get("piece")
                if found.get("event") == "trial" and isinstance(trial, int) and isinstance(piece, int):
                    self._written.add((trial, piece))
                elif found.get("event") == "best":
                    self._best = str(found.get("fingerprint"))
                self._based = self._based or found.get("event") == "baseline"
        except (OSError, NotRegularError) as error:
            raise JournalError(
                f"cannot read {printable(str(self.path))}: {reason(error)}\nchange its permissions; "
                "the search continues without it"
            ) from error
        self._read = True

    def _forget(self, first: int | None) -> None:
        """Forgets the trials before the first open one."""
        after = 1 + max((trial for trial, _ in self._written), default=self._before - 1)
        self._before = after if first is None else min(first, after)
        self._written = {(trial, piece) for trial, piece in self._written if trial >= self._before}


def _write(handle: int, data: bytes) -> None:
    """Writes all bytes: a nearly full disk takes a part first and raises the error at the second try."""
    while data:
        data = data[os.write(handle, data) :]
