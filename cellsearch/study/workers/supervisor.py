"""The loop of `cellsearch search`: keeps workers running while there is work, shows, and ends cleanly.

It trains nothing and decides nothing. Every wait in it is bounded: by a signal, by the time limit, by the
workers it watches, by heartbeats of workers elsewhere.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cellsearch.errors import RunError
from cellsearch.files import write_text
from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.events import FORMAT, NAME, Journal, JournalError
from cellsearch.study.leaderboard.progress import Meter, Progress
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import BEAT_SECONDS, Watch, Worker
from cellsearch.study.system.signals import Signals
from cellsearch.study.tables import cellrecords, queries, records, sqlite_files
from cellsearch.study.tables.database import Unavailable, file_of
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.records import Facts
from cellsearch.study.tables.schema import Store
from cellsearch.study.workers.exit_codes import RESTARTS, bury, hopeless
from cellsearch.study.workers.pool import Crew, Exit
from cellsearch.study.workers.retry import PATIENCE_SECONDS

POLL_SECONDS = 0.25
SHOW_SECONDS = 0.5  # between two looks for the live display
PAUSE_SECONDS = 2.0  # before a database that does not answer is asked again
BACKUP_SECONDS = 600.0  # between two backups of a database that is a file
MOST_SECONDS = 5.0  # between two looks, however long one takes


class Coordinator:
    """One `search` at work on a study. `limit` is in seconds over all searches on it."""

    def __init__(
        self,
        store: Store,
        space: Space,
        me: Worker,
        crew: Crew,
        folder: Path,
        limit: float | None,
        show: Callable[[Progress], None] | None,
    ) -> None:
        self.store, self.space, self.me, self.crew, self.folder = store, space, me, crew, folder
        self.limit, self.show = limit, show
        self.meter = Meter(store, space, limit)
        self.messages: list[str] = []
        self.journal = Journal(folder / "logs" / NAME)
        self.failures = space.strategy.failures
        self.spent = records.facts(store).seconds  # before this search
        self.began = self.accounted = time.monotonic()
        self.reached = time.monotonic()  # the database, last
        self.starts = 0  # of workers since an item has ended
        self.seen = (-1, -1)  # items ended, trials ranked at the last look
        self.written: set[str] = set()  # cells that have their file
        self.damaged: sqlite_files.Damaged | None = None
        self.backed_up = 0  # items ended at the last backup
        self._next = {"beat": 0.0, "show": 0.0, "backup": self.began + BACKUP_SECONDS}
        self._watch = Watch()

    def run(self, signals: Signals) -> int:
        """Until the target, the time limit, a signal, or an error."""
        heartbeat.register(self.store, self.me)
        known = records.facts(self.store)
        counts = queries.counts(self.store)
        targets = {
            "ended": counts.baseline + counts.trials, "trials": known.trials, "proposals": known.proposals,
            "seconds": self.limit,
        }  # fmt: skip
        program = {"format": FORMAT, "program": known.program, "devices": list(self.crew.devices)}
        self.log(lambda: self.journal.append("start", program | targets))
        heartbeat.end_orphans(self.store, self.crew.command)
        heartbeat.recover(self.store, self.me.id, self.failures)
        try:
            while not signals.got:
                if self.out_of_time():
                    records.halt(self.store)
                    break
                began = time.monotonic()
                try:
                    if not self.step():
                        break
                    self.reached = time.monotonic()
                except Unavailable as error:
                    if time.monotonic() > self.reached + PATIENCE_SECONDS:
                        raise
                    self.tell(f"{error} (tried again)")
                    if self.crew.end_stopped():
                        self.tell("a worker was stopped, perhaps within a transaction, and was ended")
                    signals.event.wait(PAUSE_SECONDS)
                took = time.monotonic() - began  # of a long search: looks shall not be what a database does
                signals.event.wait(min(max(POLL_SECONDS, 4 * took), MOST_SECONDS))
            code = 128 + signals.got[0] if signals.got else 0
        finally:
            self.close(at_once=lambda: len(signals.got) > 1)
        if self.damaged:
            raise self.damaged
        self.log(lambda: self.journal.append("end", {"code": code}))
        if not signals.got and (known := records.facts(self.store)).stopped:
            raise RunError(known.stopped)
        return code

    def out_of_time(self) -> bool:
        return self.limit is not None and self.spent + time.monotonic() - self.began >= self.limit

    def due(self, what: str, seconds: float) -> bool:
        """Whether `what` is to be done now, `seconds` after the last time."""
        now = time.monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + seconds
        return True

    def step(self) -> bool:
        """One look at everything; False when there is nothing left to do."""
        for gone in self.crew.reap():
            self.bury(gone)
        if self.due("beat", BEAT_SECONDS):
            self.beat()
        counts, known = queries.counts(self.store), records.facts(self.store)
        ended = counts.baseline + counts.trials
        if ended != self.seen[0]:
            self.starts = 0
        if (ended, counts.ranked) != self.seen:
            if known.baseline is not None:
                self.write_cells()
            self.log(lambda: self.follow(known))
        self.seen = (ended, counts.ranked)
        todo = left(counts, known)
        seeding = (
            known.baseline is not None and counts.told < counts.seeds
        )  # then each is told, whatever comes
        over = (bool(known.stopped) and not seeding) or known.halted or todo <= 0
        if not over:
            started = self.crew.fill(len(self.crew.children) + todo - counts.running)
            self.starts += started
            for child in self.crew.children[len(self.crew.children) - started :]:
                self.log_worker("started", child.worker.id, self.crew.devices[child.place - 1])
        if self.due("backup", BACKUP_SECONDS):
            self.back_up()
        if self.show and self.due("show", SHOW_SECONDS):
            self.show(self.look())
        return not over

    def follow(self, known: records.Facts) -> None:
        """Brings the log up to date."""
        leader = next((row for row in board.top(self.store, self.space, 1)[0] if row.rank == 1), None)
        self.journal.follow(self.store, known, leader)

    def log_worker(self, state: str, worker: str, device: str, code: int | None = None) -> None:
        """Writes that a worker of this search has started or ended."""
        values = {"state": state, "worker": worker, "device": device, "code": code}
        self.log(lambda: self.journal.append("worker", values))

    def log(self, write: Callable[[], None]) -> None:
        """Writes to the log; it is no source of anything: where that fails, the search goes on."""
        try:
            write()
        except JournalError as error:
            self.tell(str(error))

    def look(self) -> Progress:
        """What the live display shows."""
        return self.meter.look(time.monotonic() - self.began, self.crew.size, self.messages)

    def beat(self) -> None:
        """Says that this search lives, adds up its time, and gives up workers that are silent."""
        heartbeat.beat(self.store, self.me, "")
        now = time.monotonic()
        records.spend(self.store, now - self.accounted)
        self.accounted = now
        mine = {child.worker.id for child in self.crew.children}
        heartbeat.recover(self.store, self.me.id, self.failures, crash="its process has ended", spare=mine)
        everyone = heartbeat.listed(self.store)
        self.crew.end_mute({worker.id for worker in everyone})
        silent = self._watch.look({w.id: w.beat for w in everyone}, self.me.id)
        if silent:
            self.tell(f"heartbeat stopped, given up: {', '.join(silent)}")
            heartbeat.leave(
                self.store, silent, self.me.id, crash="its heartbeat stopped", failures=self.failures
            )
            self.crew.end_silent(silent)

    def bury(self, gone: Exit) -> None:
        """Deals with a worker that has ended."""
        self.log_worker("ended", gone.worker, gone.device, gone.code)
        found = bury(self.store, self.me.id, self.crew, self.space, gone)
        if found.told:
            self.tell(found.told)
        if found.crash and self.starts > self.crew.size + RESTARTS:
            raise hopeless(self.crew, found.crash)

    def write_cells(self) -> None:
        """A file for each ranked cell; a file that is there is whole."""
        new = [mark for mark in board.ranked(self.store, self.space) if mark not in self.written]
        for cell in cellrecords.recorded_cells(self.store, new):
            path = self.folder / "cells" / f"{cell.fingerprint[:12]}.cell"
            if not os.path.lexists(path):  # an error where one may not even look: writing says so
                write_text(path, cell.text)
            self.written.add(cell.fingerprint)

    def back_up(self) -> None:
        """Writes the backup of the database where something was recorded since the last one; where that
        fails, the search goes on."""
        file, ended = file_of(self.store.url), self.seen[0]
        if file is None or ended in (-1, self.backed_up):
            return
        try:
            sqlite_files.back_up(file)
            self.backed_up = ended
        except sqlite_files.Damaged:
            raise
        except RunError as error:
            self.tell(str(error))

    def tell(self, message: str) -> None:
        if not self.messages or self.messages[-1] != message:
            self.messages.append(message)
            with suppress(JournalError):  # it may be of the log itself
                self.journal.append("message", {"text": message})

    def close(self, at_once: Callable[[], bool]) -> None:
        """Ends the workers, releases what they had, and brings everything written up to date; bounded."""
        gone = self.crew.end(at_once)
        try:
            heartbeat.leave(self.store, gone, self.me.id, failures=self.failures)
            records.spend(self.store, time.monotonic() - self.accounted)
            self.log(lambda: self.follow(records.facts(self.store)))
            heartbeat.leave(self.store, [self.me.id], self.me.id, failures=self.failures)
            if not at_once():
                self.back_up()
        except sqlite_files.Damaged as error:
            self.damaged = error
        except RunError as error:
            self.tell(str(error))  # the next `search` finds its processes dead and does the same
        if self.show:
            self.show(self.look())


def left(counts: Counts, known: Facts) -> int:
    """How many work items have not ended, with those that the targets still leave room for."""
    seeds = counts.pieces - counts.baseline + counts.seeds - counts.told
    trials = counts.running + counts.free - seeds
    targets = [(known.trials, counts.trials), (known.proposals, counts.proposals)]
    more = min((target - ended for target, ended in targets if target is not None), default=0)
    return seeds + max(trials, more)
