"""The two streams of the command line: data to stdout, messages to stderr; and what either can show.

All text passes one filter: names, equations and messages may come from others. Control and invisible
characters become escapes; user and password of a URL become `…`. Text is never read as markup. On a stream
that is not UTF-8 lines and signs become ASCII ones of the same width; a reader that has gone away is no
error.
"""

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cellsearch.errors import safe
from cellsearch.report.columns import FORMATS, WHOLE, Column

_WORD = re.compile(r"\S+")
_PLAIN = str.maketrans("│─┼╮→■◆●○…–—·━“”‘’×", "|-+.>#*o<~--.=\"\"''x")  # noqa: RUF001


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What an encoder writes for what it does not have."""
    assert isinstance(error, UnicodeEncodeError)
    piece = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(c if c.isascii() else "?" for c in piece), error.end


codecs.register_error("cellsearch.plainly", _plainly)


class _Console(Console):
    """A console with the filter, which leaves a broken pipe to the parent process."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else safe(text), style, control)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a verb writes."""

    out: Console
    err: Console

    @property
    def live(self) -> bool:
        """Whether messages can be redrawn in place."""
        return self.err.is_terminal and not self.err.is_dumb_terminal

    def print(self, lines: Iterable[Text]) -> None:
        """Data, a line each."""
        show(self.out, lines)

    def json(self, value: dict[str, Any]) -> None:
        """Data as one JSON document, in ASCII: control characters in it stay escaped."""
        self.out.file.write(json.dumps(value, indent=2, allow_nan=False) + "\n")

    def table(self, columns: Sequence[Column], form: str) -> None:
        """Data as a table in one of `FORMATS`."""
        self.text(FORMATS[form](columns))

    def text(self, text: str) -> None:
        """Data that is a text of several lines."""
        self.out.file.write(safe(text))

    def tell(self, message: str | Text, style: str = "") -> None:
        """A message; on a terminal its lines break between words. Where it cannot be written, it is lost."""
        lines = (message if isinstance(message, Text) else Text(message, style)).split("\n", allow_blank=True)
        with self.messages():
            show(self.err, (part for line in lines for part in self._broken(line)))

    def note(self, message: str) -> None:
        """A message that stands out."""
        self.tell(message, "yellow")

    @contextmanager
    def messages(self) -> Iterator[None]:
        """Around everything that is written to stderr: a terminal that is gone, or a full disk, ends no
        search. From then on messages go nowhere."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError:
            hush(sys.stderr)

    def _broken(self, line: Text) -> list[Text]:
        """A line in as many as the terminal needs. What is indented is an excerpt or a command, and stays."""
        if not self.err.is_terminal or line.plain.startswith(" ") or line.cell_len <= self.err.width:
            return [line]
        breaks, start = [], 0
        for word in _WORD.finditer(line.plain):
            if word.start() > start and cell_len(line.plain[start : word.end()]) > self.err.width:
                start = word.start()
                breaks.append(start)
        parts = list(line.divide(breaks))
        for part in parts:
            part.rstrip()
        return parts


def show(console: Console, lines: Iterable[Text]) -> None:
    """Lines as they are: never wrapped, never read as markup."""
    if console.is_terminal:
        for line in lines:
            console.print(line, soft_wrap=True)
    else:  # no colours, and for long tables a tenth of the time
        console.file.write("".join(f"{safe(line.plain)}\n" for line in lines))
        console.file.flush()


def open_terminal() -> Terminal:
    """The terminal of this process."""
    return Terminal(_console(sys.stdout), _console(sys.stderr))


def _console(stream: TextIO | None) -> Console:
    if stream is None:  # closed by the parent process
        stream = io.StringIO()
    if isinstance(stream, io.TextIOWrapper):
        with suppress(io.UnsupportedOperation):
            stream.reconfigure(errors="cellsearch.plainly")
    terminal = stream.isatty()
    given = os.environ.get("COLUMNS", "").isdigit() and int(os.environ["COLUMNS"]) > 0
    console = _Console(file=stream, markup=False, emoji=False, highlight=False)
    if not terminal and not given:
        console.width = WHOLE
    return console


def hush(stream: TextIO | None = None) -> None:
    """Nobody reads a stream (stdout) any more: what is still in its buffer goes nowhere, without a complaint
    at exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (stream or sys.stdout).fileno())
        os.close(nowhere)
