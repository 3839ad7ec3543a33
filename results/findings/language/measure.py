"""The numbers of this page: `python measure.py search RESULTS`, then `again RESULTS`, then `table`.

search   three searches of each variant of space.yaml, in RESULTS, two at a time
again    the first mutant of each search, and the GRU, with eight fresh seeds on fresh data
table    what they came to
"""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from subprocess import run

import numpy as np

from cellsearch.analysis import cost_curve, noise
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse, show
from cellsearch.study import studies
from cellsearch.study.leaderboard import board
from cellsearch.study.mutation.language import LANGUAGE
from cellsearch.study.space import load_space
from cellsearch.study.workers.evaluator import TorchEvaluator

HERE = Path(__file__).parent
VARIANTS = {
    "six": [],  # the paper's six rows, 1 to 3 edits, a refinement in 0.23 of the trials
    "all": [f"mutation.weights.{row.name}=1" for row in LANGUAGE],
    "strength": ["mutation.size=strength"],
    "half": ["strategy.refine=0.5"],
}
SEEDS = (1, 2, 3)
FRESH = range(3_001, 3_009)  # the first of them makes the data


def search(results: Path) -> None:
    """A variant of one seed is a search of one worker."""

    def one(job: tuple[str, int]) -> None:
        variant, seed = job
        words = [word for change in VARIANTS[variant] for word in ("--set", change)]
        command = [
            sys.executable,
            "-m",
            "cellsearch",
            "search",
            str(HERE / "space.yaml"),
            "--seed",
            str(seed),
        ]
        run([*command, "--name", f"{variant}-{seed}", "--workers", "1", *words], cwd=results, check=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, [(variant, seed) for seed in SEEDS for variant in VARIANTS]))


def found(results: Path) -> list[tuple[str, int, studies.Study]]:
    every = [(variant, seed) for variant in VARIANTS for seed in SEEDS]
    return [(v, s, studies.opened(f"{v}-{s}", None, results / "results")) for v, s in every]


def fresh(work: tuple[str, int]) -> dict[str, float]:
    """The best accuracy of a cell on each task over all settings, with one seed of training."""
    text, seed = work
    space = load_space(HERE / "space.yaml")
    return noise.again(
        TorchEvaluator(space, FRESH[0]), parse(text), [task.name for task in space.tasks], seed
    )


def again(results: Path) -> None:
    firsts, curves = [], []
    for variant, seed, study in found(results):
        rows = [row for row in board.leaderboard(study.store, study.space) if not row.seed]
        firsts.append({"variant": variant, "seed": seed, "score": rows[0].score, "text": rows[0].text})
        whole = cost_curve.curve(
            study.store, study.space, seed, cost_curve.amounts(TorchEvaluator(study.space, seed))
        )
        curves.append({"variant": variant, "seed": seed, "curve": json.loads(cost_curve.as_json(whole))})
    texts = [show(zoo.load("gru")), *(first["text"] for first in firsts)]
    jobs = [(text, seed) for seed in FRESH for text in texts]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        accuracies = list(pool.map(fresh, jobs))
    for k, first in enumerate([{"variant": "gru"}, *firsts]):
        first["again"] = accuracies[k :: len(texts)]
        if k == 0:
            gru = first
    (HERE / "measured.json").write_text(json.dumps({"firsts": [gru, *firsts], "curves": curves}) + "\n")


def mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


def table() -> None:
    """Of each first the ratios to the mean of the GRU, means over the seeds with standard errors."""
    measured = json.loads((HERE / "measured.json").read_text())
    gru, *firsts = measured["firsts"]
    unit = {task: float(np.mean([row[task] for row in gru["again"]])) for task in gru["again"][0]}
    for first in measured["firsts"]:
        ratios = {task: [row[task] / unit[task] for row in first["again"]] for task in unit}
        least = min(float(np.mean(each)) for each in ratios.values())
        told = "  ".join(f"{task} {mean(each)}" for task, each in ratios.items())
        print(
            first["variant"], first.get("seed", ""), round(first.get("score") or 1, 3), f"{least:.3f}", told
        )
    for variant in VARIANTS:
        own = [
            min(float(np.mean([row[t] / unit[t] for row in f["again"]])) for t in unit)
            for f in firsts
            if f["variant"] == variant
        ]
        print(variant, "least ratio of the firsts:", mean(own))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    {"search": search, "again": again, "table": table}[what](*map(Path, rest))
