"""Draws `search.svg` and `again.svg` from `measured/`: `python figure.py`."""

import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
COLOURS = {"jozefowicz2015": "#0072b2", "evolution": "#d55e00", "random": "#5f6368"}
DASHES = {"jozefowicz2015": "", "evolution": "", "random": "5 3"}
INK, FAINT, BAND = "#1f2328", "#d8dee4", "#f0f2f4"
FONT = "font-family='system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif'"

Steps = list[tuple[float, float]]  # from each x on, y


def read(name: str) -> Any:
    return json.loads((HERE / "measured" / f"{name}.json").read_text(encoding="utf-8"))


class Panel:
    """A rectangle with axes."""

    def __init__(
        self,
        place: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
    ) -> None:
        self.left, self.top, self.width, self.height = place
        self.xs, self.ys = x, y
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        low, high = self.xs
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value: float) -> float:
        low, high = self.ys
        return self.top + (high - value) / (high - low) * self.height

    def text(
        self,
        x: float,
        y: float,
        words: str,
        anchor: str = "start",
        size: int = 12,
        fill: str = INK,
    ) -> None:
        self.parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' fill='{fill}'>"
            f"{escape(words)}</text>"
        )

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        width: float,
        more: str = "",
    ) -> None:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.parts.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}' "
            f"stroke-linejoin='round' {more}/>"
        )

    def area(
        self,
        above: Sequence[tuple[float, float]],
        below: Sequence[tuple[float, float]],
        colour: str,
    ) -> None:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in [*above, *reversed(below)])
        self.parts.append(f"<polygon points='{path}' fill='{colour}' fill-opacity='0.13'/>")

    def rows(self, low: float, high: float) -> None:
        """A grey band from edge to edge."""
        a, b = self.y(high), self.y(low)
        self.parts.append(
            f"<rect x='{self.left:.1f}' y='{a:.1f}' width='{self.width:.1f}' "
            f"height='{b - a:.1f}' fill='{BAND}'/>"
        )

    def axes(
        self,
        xticks: Sequence[float],
        yticks: Sequence[float],
        label: str,
        form: Callable[[float], str] = str,
    ) -> None:
        for tick in yticks:
            self.line([(self.xs[0], tick), (self.xs[1], tick)], FAINT, 1)
            self.text(self.left - 8, self.y(tick) + 4, f"{tick:.2f}", "end", 11, "#57606a")
        for tick in xticks:
            self.text(
                self.x(tick),
                self.top + self.height + 17,
                form(tick),
                "middle",
                11,
                "#57606a",
            )
        self.line([(self.xs[0], self.ys[0]), (self.xs[1], self.ys[0])], INK, 1)
        self.text(self.left + self.width / 2, self.top + self.height + 36, label, "middle", 12)


def steps(points: Steps, end: float) -> Steps:
    """The corners of a line that jumps."""
    corners: Steps = []
    for (x, y), (after, _) in zip(points, [*points[1:], (end, 0.0)], strict=True):
        corners += [(x, y), (after, y)]
    return corners


def rising(xs: Sequence[float], best: Sequence[float | None], end: float) -> Steps:
    """Where the best score rises, up to `end`."""
    found: Steps = []
    for x, y in zip(xs, best, strict=True):
        if x <= end and y is not None and (not found or y > found[-1][1]):
            found.append((x, y))
    return found


def at(points: Steps, x: float) -> float | None:
    return next((y for begin, y in reversed(points) if begin <= x), None)


def spread(curves: Sequence[Steps]) -> tuple[Steps, Steps, Steps]:
    """Median, least and greatest, from where all have begun."""
    xs = sorted({x for points in curves for x, _ in points})
    rows = [(x, [at(points, x) for points in curves]) for x in xs]
    whole = [(x, [y for y in ys if y is not None]) for x, ys in rows if None not in ys]
    return (
        [(x, median(ys)) for x, ys in whole],
        [(x, min(ys)) for x, ys in whole],
        [(x, max(ys)) for x, ys in whole],
    )


def plot(panel: Panel, found: dict[str, list[Steps]], ends: dict[str, float]) -> None:
    for strategy, curves in found.items():
        colour, end = COLOURS[strategy], ends[strategy]
        middle, least, most = spread(curves)
        if middle:
            panel.area(steps(most, end), steps(least, end), colour)
        for points in curves:
            panel.line(steps(points, end), colour, 0.8, "stroke-opacity='0.45'")
        if middle:
            panel.line(
                steps(middle, end),
                colour,
                2.4,
                f"stroke-dasharray='{DASHES[strategy]}'",
            )


def svg(width: int, height: int, panels: Sequence[Panel], title: str) -> str:
    body = "\n".join(part for panel in panels for part in panel.parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
        f"width='{width}' height='{height}' "
        f"{FONT}>\n<title>{escape(title)}</title>\n<rect width='{width}' height='{height}' fill='white'/>\n"
        f"{body}\n</svg>\n"
    )


def legend(panel: Panel, x: float, y: float, gap: float = 150) -> None:
    for k, (name, colour) in enumerate(COLOURS.items()):
        here = x + k * gap
        panel.parts.append(
            f"<line x1='{here}' x2='{here + 26}' y1='{y}' y2='{y}' stroke='{colour}' stroke-width='2.4' "
            f"stroke-dasharray='{DASHES[name]}'/>"
        )
        panel.text(here + 33, y + 4, name, size=12)


def search() -> None:
    """The best score against cost and against trials."""
    searches = read("curves")["searches"]
    chance = read("noise")["score_of_4"]
    scale = 1e12
    end = min(s["spent"][-1] for s in searches) / scale
    ys = (0.89, 1.03)
    ticks = [0.9, 0.92, 0.94, 0.96, 0.98, 1.0, 1.02]
    left = Panel((56, 62, 400, 250), (0, end), ys)
    most = max(sum(c <= end * scale for c in s["spent"]) for s in searches)
    right = Panel((516, 62, 330, 250), (0, most), ys)
    cost: dict[str, list[Steps]] = {name: [] for name in COLOURS}
    trials: dict[str, list[Steps]] = {name: [] for name in COLOURS}
    ends = dict.fromkeys(COLOURS, float(most))
    for s in searches:
        done = sum(c <= end * scale for c in s["spent"])
        spent = [c / scale for c in s["spent"]]
        cost[s["strategy"]].append(rising(spent, s["best"], end))
        trials[s["strategy"]].append(rising(range(1, done + 1), s["best"][:done], done))
        ends[s["strategy"]] = min(ends[s["strategy"]], done)
    for panel in (left, right):
        panel.rows(chance["low"], chance["high"])
    step = 0.2 if end < 1.2 else 0.5
    marks = [k * step for k in range(int(end / step + 1e-9) + 1)]
    left.axes(marks, ticks, "cost: 10¹² multiply-adds of training", lambda v: f"{v:.1f}")
    apart = 20 if most <= 120 else 50
    right.axes(range(0, most + 1, apart), ticks, "trials")
    for panel, found, until in (
        (left, cost, dict.fromkeys(COLOURS, end)),
        (right, trials, ends),
    ):
        panel.line([(panel.xs[0], 1.0), (panel.xs[1], 1.0)], INK, 1, "stroke-dasharray='2 3'")
        plot(panel, found, until)
        panel.text(panel.left + panel.width - 4, panel.y(1.0) - 5, "GRU", "end", 11)
    told = "grey: what the GRU itself would score, met as a mutant (95%)"
    left.text(
        left.left + left.width - 4,
        left.top + left.height - 8,
        told,
        "end",
        11,
        "#57606a",
    )
    left.text(
        left.left,
        24,
        "Best score so far, three searches each: median, and least to greatest",
        size=14,
    )
    legend(left, left.left, 46)
    (HERE / "search.svg").write_text(
        svg(870, 370, [left, right], "Best score against cost and against trials"),
        encoding="utf-8",
    )


def again() -> None:
    """Scores as searched and on fresh seeds."""
    cells = read("again")["cells"]
    both = [c[when]["score"] for c in cells for when in ("before", "again")]
    low, high = min(both) - 0.01, max(*both, 1.0) + 0.01
    panel = Panel((76, 62, 380, 330), (low, high), (low, high))
    chance = read("noise")["again"]
    panel.rows(chance["low"], chance["high"])
    ticks = [k / 100 for k in range(60, 140, 2) if low <= k / 100 <= high]
    panel.axes(ticks, ticks, "score in the search", lambda v: f"{v:.2f}")
    middle = panel.top + panel.height / 2
    panel.parts.append(f"<g transform='rotate(-90 22 {middle})'>")
    panel.text(22, middle, "score on fresh seeds", "middle")
    panel.parts.append("</g>")
    panel.line([(low, low), (high, high)], "#8c959f", 1, "stroke-dasharray='2 3'")
    for c in cells:
        x, y = panel.x(c["before"]["score"]), panel.y(c["again"]["score"])
        best = c["rank"] == 1
        fill = COLOURS[c["strategy"]] if best else "white"
        panel.parts.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{5 if best else 4}' fill='{fill}' "
            f"stroke='{COLOURS[c['strategy']]}' stroke-width='1.6'/>"
        )
    panel.text(panel.left, 24, "The five best of each search, trained again", size=14)
    for k, (name, colour) in enumerate(COLOURS.items()):
        x = panel.left + 5 + k * 140
        panel.parts.append(f"<circle cx='{x}' cy='46' r='4.5' fill='{colour}'/>")
        panel.text(x + 11, 50, name)
    for k, told in enumerate(("filled: the first of its search", "grey: the GRU itself (95%)")):
        y = panel.top + panel.height - 26 + 16 * k
        panel.text(panel.left + panel.width - 6, y, told, "end", 11, "#57606a")
    panel.line([(low, 1.0), (high, 1.0)], INK, 1, "stroke-dasharray='2 3'")
    panel.text(panel.left + 8, panel.y(1.0) - 5, "GRU", size=11)
    (HERE / "again.svg").write_text(
        svg(480, 450, [panel], "Scores as searched and again on fresh seeds"),
        encoding="utf-8",
    )


if __name__ == "__main__":
    search()
    again()
