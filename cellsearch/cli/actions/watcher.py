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
    """Shows the progress of a search; called after each poll."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self.terminal, self.name = terminal, name
        self.first: Progress | None = None
        self.last: Progress | None = None
        self._logged = (-LOG_SECONDS, "", False)  # time, best cell, whether the baseline was done
        self._logged_messages = 0  # messages
        self._live: Live | None = None
        self._looked = time.monotonic()  # time of the last line, or of the start

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
        """Before the first poll."""
        return Text(f"{printable(self.name)}: preparing the data", "dim")

    def _shown(self) -> RenderableType:
        """The current display. Its clock advances between polls."""
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
        """Settings per minute since this command started."""
        assert self.first is not None
        settings, minutes = (
            p.counts.settings - self.first.counts.settings,
            (p.elapsed - self.first.elapsed) / 60,
        )
        return settings / minutes if settings and minutes > 0 else None

    def _log(self, p: Progress) -> None:
        """Prints a line periodically, and at once when the best cell or the phase changes."""
        when, best, based = self._logged
        now = (p.best.fingerprint if p.best else "", p.counts.told >= p.counts.seeds)
        for message in p.messages[self._logged_messages :]:
            lines = message.replace("\n", "\n         ")
            self.terminal.tell(f"{duration(p.spent):>7}  {lines}", "yellow")
        self._logged_messages = len(p.messages)
        if p.elapsed - when >= LOG_SECONDS or now != (best, based):
            self._logged = (p.elapsed, *now)
            self.terminal.tell(report.line(p, self._speed(p)))
