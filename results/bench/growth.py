"""Cost as work grows: seconds and memory against members, units, steps, layers and nodes.

    python results/bench/growth.py            measures (about five minutes on a quiet core) and draws
    python results/bench/growth.py --draw     draws again from growth.json

Writes growth.json, growth-time.svg and growth-memory.svg beside itself; drawing needs matplotlib (the extra
`figures`). `--clock cpu` counts the processor time of this process instead of that of the wall, for a machine
that others use; `--quick` measures little, to try it out.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cellsearch.analysis.bench import cells as mutants
from cellsearch.analysis.bench import limits
from cellsearch.analysis.bench.contestants import ours
from cellsearch.analysis.bench.footprint import Case, measured
from cellsearch.analysis.bench.measure import AGREEMENT
from cellsearch.analysis.bench.rows import conditions
from cellsearch.analysis.bench.work import Sizes, make
from cellsearch.dsl import zoo
from cellsearch.dsl.describe import describe
from cellsearch.dsl.graph import Cell
from cellsearch.files import write_text
from cellsearch.study.mutation.mutate import mutate
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.train.model import Shape
from cellsearch.train.resources.memory import memory
from cellsearch.train.settings import Training

HERE = Path(__file__).resolve().parent
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
BASE = Sizes()


@dataclass(frozen=True)
class Point:
    """A measured size; `axis` is what grows."""

    axis: str
    cell: str
    nodes: int
    matrices: int
    K: int
    T: int
    H: int
    layers: int
    seconds: float  # of a training step
    products_s: float  # of its bare matrix products


def time_points(rounds: int, quick: bool) -> Iterable[tuple[str, Cell, Sizes, int]]:
    """What is measured: axis, cell, sizes, rounds."""
    known = {name: zoo.load(name) for name in ("lstm", "mut1")}
    for cell in known.values():
        for hidden in (64,) if quick else (64, 128):
            for count in (1, 4, 20) if quick else (1, 2, 4, 8, 20, 40, 80, 160, 320):
                few = rounds if count * hidden <= 5120 else max(2, rounds // 3)
                yield "K", cell, replace(BASE, population=count, hidden=hidden), few
        for hidden in (29, 64) if quick else (8, 16, 29, 32, 47, 64, 79, 96, 128, 170, 256, 347, 512):
            few = rounds if hidden < 128 else max(2, rounds // 3)
            yield "H", cell, replace(BASE, hidden=hidden), few
        for steps in (5, 35) if quick else (1, 2, 5, 10, 20, 35, 70, 140):
            yield "T", cell, replace(BASE, steps=steps), rounds
        for layers in (1, 2) if quick else (1, 2, 3, 4):
            yield "layers", cell, replace(BASE, layers=layers), rounds
    for cell in of_all_sizes(4 if quick else 30):
        yield "nodes", cell, BASE, max(2, rounds // 2)


def of_all_sizes(count: int) -> list[Cell]:
    """Mutants, each of another number of nodes: children of GRU and LSTM, and their children."""
    found = {16: zoo.load("lstm"), 14: zoo.load("gru")}
    found.update({describe(mutants.load(name)).nodes: mutants.load(name) for name in mutants.MUTANTS})
    for seed in range(400):
        parents = sorted(found)
        rng = np.random.default_rng([2026, seed])
        parent = found[parents[int(rng.integers(len(parents)))]]
        child, _ = mutate(parent, rng, MutationSpec(), Limits(nodes=64), name=f"mutant_{seed}")
        found.setdefault(describe(child).nodes, child)
        if len(found) >= count:
            break
    return [found[nodes] for nodes in sorted(found)]


def measure_time(rounds: int, quick: bool, clock: Callable[[], float]) -> list[Point]:
    """Every point; this program's step and the bare products in turn."""
    points = []
    for axis, cell, sizes, few in time_points(rounds, quick):
        work = make(cell, sizes, "cpu")
        calls = (ours("auto").ready(work), limits.products(work))
        times: tuple[list[float], list[float]] = ([], [])
        for call in calls:
            call()
        for _ in range(few):
            for call, found in zip(calls, times, strict=True):
                begun = clock()
                call()
                found.append(clock() - begun)
        middle = [statistics.median(found) for found in times]
        about = describe(cell)
        at = (sizes.population, sizes.steps, sizes.hidden, sizes.layers)
        points.append(Point(axis, cell.name, about.nodes, about.matrices, *at, *middle))
        print(f"{axis:7} {cell.name:12} {at} {1e3 * middle[0]:.2f} ms", file=sys.stderr)
    return points


def measure_memory(quick: bool) -> list[dict[str, Any]]:
    """Growth of a process that trains, and what was predicted."""
    counts, widths = ((5, 40), (32, 64)) if quick else ((1, 5, 20, 40, 160, 640), (32, 64, 128, 256, 512))
    lengths, depths = ((17, 35), (1, 2)) if quick else ((17, 35, 70, 140, 280), (1, 2, 3, 4))
    cases: list[tuple[str, Case]] = []
    for name in ("lstm", "mut1"):
        base = Case(name, BASE.vocabulary, BASE.layers, BASE.hidden, BASE.population, BASE.steps)
        cases += [("K", replace(base, K=count)) for count in counts]
        cases += [("H", replace(base, H=hidden)) for hidden in widths]
        cases += [("T", replace(base, T=steps)) for steps in lengths]
        cases += [("layers", replace(base, layers=layers)) for layers in depths]
    found = []
    for axis, case in sorted(cases, key=lambda pair: (pair[0], *astuple(pair[1]))):
        done = measured(case)
        done.check_returncode()
        shape = Shape(zoo.load(case.cell), case.vocabulary, case.layers, case.H)
        predicted = memory(shape, case.K, Training(steps=case.T), "cpu").total
        row = asdict(case) | {"axis": axis, "bytes": int(done.stdout), "predicted": predicted}
        found.append(row)
        print(f"{axis:7} {astuple(case)} {row['bytes'] / 1e6:.0f} MB, {predicted / 1e6:.0f}", file=sys.stderr)
    return found


INK, FAINT = "#1f2328", "#d8dee4"
COLOURS = {"lstm": "#0072b2", "mut1": "#d55e00", "other": "#5f6368"}
AXES = {"K": "members K", "H": "units H", "T": "steps T", "layers": "layers", "nodes": "nodes of the cell"}


def style() -> Any:
    """matplotlib, set up."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "cellsearch",
            "figure.facecolor": "white",
            "font.family": "sans-serif",
            "font.size": 10,
            "axes.edgecolor": FAINT,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.grid": True,
            "grid.color": FAINT,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )
    from matplotlib import pyplot

    return pyplot


def panel(ax: Any, axis: str, logarithmic: bool, ticks: Iterable[float], unit: str) -> None:
    """Axes of one picture."""
    ax.set_xlabel(AXES[axis])
    ax.set_ylabel(unit)
    if logarithmic:
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.minorticks_off()
        low, high = ax.get_ylim()
        steps = [m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5)]
        ax.set_yticks([step for step in steps if low <= step <= high])
    ax.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def draw_time(report: dict[str, Any], pyplot: Any) -> None:
    """Milliseconds of a training step for each member."""
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
    flat = list(axes.flat)
    for ax, axis in zip(flat, AXES, strict=False):
        points = [p for p in report["time"] if p["axis"] == axis]
        if axis == "nodes":
            x = [p["nodes"] for p in points]
            ax.plot(x, _each(points, "seconds"), ls="", marker="o", ms=4.5, color=COLOURS["other"])
            ax.plot(x, _each(points, "products_s"), ls="", marker="_", ms=8, color=COLOURS["other"])
            panel(ax, axis, False, range(10, max(x) + 10, 10), "ms a member")
            ax.set_ylim(0)
            continue
        for name in ("lstm", "mut1"):
            for hidden in sorted({p["H"] for p in points}) if axis == "K" else (None,):
                mine = [p for p in points if p["cell"] == name and hidden in (None, p["H"])]
                x, y, colour = [p[axis] for p in mine], _each(mine, "seconds"), COLOURS[name]
                ax.plot(x, y, color=colour, lw=1.6, marker="o", ms=3.5)
                ax.plot(x, _each(mine, "products_s"), color=colour, ls=":", lw=1.2)
                if axis == "K":
                    words = {"ha": "right", "fontsize": 8, "textcoords": "offset points"}
                    ax.annotate(f"H = {hidden}", (x[-1], y[-1]), xytext=(0, 7), **words)
        ticks = {"K": (1, 4, 20, 80, 320), "H": (8, 16, 32, 64, 128, 256, 512), "T": (1, 5, 20, 70, 140)}
        panel(ax, axis, axis != "layers", ticks.get(axis, (1, 2, 3, 4)), "ms a member")
        if axis == "layers":
            ax.set_ylim(0)
    legend(
        flat[5],
        [
            ("lstm", COLOURS["lstm"], "-", "o"),
            ("mut1", COLOURS["mut1"], "-", "o"),
            ("other mutants, by their nodes", COLOURS["other"], "", "o"),
            ("dotted line or bar: bare matrix products", COLOURS["other"], ":", ""),
        ],
    )
    c = report["conditions"]
    size = "K = 20, H = 64, T = 35, B = 20, one layer,\n50 symbols, float32."
    where = f"{c['device']}, one thread,\n{c['clock']} time, {c['rounds']} rounds, {c['date']}"
    note(flat[5], f"One training step. What does not vary:\n{size}\n{where}")
    save(figure, "growth-time.svg")


def _each(points: list[dict[str, Any]], key: str) -> list[float]:
    """Milliseconds of each member."""
    return [1e3 * p[key] / p["K"] for p in points]


def draw_memory(report: dict[str, Any], pyplot: Any) -> None:
    """Megabytes at the peak, measured and predicted."""
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
    flat = list(axes.flat)
    for ax, axis in zip(flat, ("K", "H", "T", "layers"), strict=False):
        for name in ("lstm", "mut1"):
            mine = [p for p in report["memory"] if p["axis"] == axis and p["cell"] == name]
            mine.sort(key=lambda p: p[axis])
            x = [p[axis] for p in mine]
            ax.plot(x, [p["predicted"] / 1e6 for p in mine], color=COLOURS[name], linewidth=1.4)
            ax.plot(x, [p["bytes"] / 1e6 for p in mine], color=COLOURS[name], ls="", marker="o", markersize=4)
        ticks = {"K": (1, 5, 20, 40, 160, 640), "H": (32, 64, 128, 256, 512), "T": (17, 35, 70, 140, 280)}
        panel(ax, axis, axis != "layers", ticks.get(axis, (1, 2, 3, 4)), "MB")
        if axis == "layers":
            ax.set_ylim(0)
    legend(flat[4], [("lstm", COLOURS["lstm"], "-", "o"), ("mut1", COLOURS["mut1"], "-", "o")])
    size = "K = 20, H = 64, T = 35, B = 20, one layer,\n50 symbols, float32."
    what = "Points: growth of a process that trains.\nLines: predicted (train/resources/memory.py)."
    note(flat[4], f"{what}\nWhat does not vary:\n{size}")
    flat[5].axis("off")
    save(figure, "growth-memory.svg")


def legend(ax: Any, lines: list[tuple[str, str, str, str]]) -> None:
    """What the colours mean, in a place of its own."""
    ax.axis("off")
    for name, colour, dash, marker in lines:
        ax.plot([], [], color=colour, ls=dash, marker=marker, markersize=4, label=name)
    ax.legend(loc="upper left", fontsize=9)


def note(ax: Any, text: str) -> None:
    ax.text(0.03, 0.05, text, transform=ax.transAxes, fontsize=9, va="bottom", linespacing=1.5)


def save(figure: Any, name: str) -> None:
    figure.savefig(HERE / name, metadata={"Date": None})
    print(HERE / name)


def main() -> None:
    """Measures and draws."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draw", action="store_true", help="draw again what was measured")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    file = HERE / "growth.json"
    if not args.draw:
        torch.set_num_threads(1)
        about = conditions("cpu", 1, args.rounds, BASE, AGREEMENT) | {"clock": args.clock}
        points = measure_time(args.rounds, args.quick, CLOCKS[args.clock])
        found = measure_memory(args.quick)
        report = {"conditions": about, "time": [asdict(p) for p in points], "memory": found}
        write_text(file, json.dumps(report, indent=1) + "\n")
    pyplot = style()
    report = json.loads(file.read_text(encoding="utf-8"))
    draw_time(report, pyplot)
    draw_memory(report, pyplot)


if __name__ == "__main__":
    main()
