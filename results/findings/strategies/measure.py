"""The numbers of this page: `python measure.py noise | ratios`, `again | firsts | gather RESULTS`.

RESULTS is where the nine searches are, named STRATEGY-SEED.

    noise    the GRU, trained with many seeds on every setting of each task
    again    the five best of each search on a fresh seed and fresh data, beside the GRU on that data
    firsts   the first of each search on that data, with more seeds of training
    ratios   prints what the last two came to
    gather   curves and leaderboards of the searches
"""

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from cellsearch.analysis import cost_curve
from cellsearch.analysis import noise as chance
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse, show
from cellsearch.study import studies
from cellsearch.study.leaderboard import board
from cellsearch.study.space import load_space
from cellsearch.study.workers.evaluator import TorchEvaluator

HERE = Path(__file__).parent
STRATEGIES, SEEDS = ("jozefowicz2015", "evolution", "random"), (1, 2, 3)
TRAINED = range(1_001, 1_017)  # seeds of training, for the noise
FRESH = 2_001  # a study seed that no search had
MORE = range(FRESH + 1, FRESH + 4)
BEST = 5
UNITS = range(
    FRESH, FRESH + 8
)  # seeds of training of the GRU: their mean is the unit of what is trained again
DRAWS = 20_000


def write(name: str, value: dict[str, Any]) -> None:
    (HERE / "measured").mkdir(exist_ok=True)
    (HERE / "measured" / f"{name}.json").write_text(json.dumps(value) + "\n", encoding="utf-8")


def noise() -> None:
    """Fixed data (that of seed 1), one cell, sixteen seeds of training."""
    space = load_space(HERE / "space.yaml")
    lab, gru, rng = TorchEvaluator(space, 1), zoo.load("gru"), np.random.default_rng(0)
    begun = time.process_time()
    tables = {task.name: chance.accuracies(lab, gru, task.name, TRAINED) for task in space.tasks}
    # the unit of a score is the best of the whole grid, as in a search
    units = {name: float(table.max(axis=1).mean()) for name, table in tables.items()}
    count = space.strategy.settings
    found: dict[str, Any] = {
        "seconds": time.process_time() - begun,
        "tasks": {},
        "units": units,
    }
    for name, table in tables.items():
        parts = chance.parts(table, count, DRAWS, rng)
        best = chance.spread(chance.best_of(table, count, DRAWS, rng))
        found["tasks"][name] = {
            "best_of": count, "mean": best.mean, "sd": parts.both, "low": best.low, "high": best.high,
            "sd_settings": parts.settings, "sd_training": parts.training,
            "grid_mean": units[name], "grid_sd": float(table.max(axis=1).std(ddof=1)),
            "table": table.round(4).tolist(),
        }  # fmt: skip
    # a score is divided by a unit that has chance in it too: that of one whole grid
    which = rng.integers(len(TRAINED), size=DRAWS)
    unit = {name: table.max(axis=1)[rng.permutation(which)] for name, table in tables.items()}
    for settings in (count, 2 * count, 3 * count):
        scores = np.min(
            [chance.best_of(table, settings, DRAWS, rng) / unit[name] for name, table in tables.items()],
            axis=0,
        )
        found[f"score_of_{settings}"] = vars_of(chance.spread(scores))
        found[f"highest_of_50_of_{settings}"] = vars_of(
            chance.spread(
                chance.highest(
                    chance.by_chance(tables, units, settings, DRAWS, rng),
                    50,
                    DRAWS,
                    rng,
                )
            )
        )
    # against a unit that is a mean over many seeds, on the whole grid
    whole = chance.by_chance(tables, units, len(space.grid), DRAWS, np.random.default_rng(1))
    highest = chance.highest(whole, 9 * BEST, DRAWS, np.random.default_rng(2))
    found |= {
        "again": vars_of(chance.spread(whole)),
        "highest_again": vars_of(chance.spread(highest)),
    }
    write("noise", found)


def vars_of(spread: chance.Spread) -> dict[str, float]:
    return {
        "mean": spread.mean,
        "sd": spread.sd,
        "low": spread.low,
        "high": spread.high,
    }


def searches(results: Path) -> list[tuple[str, int, studies.Study]]:
    return [(s, seed, studies.opened(f"{s}-{seed}", None, results)) for s in STRATEGIES for seed in SEEDS]


def best(study: studies.Study) -> list[board.Row]:
    """The best mutants."""
    return [row for row in board.leaderboard(study.store, study.space) if not row.seed][:BEST]


def fresh(work: tuple[str, int]) -> dict[str, float]:
    """A cell again, with one seed of training, in a process of its own."""
    text, seed = work
    space = load_space(HERE / "space.yaml")
    return chance.again(TorchEvaluator(space, FRESH), parse(text), [task.name for task in space.tasks], seed)


def again(results: Path) -> None:
    """Every one of the best cells, on the whole grid of every task; the GRU so too, several times."""
    chosen = [(strategy, seed, row) for strategy, seed, study in searches(results) for row in best(study)]
    texts = list(dict.fromkeys(row.text for _, _, row in chosen))
    gru = show(zoo.load("gru"))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        several = list(pool.map(fresh, [(gru, seed) for seed in UNITS]))
        accuracy = dict(zip(texts, pool.map(fresh, [(text, FRESH) for text in texts]), strict=True))
    unit = {task: float(np.mean([found[task] for found in several])) for task in several[0]}
    cells: list[dict[str, Any]] = []
    for strategy, seed, row in chosen:
        now = {task: found / unit[task] for task, found in accuracy[row.text].items()}
        before = {"score": row.score} | {r.task: r.ratio for r in row.tasks}
        cells.append(
            {
                "strategy": strategy,
                "seed": seed,
                "name": row.name,
                "fingerprint": row.fingerprint,
            }
            | {"rank": 1 + sum(c["strategy"] == strategy and c["seed"] == seed for c in cells)}
            | {"settings": [r.settings for r in row.tasks], "before": before}
            | {"again": {"score": min(now.values())} | now}
        )
    write("again", {"seed": FRESH, "gru": several, "unit": unit, "cells": cells})


def firsts(results: Path) -> None:
    """The first of each search with more seeds of training."""
    chosen = {f"{strategy}-{seed}": best(study)[0].text for strategy, seed, study in searches(results)}
    work = [(name, text, seed) for seed in MORE for name, text in chosen.items()]
    accuracy: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for (name, _, _), found in zip(work, pool.map(fresh, [job[1:] for job in work]), strict=True):
            accuracy[name].append(found)
            print(name, found, flush=True)
            write("firsts", {"seeds": list(MORE), "accuracy": accuracy})


def ratios() -> None:
    """Prints the firsts: for each task the mean over all seeds, divided by the GRU's."""
    once, more = (
        json.loads((HERE / "measured" / f"{name}.json").read_text()) for name in ("again", "firsts")
    )
    unit = once["unit"]
    for cell in once["cells"]:
        if cell["rank"] == 1:
            rows = more["accuracy"][f"{cell['strategy']}-{cell['seed']}"]
            found = {
                task: float(np.mean([cell["again"][task], *(row[task] / unit[task] for row in rows)]))
                for task in unit
            }
            told = {task: round(value, 3) for task, value in found.items()}
            print(
                cell["strategy"],
                cell["seed"],
                cell["name"],
                round(min(found.values()), 3),
                told,
            )


def gather(results: Path) -> None:
    """Curves and leaderboards."""
    curves, boards = [], []
    for strategy, seed, study in searches(results):
        amounts = cost_curve.amounts(TorchEvaluator(study.space, study.facts.seed))
        whole = cost_curve.curve(study.store, study.space, study.facts.seed, amounts)
        curves.append(json.loads(cost_curve.as_json(whole)))
        rows = board.leaderboard(study.store, study.space)[:12]
        boards.append(
            {
                "strategy": strategy, "seed": seed, "units": dict(study.facts.units),
                "rows": [
                    {"name": row.name, "score": row.score, "parameters": row.parameters, "text": row.text}
                    | {"ratios": {r.task: r.ratio for r in row.tasks}, "settings": row.settings}
                    for row in rows
                ],
            }
        )  # fmt: skip
    write("curves", {"searches": curves})
    write("leaderboards", {"searches": boards})


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    {
        "noise": noise,
        "again": again,
        "firsts": firsts,
        "ratios": ratios,
        "gather": gather,
    }[what](*map(Path, rest))
