"""The numbers of this page: `python simulate.py error | searched | power | band [BOARDS]`, in measured.json.

Boards are scripted: nothing is trained. The result of a training of the GRU is drawn from the 16 that
`results/findings/strategies` has measured, of each of 12 settings on three tasks.

    error     five cells that equal the GRU, at the setting at which the GRU was best; all looks are taken
    searched  the same, each at the setting that its own search of four settings has found
    power     one of five cells is 3% better on every task; as many repeats as `verify` asks for after eight
    band      how often the best of a search of equal cells is above the band of chance
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellsearch.study.scoring import chance, verdicts
from cellsearch.study.scoring.sequential import LOOKS
from cellsearch.study.scoring.verdicts import Call, plan, planned, spread_of

HERE = Path(__file__).parent
NOISE = HERE.parent / "strategies" / "measured" / "noise.json"
CELLS, SETTINGS, ROWS, BETTER = 50, 4, 5, 0.03
Tables = dict[str, NDArray[np.float64]]  # task -> accuracies [seeds, settings]
Settings = dict[str, int]


def tables() -> Tables:
    tasks = json.loads(NOISE.read_text(encoding="utf-8"))["tasks"]
    return {task: np.array(found["table"]) for task, found in tasks.items()}


def searched(of: Tables, rng: np.random.Generator) -> tuple[Settings, list[Settings]]:
    """The settings at which a search finds the GRU best, and those of its five best cells, equal to it."""
    base, units = {}, {}
    for task, table in of.items():
        found = table[rng.integers(len(table), size=table.shape[1]), np.arange(table.shape[1])]
        base[task], units[task] = int(found.argmax()), found.max()
    chosen: dict[str, NDArray[np.int64]] = {}
    ratios = []
    for task, table in of.items():
        which = rng.permuted(np.tile(np.arange(table.shape[1]), (CELLS, 1)), axis=1)[:, :SETTINGS]
        found = table[rng.integers(len(table), size=which.shape), which]
        chosen[task] = which[np.arange(CELLS), found.argmax(axis=1)]
        ratios.append(found.max(axis=1) / units[task])
    first = np.argsort(np.min(ratios, axis=0))[::-1][:ROWS]
    return base, [{task: int(chosen[task][k]) for task in of} for k in first]


def repeats(
    of: Tables, at: Settings, looks: int, base: bool, rng: np.random.Generator, better: float = 0.0
) -> dict[str, list[list[float | None]]]:
    """Rounds of trainings at a setting of each task."""
    return {
        task: [
            list((1 + better) * table[rng.integers(len(table), size=planned(look, base)), at[task]])
            for look in range(looks)
        ]
        for task, table in of.items()
    }


def calls(of: Tables, rng: np.random.Generator, own: bool) -> list[Call]:
    """The calls of one board of equal cells, after all looks; `own`: every cell at its own settings."""
    base, cells = searched(of, rng)
    baseline = repeats(of, base, len(LOOKS), True, rng)
    known = {
        str(k): repeats(of, cell if own else base, len(LOOKS), False, rng) for k, cell in enumerate(cells)
    }
    return [decision.call for decision in verdicts.decisions(known, baseline).values()]


def error(of: Tables, boards: int, rng: np.random.Generator, own: bool = False) -> dict[str, Any]:
    found = [calls(of, rng, own) for _ in range(boards)]
    return {
        "boards": boards,
        "any": share([any(c != Call.LEVEL for c in board) for board in found]),
        "above": share([Call.ABOVE in board for board in found]),
        "below": share([Call.BELOW in board for board in found]),
    }


def power(of: Tables, boards: int, rng: np.random.Generator) -> dict[str, Any]:
    """After eight repeats `verify` says how many show 3%; they are made."""
    right, wrong, asked = [], [], []
    eight = LOOKS.index(8) + 1
    for _ in range(boards):
        base, _ = searched(of, rng)
        baseline = repeats(of, base, len(LOOKS), True, rng)
        known = {
            str(k): repeats(of, base, len(LOOKS), False, rng, BETTER if k == 0 else 0.0) for k in range(ROWS)
        }
        spreads = [spread for t in of if (spread := spread_of(baseline[t][:eight]))]
        enough = plan(spreads, ROWS) or LOOKS[-1]
        asked.append(enough if enough in LOOKS else 0)
        looks = max(eight, LOOKS.index(enough) + 1)
        seen = {mark: {t: rounds[:looks] for t, rounds in its.items()} for mark, its in known.items()}
        found = verdicts.decisions(seen, {t: rounds[:looks] for t, rounds in baseline.items()})
        right.append(found["0"].call == Call.ABOVE)
        wrong.append(any(found[str(k)].call != Call.LEVEL for k in range(1, ROWS)))
    return {
        "boards": boards, "better": BETTER, "above": share(right), "another cell called": share(wrong),
        "repeats asked for": {str(n): asked.count(n) for n in LOOKS if n in asked},
    }  # fmt: skip


def band(of: Tables, boards: int, rng: np.random.Generator) -> dict[str, Any]:
    """Noise as `verify` measures it; accuracies of the GRU from one training of each setting."""
    over, above, highs = [], [], []
    for _ in range(boards):
        found, ratios = [], []
        for table in of.values():
            own = table[rng.integers(len(table), size=table.shape[1]), np.arange(table.shape[1])]
            repeated = table[rng.integers(len(table), size=16), own.argmax()]
            noise = float(np.std(np.log(repeated), ddof=1))
            found.append(chance.supposed(list(own), noise * own.max(), float(own.max())))
            which = rng.permuted(np.tile(np.arange(table.shape[1]), (CELLS, 1)), axis=1)[:, :SETTINGS]
            ratios.append(table[rng.integers(len(table), size=which.shape), which].max(axis=1) / own.max())
        known = chance.band(found, {(SETTINGS,) * len(of): CELLS})
        assert known is not None
        best = float(np.min(ratios, axis=0).max())
        over.append(best > known.high)
        above.append(best > known.middle)
        highs.append(known.high)
    return {
        "boards": boards, "above the band": share(over), "above its median": share(above),
        "band": [round(float(q), 4) for q in np.quantile(highs, (0.05, 0.5, 0.95))],
    }  # fmt: skip


def share(found: Sequence[bool]) -> dict[str, float]:
    """A share with its 95% interval (Wilson 1927)."""
    n, p, z = len(found), sum(found) / len(found), 1.96
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return {"share": round(p, 4), "low": round(low, 4), "high": round(high, 4)}


KINDS: dict[str, tuple[Callable[..., dict[str, Any]], int, dict[str, bool]]] = {
    "error": (error, 5_000, {}),
    "searched": (error, 2_000, {"own": True}),
    "power": (power, 2_000, {}),
    "band": (band, 1_000, {}),
}

if __name__ == "__main__":
    kind = sys.argv[1]
    make, boards, options = KINDS[kind]
    boards = int(sys.argv[2]) if len(sys.argv) > 2 else boards
    begun = time.process_time()
    result = make(tables(), boards, np.random.default_rng(1), **options)
    result["cpu_seconds"] = round(time.process_time() - begun, 1)
    file = HERE / "measured.json"
    there = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(there | {kind: result}, indent=1) + "\n", encoding="utf-8")
    print(kind, json.dumps(result))
