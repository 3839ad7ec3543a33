"""The supervisor of `cellsearch search`: workers on this machine, live display, files, log, a clean end."""

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
from cellsearch.study.leaderboard.trust import Trust
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Watch, Worker
from cellsearch.study.system.signals import Signals
from cellsearch.study.tables import cellrecords, queries, records
from cellsearch.study.tables.database import file_of
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.sqlite import backups
from cellsearch.study.tables.sqlite.files import Damaged
from cellsearch.study.tables.study_facts import Facts
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.pool import Exit, Pool
from cellsearch.study.workers.supervisor import Supervisor


class SearchSupervisor(Supervisor):
    """A running `search` on a study. `limit` is in seconds over all searches on it."""

    def __init__(
        self,
        store: Store,
        space: Space,
        me: Worker,
        pool: Pool,
        folder: Path,
        limit: float | None,
        show: Callable[[Progress], None] | None,
    ) -> None:
        super().__init__(store, space, pool, me.id)
        self.me, self.folder, self.limit, self.show = me, folder, limit, show
        self.meter = Meter(store, space, limit)
        self.messages: list[str] = []
        self.journal = Journal(folder / "logs" / NAME)
        self.spent = records.facts(store).seconds  # seconds before this search
        self.began = self.accounted = time.monotonic()
        self.seen = (-1, -1)  # finished items, ranked trials at the last poll
        self.written: set[str] = set()  # cells with a written file
        self.damaged: Damaged | None = None
        self.backed_up = 0  # finished items at the last backup
        self._silent = Watch(self.timing.silent)

    def run(self, signals: Signals) -> int:
        """Runs until the target, the time limit, a signal, or an error."""
        heartbeat.register(self.store, self.me)
        known = records.facts(self.store)
        counts = queries.counts(self.store)
        targets = {
            "ended": counts.baseline + counts.trials, "trials": known.trials, "proposals": known.proposals,
            "seconds": self.limit,
        }  # fmt: skip
        program = {"format": FORMAT, "program": known.program, "devices": list(self.pool.devices)}
        self.log(lambda: self.journal.append("start", program | targets))
        heartbeat.end_orphans(self.store, self.pool.command)
        heartbeat.recover(self.store, self.me.id, self.failures)
        code = self.watch(signals)
        if self.damaged:
            raise self.damaged
        self.log(lambda: self.journal.append("end", {"code": code}))
        if not signals.got and (known := records.facts(self.store)).stopped:
            raise RunError(known.stopped)
        return code

    def step(self) -> bool:
        """Polls everything; False when the search is done."""
        if self.limit is not None and self.spent + time.monotonic() - self.began >= self.limit:
            records.halt(self.store)
            return False
        self.handle_exits()
        if self.due("beat", self.timing.beat):
            self.beat()
        counts, known = queries.counts(self.store), records.facts(self.store)
        ended = counts.baseline + counts.trials
        if (ended, counts.ranked) != self.seen:
            if known.baseline is not None:
                self.write_cells()
            self.log(lambda: self.follow(known))
        self.seen = (ended, counts.ranked)
        todo = left(counts, known, self.space.budget.patience)
        # once the units are frozen each seed will be completed
        seeding = known.baseline is not None and counts.told < counts.seeds
        over = (bool(known.stopped) and not seeding) or known.halted or todo <= 0
        if not over:
            self.fill(todo - counts.running)
        if self.due("backup", self.timing.backup, first=self.timing.backup):
            self.back_up()
        if self.show and self.due("show", self.timing.show):
            self.show(self.look())
        return not over

    def fill(self, free: int) -> None:
        """Starts workers for `free` items that no worker has."""
        started = self.pool.fill(len(self.pool.children) + free)
        self.starts += started
        for child in self.pool.children[len(self.pool.children) - started :]:
            self.log_worker("started", child.worker.id, self.pool.devices[child.place - 1])

    def follow(self, known: Facts) -> None:
        """Updates the log."""
        leader = next(
            (row for row in board.top(self.store, self.space, 1, Trust())[0] if row.rank == 1), None
        )
        self.journal.follow(self.store, known, leader)

    def after_exit(self, gone: Exit, *, done: bool) -> None:
        self.log_worker("ended", gone.worker, gone.device, gone.code)

    def log_worker(self, state: str, worker: str, device: str, code: int | None = None) -> None:
        """Logs the start or the end of a worker of this search."""
        values = {"state": state, "worker": worker, "device": device, "code": code}
        self.log(lambda: self.journal.append("worker", values))

    def log(self, write: Callable[[], None]) -> None:
        """Writes to the log. A failure does not end the search."""
        try:
            write()
        except JournalError as error:
            self.tell(str(error))

    def look(self) -> Progress:
        """The progress for the live display."""
        return self.meter.look(time.monotonic() - self.began, self.pool.size, self.messages)

    def beat(self) -> None:
        """Sends a heartbeat, adds up the run time, and releases silent workers."""
        heartbeat.beat(self.store, self.me, "")
        now = time.monotonic()
        records.spend(self.store, now - self.accounted)
        self.accounted = now
        mine = {child.worker.id for child in self.pool.children} | {one.worker for one in self.exits}
        heartbeat.recover(self.store, self.me.id, self.failures, crash="its process has ended", spare=mine)
        everyone = heartbeat.listed(self.store)
        self.pool.end_mute({worker.id for worker in everyone})
        silent = self._silent.look({w.id: w.beat for w in everyone}, self.me.id)
        if silent:
            self.tell(f"heartbeat stopped, given up: {', '.join(silent)}")
            crash = "its heartbeat stopped"
            heartbeat.leave(self.store, silent, self.me.id, crash=crash, failures=self.failures)
            self.pool.end_silent(silent)

    def write_cells(self) -> None:
        """Writes a file per ranked cell, atomically."""
        new = [mark for mark in board.ranked(self.store, self.space) if mark not in self.written]
        for cell in cellrecords.recorded_cells(self.store, new):
            path = self.folder / "cells" / f"{cell.fingerprint[:12]}.cell"
            if not os.path.lexists(path):  # no permission: writing raises the error
                write_text(path, cell.text)
            self.written.add(cell.fingerprint)

    def back_up(self) -> None:
        """Writes the backup of the database if there are new records. A failure does not end the search."""
        file, ended = file_of(self.store.url), self.seen[0]
        if file is None or ended in (-1, self.backed_up):
            return
        try:
            backups.back_up(file)
            self.backed_up = ended
        except Damaged:
            raise
        except RunError as error:
            self.tell(str(error))

    def tell(self, message: str) -> None:
        if not self.messages or self.messages[-1] != message:
            self.messages.append(message)
            with suppress(JournalError):  # the message may concern the log itself
                self.journal.append("message", {"text": message})

    def close(self, signals: Signals) -> None:
        """Ends the workers, releases their trials, and updates all files; in bounded time."""
        try:
            self.end_workers(signals)
            records.spend(self.store, time.monotonic() - self.accounted)
            self.log(lambda: self.follow(records.facts(self.store)))
            heartbeat.leave(self.store, [self.me.id], self.me.id, failures=self.failures)
            if len(signals.got) <= 1:
                self.back_up()
        except Damaged as error:
            self.damaged = error
        except RunError as error:
            self.tell(str(error))  # the next `search` finds the dead processes and does the same
        if self.show:
            self.show(self.look())


def left(counts: Counts, known: Facts, patience: int | None = None) -> int:
    """The number of unfinished work items, plus those allowed by the targets unless the last `patience`
    proposals brought no better score."""
    seeds = counts.pieces - counts.baseline + counts.seeds - counts.told
    trials = counts.running + counts.free - seeds
    targets = [(known.trials, counts.trials), (known.proposals, counts.proposals)]
    more = min((target - ended for target, ended in targets if target is not None), default=0)
    if patience is not None and counts.stale >= patience:
        more = 0
    return seeds + max(trials, more)
