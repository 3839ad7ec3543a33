"""Box plots of the best settings of each cell, as SVG: a panel for each task, two per line.

A box spans the first to the third quartile of the test accuracies of a cell's best settings, with a line at
the median; whiskers extend to minimum and maximum, and each setting is a dot. The dashed line is the median
of the baseline. Colours show the statement.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from statistics import median, quantiles
from typing import Any

from cellsearch.analysis.compare.judge import Statement
from cellsearch.errors import printable

COLOURS = {
    Statement.BASELINE: "#5f6368", Statement.HELPS: "#009e73", Statement.HURTS: "#d55e00",
    Statement.HARMLESS: "#0072b2", Statement.UNKNOWN: "#aaaaaa",
}  # fmt: skip
ROW, LEFT, RIGHT, TOP, BOTTOM = 19, 120, 16, 44, 34  # pixels: of a cell, and around a panel
PANEL = 330  # pixels of an axis
SPACE = 18  # between two panels
TICKS = 5  # approximate number of ticks on an axis


def svg(found: Mapping[str, Any]) -> str:
    """The figure."""
    tasks = found["tasks"]
    across = min(2, len(tasks))
    wide = LEFT + PANEL + RIGHT
    tall = TOP + ROW * len(found["cells"]) + BOTTOM
    width = across * wide + (across - 1) * SPACE
    height = -(-len(tasks) // across) * tall + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="#202124">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for k, task in enumerate(tasks):
        parts += _panel(task, k % across * (wide + SPACE), k // across * tall)
    at = 8.0
    for said, colour in COLOURS.items():
        parts.append(f'<rect x="{at:g}" y="{height - 18}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(at + 14, height - 9, said.value))
        at += 30 + 6.2 * len(said.value)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(task: Mapping[str, Any], x: float, y: float) -> list[str]:
    rows = [(row, values(row)) for row in task["rows"]]
    every = [value for _, some in rows for value in some]
    low, high, step = axis(min(every, default=0.0), max(every, default=1.0))
    foot = y + TOP + ROW * len(rows)

    def place(value: float) -> float:
        return x + LEFT + PANEL * (value - low) / (high - low)

    title = f"{task['name']}: test accuracy of the best settings"
    parts = [_text(x + LEFT, y + 18, title, 'font-weight="bold"')]
    for k in range(round((high - low) / step) + 1):
        at = place(low + k * step)
        parts.append(_line(at, y + TOP - 8, at, foot, "#e8e8e8"))
        parts.append(_text(at, foot + 14, f"{low + k * step:.{decimals(step)}f}", 'text-anchor="middle"'))
    base = next((some for row, some in rows if row["statement"] == Statement.BASELINE), [])
    if base:
        at = place(median(base))
        parts.append(_line(at, y + TOP - 8, at, foot, "#5f6368", 'stroke-dasharray="3 3"'))
    for k, (row, some) in enumerate(rows):
        middle = y + TOP + ROW * (k + 0.5)
        parts.append(_text(x + LEFT - 8, middle + 4, printable(row["cell"], 18), 'text-anchor="end"'))
        if some:
            parts += _box(list(map(place, some)), middle, COLOURS[Statement(row["statement"])])
        else:
            parts.append(_text(x + LEFT + 4, middle + 4, "all diverged"))
    return parts


def values(row: Mapping[str, Any]) -> list[float]:
    """The test accuracies of the best settings of a cell, ascending."""
    return sorted(row["outcomes"][k]["test_accuracy"] for k in row["best"])


def quartiles(some: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile of ascending values, ends included (as numpy does)."""
    if len(some) < 2:
        return some[0], some[0], some[0]
    first, second, third = quantiles(some, n=4, method="inclusive")
    return first, second, third


def _box(at: Sequence[float], middle: float, colour: str) -> list[str]:
    first, second, third = quartiles(at)
    edge, half = f'stroke="{colour}"', ROW * 0.32
    return [
        _line(at[0], middle, first, middle, colour),
        _line(third, middle, at[-1], middle, colour),
        f'<rect x="{first:.1f}" y="{middle - half:.1f}" width="{max(third - first, 0.5):.1f}" '
        f'height="{2 * half:.1f}" fill="{colour}" fill-opacity="0.25" {edge}/>',
        _line(second, middle - half, second, middle + half, colour, 'stroke-width="2"'),
        *(f'<circle cx="{value:.1f}" cy="{middle:.1f}" r="1.8" fill="{colour}"/>' for value in at),
    ]


def axis(low: float, high: float) -> tuple[float, float, float]:
    """Both ends of an axis over these values and the distance of its ticks, round numbers."""
    span = max(high - low, 1e-3)
    raw = span / TICKS
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first, last = floor(low / step), max(ceil(high / step), floor(low / step) + 1)
    return first * step, last * step, step


def decimals(step: float) -> int:
    """The number of decimals that distinguishes ticks."""
    return max(0, -floor(log10(step) + 1e-9))


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, more: str = "") -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{colour}" fill="none" {more}/>'


def _text(x: float, y: float, content: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(printable(content, 80))}</text>'
