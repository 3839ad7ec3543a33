"""The progress of a search while it runs, on stderr: a display on a terminal, lines for a log elsewhere."""

import time
from dataclasses import replace
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cellsearch.cli.terminal import Terminal
from cellsearch.errors import printable
from cellsearch.report.formatting import duration
from cellsearch.report.searches import progress as report
from cellsearch.study.leaderboard.progress import Progress

LOG_SECONDS = 15.0  # between two lines of a log
REFRESHES = 2  # of the display, in a second


class Watcher:
    """Shows the progress of a search: called with every look at it."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self.terminal, self.name = terminal, name
        self.first: Progress | None = None
        self.last: Progress | None = None
        self._logged = (-LOG_SECONDS, "", False)  # when, the best cell, whether the baseline was done
        self._logged_messages = 0  # messages
        self._live: Live | None = None
        self._looked = time.monotonic()  # last, or since when there has been nothing to see

    def __enter__(self) -> "Watcher":
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
        for message in p.messages[self._logged_messages :]:
            lines = message.replace("\n", "\n         ")
            self.terminal.tell(f"{duration(p.spent):>7}  {lines}", "yellow")
        self._logged_messages = len(p.messages)
        if p.elapsed - when >= LOG_SECONDS or now != (best, based):
            self._logged = (p.elapsed, *now)
            self.terminal.tell(report.line(p, self._speed(p)))
