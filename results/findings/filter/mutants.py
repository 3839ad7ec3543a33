"""How many mutants pass the filter of `jozefowicz2015`, by size of step; how many are refused before it.

    python mutants.py refused            how many attempts at 2,000 mutants are refused, by condition
    python mutants.py train FILE COUNT   COUNT mutants of each size, each with one random setting
    python mutants.py table FILE         the shares that pass

Mutants are of `lstm` and `gru` in turn. `train` appends a line of JSON for each to FILE, the sizes in turn,
and goes on where FILE ends. It trains at most EPOCHS epochs, not the 200 of the space: a mutant that learns
nothing goes on to the last one.
"""

import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellsearch.dsl import zoo
from cellsearch.dsl.text import show
from cellsearch.study.mutation.mutate import breed
from cellsearch.study.space import load_space
from cellsearch.tasks import build
from cellsearch.train.evaluate import evaluate
from cellsearch.train.resources.threads import one_thread

SIZES = ("strength", "edits")
EPOCHS = 50
SPACE = load_space("jozefowicz2015")
assert SPACE.filter is not None
FILTER = SPACE.filter


def refused() -> None:
    for size in SIZES:
        spec = replace(SPACE.mutation, size=size)
        for seed in SPACE.seeds:
            words, edits, strengths = Counter[str](), Counter[int](), []
            for k in range(2_000):
                child = breed(zoo.load(seed), np.random.default_rng((k, 1)), spec, SPACE.limits)
                words.update(dict(child.refused))
                edits[min(len(child.edits), 9)] += 1
                strengths.append(child.strength or 0.0)
            attempts = 2_000 + words.total()
            shares = ", ".join(f"{word} {count / attempts:.1%}" for word, count in words.most_common())
            print(f"{size}, {seed}: {attempts} attempts; {shares}; mean p {np.mean(strengths):.3f}")
            print("  edits", {n: f"{count / 2_000:.1%}" for n, count in sorted(edits.items())})


def train(file: Path, count: int) -> None:
    one_thread()
    data = build(FILTER.task, FILTER.options, batch=FILTER.training.batch, seed=1, data=None)
    training = replace(FILTER.training, max_epochs=EPOCHS)
    done = len(file.read_text().splitlines()) if file.exists() else 0
    for k in range(done, 2 * count):
        rng = np.random.default_rng((k, 0))
        size, parent = SIZES[k % 2], SPACE.seeds[k // 2 % 2]
        child = breed(zoo.load(parent), rng, replace(SPACE.mutation, size=size), SPACE.limits)
        setting = int(rng.integers(len(FILTER.grid)))
        began = time.process_time()
        (found,) = evaluate(
            child.cell, data, FILTER.grid, [setting], training, seed=1, stop_at=FILTER.accuracy
        )
        row = {
            "size": size, "parent": parent, "edits": len(child.edits), "strength": child.strength,
            "setting": found.setting, "status": found.status, "accuracy": found.accuracy,
            "trained": found.trained, "seconds": round(time.process_time() - began, 1),
            "text": show(child.cell),
        }  # fmt: skip
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


def wilson(passed: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share."""
    share, square = passed / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    half = (share * (1 - share) / count + square / count / 4) ** 0.5 * z / (1 + square)
    return middle - half, middle + half


def table(file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for size in SIZES:
        for parents in (SPACE.seeds, *((seed,) for seed in SPACE.seeds)):
            own = [row for row in rows if row["size"] == size and row["parent"] in parents]
            passed = sum((row["accuracy"] or 0) >= FILTER.accuracy for row in own)
            low, high = wilson(passed, len(own))
            diverged = sum(row["status"] == "diverged" for row in own)
            print(
                f"{size}, of {' and '.join(parents)}: {passed} of {len(own)} pass, {passed / len(own):.1%}, "
                f"95% {low:.1%} to {high:.1%}; {diverged} diverged"
            )
        for n in range(1, 6):
            own = [row for row in rows if row["size"] == size and row["edits"] == n]
            print(
                f"  {n} edits:", sum((row["accuracy"] or 0) >= FILTER.accuracy for row in own), "of", len(own)
            )


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    {"refused": refused, "train": lambda f, n: train(Path(f), int(n)), "table": lambda f: table(Path(f))}[
        what
    ](*rest)
