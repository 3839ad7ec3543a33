"""The output of the command line: data to stdout, messages to stderr.

One filter handles all text, since names, equations and messages may be untrusted. Control and invisible
characters become escapes; user and password of a URL become `…`. Text is never parsed as markup. On a stream
that is not UTF-8, lines and symbols become ASCII of the same width. A closed pipe is not an error.
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
    """ASCII replacements for characters that an encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    piece = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(c if c.isascii() else "?" for c in piece), error.end


codecs.register_error("cellsearch.plainly", _plainly)


class _Console(Console):
    """A console with the filter; raises BrokenPipeError."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else safe(text), style, control)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class Terminal:
    """The streams that a verb writes to."""

    out: Console
    err: Console

    @property
    def live(self) -> bool:
        """Whether messages can be redrawn in place."""
        return self.err.is_terminal and not self.err.is_dumb_terminal

    def print(self, lines: Iterable[Text]) -> None:
        """Prints lines of data."""
        show(self.out, lines)

    def json(self, value: dict[str, Any]) -> None:
        """Prints one JSON document in ASCII, so that control characters stay escaped."""
        self.out.file.write(json.dumps(value, indent=2, allow_nan=False) + "\n")

    def table(self, columns: Sequence[Column], form: str) -> None:
        """Prints a table in one of `FORMATS`."""
        self.text(FORMATS[form](columns))

    def text(self, text: str) -> None:
        """Prints data of several lines."""
        self.out.file.write(safe(text))

    def tell(self, message: str | Text, style: str = "") -> None:
        """Prints a message, wrapped between words on a terminal. Drops it if stderr cannot be written."""
        lines = (message if isinstance(message, Text) else Text(message, style)).split("\n", allow_blank=True)
        with self.messages():
            show(self.err, (part for line in lines for part in self._broken(line)))

    def note(self, message: str) -> None:
        """Prints a highlighted message."""
        self.tell(message, "yellow")

    @contextmanager
    def messages(self) -> Iterator[None]:
        """Guards writes to stderr: a closed terminal or a full disk must not end a search. Later messages are
        dropped."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError:
            hush(sys.stderr)

    def _broken(self, line: Text) -> list[Text]:
        """A line, wrapped to the terminal. Indented lines are excerpts or commands and are not wrapped."""
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
    """Prints lines without wrapping or markup."""
    if console.is_terminal:
        for line in lines:
            console.print(line, soft_wrap=True)
    else:  # without colours; ten times faster for long tables
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
    """Discards the buffer of a stream (stdout) without a reader, so that Python reports no error at exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (stream or sys.stdout).fileno())
        os.close(nowhere)
