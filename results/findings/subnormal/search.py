"""Stages of a search trained again, with subnormal numbers as they are and counted as zero.

    python search.py results/NAME/study.db > search.jsonl    a line per stage
    python search.py --show                                  totals

A random sample of the recorded stages of a search with `gates`, its filter excluded; the two ways take turns.
"""

import json
import random
import sqlite3
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from measure import WAYS

from cellsearch.dsl.text import parse
from cellsearch.study.space import load_space
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.train import steps

COUNT = 60
QUERY = """
SELECT c.name, c.text, s.task, s.outcomes FROM cellsearch_stage s
JOIN cellsearch_cell c ON c.study = s.study AND c.fingerprint = s.fingerprint WHERE s.task != 'filter'
"""


def main(file: str) -> None:
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        ((seed,),) = connection.execute("SELECT seed FROM cellsearch_study").fetchall()
        rows = sorted(connection.execute(QUERY).fetchall())
    evaluator = TorchEvaluator(load_space("gates"), seed)
    for name, text, task, recorded in random.Random(1).sample(rows, COUNT):
        cell, outcomes = parse(text), json.loads(recorded)
        settings = [outcome["setting"] for outcome in outcomes]
        evaluator.evaluate(cell, task, settings[:1], seed, lambda doing: None)  # compiles
        line: dict[str, Any] = {
            "cell": name,
            "task": task,
            "settings": len(settings),
            "same": {},
            "seconds": {},
        }
        accuracies = {}
        for way, context in WAYS.items():
            steps.flushed_on = context
            began = time.process_time()
            found = evaluator.evaluate(cell, task, settings, seed, lambda doing: None)
            line["seconds"][way] = round(time.process_time() - began, 3)
            accuracies[way] = [outcome.accuracy for outcome in found]
        known = [outcome["accuracy"] for outcome in outcomes]
        line["same"] = {
            "record": accuracies["plain"] == known,
            "ways": accuracies["plain"] == accuracies["flushed"],
        }
        print(json.dumps(line), flush=True)


def show() -> None:
    lines = [json.loads(line) for line in Path(__file__).with_name("search.jsonl").read_text().splitlines()]
    ratios = sorted(line["seconds"]["plain"] / line["seconds"]["flushed"] for line in lines)
    plain, flushed = (sum(line["seconds"][way] for line in lines) for way in WAYS)
    print(f"{len(lines)} stages, {sum(line['settings'] for line in lines)} settings")
    print(f"CPU seconds {plain:.0f} plain, {flushed:.0f} flushed, ratio {plain / flushed:.2f}")
    largest = " ".join(f"{ratio:.2f}" for ratio in ratios[-5:])
    print(f"ratio of a stage: median {statistics.median(ratios):.2f}, largest {largest}")
    for key in ("record", "ways"):
        print(f"equal accuracies, {key}: {sum(line['same'][key] for line in lines)}")


if __name__ == "__main__":
    show() if "--show" in sys.argv else main(sys.argv[1])
