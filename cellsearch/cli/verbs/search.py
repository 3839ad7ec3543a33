"""`cellsearch search` and `cellsearch worker`: a search on this machine, and a process that joins one.

While it runs: a display on a terminal, lines for a log elsewhere, both on stderr. At the end: the
leaderboard, on stdout.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verbs.dry_run import run_forecast
from cellsearch.cli.verbs.replay import run_replay
from cellsearch.cli.verbs.status import print_board
from cellsearch.errors import UsageError, printable
from cellsearch.report.formatting import duration, plural
from cellsearch.report.searches import progress as report
from cellsearch.report.searches import totals
from cellsearch.study import api, studies
from cellsearch.study.leaderboard.progress import Progress
from cellsearch.study.manage import commands
from cellsearch.study.studies import RESULTS
from cellsearch.study.system import processes
from cellsearch.study.workers import agent, pool
from cellsearch.study.workers.agent import AgentConfig
from cellsearch.study.workers.run import Options, default_url
from cellsearch.train.resources import devices

LOG_SECONDS = 15.0  # between two lines of a log
REFRESHES = 2  # of the display, in a second


def run_search(args: argparse.Namespace, terminal: Terminal) -> int:
    """Starts a search or goes on with it, and shows what it found. Or replays one."""
    if args.replay is not None:
        return run_replay(args, terminal)
    if args.space is None and args.name is None:
        raise UsageError(
            "the following arguments are required: SPACE, --name NAME or --replay NAME\n"
            "see `cellsearch search --help`"
        )
    for option, without in (("json", False), ("strategies", None)):
        if getattr(args, option) != without and not (option == "json" and args.dry_run):
            raise UsageError(f"--{option} is of a replay: `cellsearch search --replay NAME`")
    space, name = commands.meant(args.space, args.name, args.set, args.storage, own_text=args.text)
    if args.text is not None and (most := space.tasks[0].options["train"]):
        terminal.tell(
            f"{printable(args.text, 300)}: at most {most:,} symbols to train on; all of them: "
            "--set tasks.0.options.train=null",
            "dim",
        )
    options = Options(
        storage=args.storage, workers=args.workers, devices=devices.chosen(args.devices), data=args.data,
        trials=args.trials, proposals=args.proposals, seconds=args.time,
        given=commands.public(args.words, args.storage),
    )  # fmt: skip
    _limited(args.workers, options.devices, terminal)
    if args.dry_run:
        return run_forecast(space, name, options, args, terminal)
    further = commands.continuing(args.words, name, space, args.storage)
    with _Watcher(terminal, name) as watcher:
        code = api.run(space, name, options, args.seed, watcher)
    if code:
        terminal.tell(f"stopped; all results are saved. To continue:\n  {commands.line(further)}")
        return code
    study = studies.opened(name, args.storage)
    print_board(study, terminal, args.rows, args.storage)
    for line in _ending(further, watcher, study.facts.halted):
        terminal.tell(line)
    return 0


def _limited(workers: int | None, where: Sequence[str], terminal: Terminal) -> None:
    """Reports a number of workers that is more than this machine starts."""
    most = pool.most_workers()
    if workers and workers > most and "cpu" in where:
        cores = plural(processes.cores(), "core")
        terminal.tell(
            f"--workers {workers:,}: starting {most}, the maximum for {cores}; "
            "each worker takes a few hundred megabytes",
            "yellow",
        )


def _ending(words: Sequence[str], watcher: "_Watcher", halted: bool) -> list[str]:
    """How to go on where a search has come to its end; `words` are those of the command that goes on."""
    first, last = watcher.first, watcher.last
    if first is None or last is None:
        return []
    target = last.target
    _, ended, of = target.nearest(last.counts.trials, last.counts.proposals)
    if halted and ended < of:
        longer = commands.changed(words, "--time", commands.duration_option(2 * last.spent))
        made = totals.trials(last.counts, target)
        further = commands.line(longer)
        return [f"time limit reached after {duration(last.spent)}: {made}; to go on:\n  {further}"]
    if (patience := last.patience) is not None and (ended < of and last.counts.stale >= patience):
        said = f"{totals.plateau(last.counts, patience)}: {totals.trials(last.counts, target)}"
        further = commands.line([*words, "--set", f"budget.patience={2 * last.counts.stale}"])
        return [f"{said} in {duration(last.spent)}; to go on:\n  {further}"]
    for option, total in (("--trials", target.trials), ("--proposals", target.proposals)):
        if total is not None:
            words = commands.changed(words, option, str(max(2 * total, 10)))
    done = first.counts == last.counts
    said = "already finished: " if done else ""
    said += f"{totals.trials(last.counts, target)} in {duration(last.spent)}"
    return [f"{said}; to go on:\n  {commands.line(words)}"]


class _Watcher:
    """Shows how a search goes: called with every look at it."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self.terminal, self.name = terminal, name
        self.first: Progress | None = None
        self.last: Progress | None = None
        self._logged = (-LOG_SECONDS, "", False)  # when, the best cell, whether the baseline was done
        self._told = 0  # messages
        self._live: Live | None = None
        self._looked = time.monotonic()  # last, or since when there has been nothing to see

    def __enter__(self) -> "_Watcher":
        if self.terminal.live:
            self._live = Live(
                get_renderable=self._shown, console=self.terminal.err, refresh_per_second=REFRESHES,
                transient=True, redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop",
            )  # fmt: skip
            self._live.start(refresh=True)
        else:
            self.terminal.tell(self._waiting())
        return self

    def _waiting(self) -> Text:
        """Before the first look."""
        return Text(f"{printable(self.name)}: preparing the data", "dim")

    def _shown(self) -> RenderableType:
        """The display now. Its clock goes on between two looks."""
        p, since = self.last, time.monotonic() - self._looked
        if p is None:
            return self._waiting().append(f"  {duration(since)}")
        size = self.terminal.err.size
        now = replace(p, spent=p.spent + since)
        return Group(*report.screen(now, size.width, size.height, self._speed(p)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            with self.terminal.messages():
                self._live.stop()

    def __call__(self, p: Progress) -> None:
        self.first, self.last, self._looked = self.first or p, p, time.monotonic()
        if self._live is None:
            self._log(p)
        else:
            with self.terminal.messages():
                self._live.refresh()

    def _speed(self, p: Progress) -> float | None:
        """Settings a minute since this search began."""
        assert self.first is not None
        settings, minutes = (
            p.counts.settings - self.first.counts.settings,
            (p.elapsed - self.first.elapsed) / 60,
        )
        return settings / minutes if settings and minutes > 0 else None

    def _log(self, p: Progress) -> None:
        """A line every so often, and at once where the best cell or the phase is another one."""
        when, best, based = self._logged
        now = (p.best.fingerprint if p.best else "", p.counts.told >= p.counts.seeds)
        for message in p.messages[self._told :]:
            lines = message.replace("\n", "\n         ")
            self.terminal.tell(f"{duration(p.spent):>7}  {lines}", "yellow")
        self._told = len(p.messages)
        if p.elapsed - when >= LOG_SECONDS or now != (best, based):
            self._logged = (p.elapsed, *now)
            self.terminal.tell(report.line(p, self._speed(p)))


def run_worker(args: argparse.Namespace, terminal: Terminal) -> int:
    """Works on a search until there is nothing left to do, or until it is told to end."""
    storage = args.storage or default_url(RESULTS, args.name)
    studies.opened(args.name, args.storage)  # says at once where there is no such search
    there = devices.chosen(args.devices)
    _limited(args.workers, there, terminal)
    where = plural(len(pool.places(there, args.workers)), "worker")
    terminal.tell(
        f"{where} on {args.name} ({', '.join(there)}); Ctrl-C stops and returns open trials to the queue"
    )
    posting = AgentConfig(args.name, storage, str(RESULTS), args.data, there, args.workers)
    code = agent.join(posting, lambda message: terminal.tell(message, "yellow"))
    terminal.tell("stopped; open trials were returned to the queue" if code else "nothing is left to do")
    return code
