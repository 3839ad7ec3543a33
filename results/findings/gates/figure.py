"""Draws `gates.svg` from `measured.json`: `python figure.py` (needs matplotlib)."""

import json
from itertools import accumulate
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent


def main() -> None:
    measured = json.loads((HERE / "measured.json").read_text())
    plt.rcParams |= {"font.size": 9, "svg.hashsalt": "gates", "axes.spines.top": False}
    plt.rcParams |= {"axes.spines.right": False}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", width_ratios=[3, 2])
    trials, scores = zip(*measured["scores"], strict=True)
    chance = measured["chance"]
    left.axhspan(chance["middle"], chance["high"], color="#e8e8e8", zorder=0, label="chance, 50% to 95%")
    left.axhline(1, color="#aaaaaa", lw=0.8)
    left.plot(trials, scores, ".", color="#0072b2", ms=3, alpha=0.6, label="a ranked cell")
    left.step(
        trials, list(accumulate(scores, max)), where="post", color="#d55e00", lw=1.2, label="best so far"
    )
    left.set(
        xlabel="trial that proposed the cell",
        ylabel="score (GRU: 1)",
        title="In the search",
        ylim=(0.85, None),
    )
    left.legend(frameon=False, fontsize=8, loc="lower right")
    verified = [row for row in measured["rows"] if row["verdict"]]
    for k, row in enumerate(verified):
        v = row["verdict"]
        right.plot(
            k, row["score"], "o", mfc="none", color="#0072b2", label="in the search" if k == 0 else None
        )
        right.errorbar(
            k, v["ratio"], [[v["ratio"] - v["low"]], [v["high"] - v["ratio"]]], fmt="o", color="#d55e00",
            capsize=3,
            label="verified: fresh seeds, fresh data, test part" if k == 0 else None,
        )  # fmt: skip
    right.axhline(1, color="#aaaaaa", lw=0.8)
    right.set_xticks(range(len(verified)), [row["name"] for row in verified])
    right.set(ylabel="least ratio to the GRU", title="Trained again", ylim=(0.97, None))
    right.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(HERE / "gates.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
