"""Draws `language.svg` from `measured.json`: `python figure.py` (needs matplotlib)."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
COLOURS = {"six": "#0072b2", "all": "#d55e00", "strength": "#009e73", "half": "#5f6368"}
LABELS = {"six": "the paper's six rows", "all": "all rows", "strength": "strength", "half": "refine 0.5"}


def main() -> None:
    measured = json.loads((HERE / "measured.json").read_text())
    plt.rcParams |= {"font.size": 9, "svg.hashsalt": "language", "axes.spines.top": False}
    plt.rcParams |= {"axes.spines.right": False}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for one in measured["curves"]:
        curve, variant = one["curve"], one["variant"]
        spent = [cost / 1e12 for cost in curve["spent"]]
        first = one["seed"] == 1
        label = LABELS[variant] if first else None
        left.step(spent, curve["best"], where="post", color=COLOURS[variant], lw=1.2, label=label)
    end = min(one["curve"]["spent"][-1] for one in measured["curves"]) / 1e12
    left.axvline(end, color="#aaaaaa", lw=0.8, ls="--")
    left.set(xlabel="multiply-adds of training, 10¹²", ylabel="best score so far", title="In the search")
    left.legend(frameon=False, fontsize=8)
    gru, *firsts = measured["firsts"]
    unit = {task: sum(row[task] for row in gru["again"]) / len(gru["again"]) for task in gru["again"][0]}
    for k, variant in enumerate(LABELS):
        for one in (one for one in firsts if one["variant"] == variant):
            means = [sum(row[t] for row in one["again"]) / len(one["again"]) / unit[t] for t in unit]
            right.plot(k + 0.15 * (one["seed"] - 2), min(means), "o", color=COLOURS[variant])
    right.axhspan(0.982, 1.004, color="#eeeeee", zorder=0)
    right.axhline(1, color="#aaaaaa", lw=0.8)
    right.set_xticks(range(len(LABELS)), [label.removeprefix("the ") for label in LABELS.values()])
    right.set(ylabel="least ratio to the GRU", title="The first cells again, eight fresh seeds")
    figure.savefig(HERE / "language.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
