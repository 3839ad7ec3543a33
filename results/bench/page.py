"""Figures and tables from `bench.json`: `python results/bench/page.py [FILE]`.

Writes step.svg and compiling.svg beside itself, and in the README here and in that of the project what stands
between `<!-- bench NAME -->` and `<!-- /bench -->`; no number there is typed by hand. Drawing needs
matplotlib (the extra `figures`).
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGES = (HERE / "README.md", HERE.parents[1] / "README.md")

#: Columns of the tables: a heading, and the row that it is about (where it ends in *, the first such row).
COLUMNS = (
    ("JAX by hand", "JAX by hand, lax.map over members"),
    ("JAX vmap", "JAX, vmap of a scan"),
    ("torch.nn", "torch.nn.*"),
    ("gates fused by hand", "eager module, gates fused by hand"),
    ("eager module", "eager module, as exported"),
    ("torch vmap", "torch.func.vmap over members"),
    ("bare products", "bare products, as BLAS calls"),
    ("by symbol", "bare products by symbol, as BLAS calls"),
)
SHORT = COLUMNS[:5]
NONE = "\N{EN DASH}"
Rows = Sequence[Mapping[str, Any]]


def sizes(found: Mapping[str, Any]) -> list[Rows]:
    """The rows of each cell and size, this program first."""
    return [list(g) for _, g in groupby(found["rows"], lambda row: (row["cell"], row["H"], row["V"]))]


def named(rows: Rows, name: str) -> Mapping[str, Any] | None:
    """The row of a name, None where it was not measured."""
    start = name.removesuffix("*")
    return next(
        (r for r in rows if (r["what"].startswith(start) if name != start else r["what"] == name)), None
    )


def share(row: Mapping[str, Any] | None) -> str:
    """The share of the peak."""
    return NONE if row is None or row["peak_share"] is None else f"{row['peak_share']:.0%}"


def steps(found: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> list[str]:
    """A line for each cell and size: this program, then how many times as long the others take."""
    heads = ["cell", "H", "V", "step", "members/s", "of the peak", *(head for head, _ in columns)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for rows in sizes(found):
        ours = rows[0]
        others = [named(rows, name) for _, name in columns]
        cells = [
            f"`{ours['cell']}`", f"{ours['H']}", f"{ours['V']:,}", f"{ours['median_s'] * 1e3:,.1f} ms",
            f"{ours['members_per_s']:,.0f}", share(ours),
            *(NONE if r is None else f"{r['ratio']:.2f}" for r in others),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def shares(found: Mapping[str, Any]) -> list[str]:
    """The share of the peak that everyone's products reach."""
    columns = (("cellsearch", "cellsearch (*"), *COLUMNS)
    lines = [
        f"| cell | H | V | {' | '.join(head for head, _ in columns)} |",
        "|---" * (3 + len(columns)) + "|",
    ]
    for rows in sizes(found):
        cells = [f"`{rows[0]['cell']}`", str(rows[0]["H"]), f"{rows[0]['V']:,}"]
        lines.append(f"| {' | '.join([*cells, *(share(named(rows, name)) for _, name in columns)])} |")
    return lines


def conditions(found: Mapping[str, Any]) -> list[str]:
    """One paragraph."""
    c = found["conditions"]
    rows = found["rows"][0]
    jax = f", jax {c['jax']}" if "jax" in c else ""
    peak = f"{c['peak_gflop_per_s']:,.0f} GFLOP/s" if "peak_gflop_per_s" in c else "not measured"
    return [
        f"Conditions: {c['date']}, commit {c['commit'] or 'unknown'}, one thread on {c['device']},"
        f" {c['cores']} cores, {c.get('instructions', 'no C compiler')}, {c.get('compiler', '')};",
        f"peak of float32 multiply-adds {peak}, measured then; its BLAS ({c['blas']}) multiplies 1024 x 1024",
        f"matrices at {c['blas_gflop_per_s']:,.0f} GFLOP/s; torch {c['torch']}{jax}; {c['clock']};"
        f" K = {rows['K']}, B = {rows['B']}, T = {rows['T']}, one layer, medians.",
    ]


def compiling(found: Mapping[str, Any]) -> list[str]:
    """A line for everyone who compiles."""
    if not found.get("compiling"):
        return ["Not measured."]
    lines = ["| | a new cell | another K, H, layers |", "|---|---|---|"]
    for row in found["compiling"]:
        lines.append(
            f"| `{row['cell']}`: {row['what']} | {row['new_cell_s']:.2f} s | {row['other_shape_s']:.2f} s |"
        )
    return lines


def end_to_end(found: Mapping[str, Any]) -> list[str]:
    """A sentence."""
    if "end_to_end" not in found:
        return ["Not measured."]
    e = found["end_to_end"]
    shorter = f" ({', '.join(f'`{text}`' for text in e['overrides'])})" if e["overrides"] else ""
    return [
        f"`quick`{shorter}, {e['trials']} trials, {e['settings']} trainings:",
        f"**{e['cpu_s']:.1f} CPU seconds by cellsearch, {e['plain_cpu_s']:.1f} by the script:"
        f" {e['ratio']:.1f} times as many.**",
        f"Epochs {e['epochs']} and {e['plain_epochs']}, mean accuracy {e['mean_accuracy']:.3f} and"
        f" {e['plain_mean_accuracy']:.3f} (other first weights); the script has {e['plain_lines']} lines.",
    ]


def short(found: Mapping[str, Any]) -> list[str]:
    """What the project's README says."""
    lines = [*steps(found, SHORT), "", *conditions(found), ""]
    costs = [f"{row['what']} {row['new_cell_s']:.2f} s" for row in found.get("compiling", ())]
    if costs:
        lines += [
            "**Compile time decides a search**: thousands of cells are trained once, many for seconds.",
            f"CPU seconds before the first step of an LSTM: {'; '.join(costs)}.", "",
        ]  # fmt: skip
    if "end_to_end" in found:
        e = found["end_to_end"]
        less = ", with less data and fewer epochs," if e["overrides"] else ""
        lines += [
            f"**A search end to end**: {e['trials']} trials of `quick`{less} take {e['cpu_s']:.1f} CPU",
            f"seconds, and {e['plain_cpu_s']:.1f} ({e['ratio']:.1f} times as many) by a script with Optuna",
            "and eager modules, on the same cells, settings and data.",
        ]
    return lines


BLOCKS = {
    "conditions": conditions,
    "steps": lambda found: steps(found, COLUMNS),
    "shares": shares,
    "compiling": compiling,
    "end_to_end": end_to_end,
    "short": short,
}


def rewritten(text: str, found: Mapping[str, Any]) -> str:
    """A page with its blocks from the measurement. KeyError where a block has an unknown name."""
    pattern = re.compile(r"(<!-- bench (\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
    return pattern.sub(lambda m: m[1] + "\n".join(["", *BLOCKS[m[2]](found), "", ""]) + m[3], text)


def draw(found: Mapping[str, Any]) -> None:
    """The two figures."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams |= {"svg.hashsalt": "cellsearch", "font.size": 9, "axes.spines.top": False}
    mpl.rcParams |= {"axes.spines.right": False, "figure.constrained_layout.use": True}
    groups = sizes(found)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 0.5 * len(groups) + 2.2), sharey=True)
    shown = (("cellsearch", "cellsearch (*"), *COLUMNS[:5])
    colours = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#8d96a3", "#b9c0c9")
    for at, rows in enumerate(groups):
        for k, (name, what) in enumerate(shown):
            row = named(rows, what)
            if row is None:
                continue
            place, height = at + 0.13 * (k - 2.5), 0.12
            left.barh(place, row["ratio"], height, color=colours[k], label=name if at == 0 else None)
            right.barh(place, 100 * (row["peak_share"] or 0), height, color=colours[k])
    labels = [
        f"{r[0]['cell']}  H={r[0]['H']}" + (f", V={r[0]['V']:,}" if r[0]["V"] > 50 else "") for r in groups
    ]
    left.set_yticks(range(len(groups)), labels)
    left.invert_yaxis()
    left.set_xlabel("CPU time of a training step, cellsearch = 1")
    right.set_xlabel("share of the core's multiply-adds that products reach, %")
    right.set_xlim(0, 100)
    figure.legend(loc="outside upper center", ncols=len(shown), frameon=False)
    figure.savefig(HERE / "step.svg", metadata={"Date": None})
    rows = found.get("compiling")
    if not rows:
        return
    figure, ax = plt.subplots(figsize=(8, 0.45 * len(rows) + 1.2))
    for k, row in enumerate(rows):
        ax.barh(k - 0.18, row["new_cell_s"], 0.34, color=colours[0], label="a new cell" if k == 0 else None)
        other = "another K, H, layers" if k == 0 else None
        ax.barh(k + 0.18, row["other_shape_s"], 0.34, color=colours[2], label=other)
    ax.set_yticks(range(len(rows)), [f"{row['what']}" for row in rows])
    ax.invert_yaxis()
    ax.set_xlabel("CPU seconds before the first step")
    ax.legend(frameon=False)
    figure.savefig(HERE / "compiling.svg", metadata={"Date": None})


def main() -> None:
    """Figures and pages."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "bench.json"
    found = json.loads(file.read_text())
    draw(found)
    for page in PAGES:
        page.write_text(rewritten(page.read_text(), found))


if __name__ == "__main__":
    main()
