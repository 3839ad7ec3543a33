"""HTML for notebooks, and output that is replaced in place.

Names, comments and messages may come from foreign files: all text is escaped here, and control and invisible
characters and the password of a URL are removed, as for a terminal.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from html import escape
from typing import Any

from cellsearch.errors import safe

#: A style word of rich -> CSS that is readable on a light and on a dark page.
STYLES = {
    "bold": "font-weight:bold",
    "italic": "font-style:italic",
    "dim": "opacity:.65",
    "green": "color:#2e9e44",
    "red": "color:#d64541",
    "cyan": "color:#1292a8",
    "magenta": "color:#a64fb8",
    "yellow": "color:#b7860b",
}
_MONO = "font-family:monospace;line-height:1.25;white-space:pre;overflow-x:auto;margin:.3em 0;padding:0"


def escaped(text: str) -> str:
    """`text` as HTML."""
    return escape(safe(text), quote=True)


def styled(text: str, style: str = "") -> str:
    """`text` as HTML in a style of words from `STYLES`; other words change nothing."""
    css = ";".join(STYLES[word] for word in style.split() if word in STYLES)
    return f'<span style="{css}">{escaped(text)}</span>' if css else escaped(text)


def pre(text: str) -> str:
    """Text with its columns and lines preserved."""
    return f'<pre style="{_MONO}">{escaped(text)}</pre>'


def note(text: str, style: str = "") -> str:
    """A paragraph; empty if there is no text."""
    return f'<div style="margin:.3em 0;white-space:pre-wrap">{styled(text, style)}</div>' if text else ""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table. `titles` are text, the cells of `rows` are HTML; `right` are columns of numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        parts = []
        for k, cell in enumerate(cells):
            side = "right" if k in right else "left"
            parts.append(f'<{tag} style="text-align:{side};white-space:nowrap">{cell}</{tag}>')
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(line("td", row) for row in rows)
    head = line("th", [escaped(title) for title in titles])
    return f'<div style="overflow-x:auto"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def live() -> Callable[[str], None] | None:
    """A function that displays HTML in the output of the running cell and replaces its previous output; None
    outside of a notebook."""
    ipython: Any = sys.modules.get("IPython")  # loaded in every notebook
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    handle: Any = None
    last = ""

    def show(html: str) -> None:
        nonlocal handle, last
        if html == last:
            return
        last = html
        shown = ipython.display.HTML(html)
        if handle is None:
            handle = ipython.display.display(shown, display_id=True)
        else:
            handle.update(shown)

    return show
