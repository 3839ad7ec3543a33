"""CPU seconds of training with subnormal numbers as they are and counted as zero.

    python measure.py > measured.jsonl      a line per cell, task and setting
    python measure.py --show                the table of README.md

Four members of 28 units in one layer, three epochs; the two ways take turns.
"""

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from cellsearch.dsl.zoo import load
from cellsearch.study.space import load_space
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.train import model, steps
from cellsearch.train.evaluate import on_device
from cellsearch.train.model import Shape
from cellsearch.train.resources.subnormal import flushed_on
from cellsearch.train.resources.threads import one_thread

CELLS = (
    "lstm", "gru", "rnn", "irnn", "mut1", "mut2", "mut3", "clockwork", "indrnn", "ran", "sru",
    "min_gru", "rwkv4",
    *(f"greff_{name}" for name in ("v", "nig", "nfg", "nog", "niaf", "noaf", "np", "cifg", "fgr")),
)  # fmt: skip
SETTINGS = ((1.4, 0.25, 2.5), (1.4, 1.0, 2.5), (0.7, 1.0, 5.0))  # init_scale, learning_rate, max_norm
WAYS = {"plain": lambda device: nullcontext(), "flushed": flushed_on}
EPOCHS, MEMBERS, UNITS = 3, 4, 28


def seconds(shape: Shape, data: steps.Data, setting: tuple[float, float, float]) -> list[float]:
    """CPU time of each epoch."""
    scale, rate, norm = setting
    rows = model.first_rows(shape, [scale] * MEMBERS, range(MEMBERS), torch.float32)
    training = steps.Steps(shape, data, rows, torch.full_like(rows[:, 0], norm))
    found = []
    for _ in range(EPOCHS):
        began = time.process_time()
        for _ in training.train(np.full(MEMBERS, rate)):
            pass
        found.append(round(time.process_time() - began, 3))
    return found


def main() -> None:
    one_thread()
    evaluator = TorchEvaluator(load_space("quick"), 1)
    for task in ("arithmetic", "xml"):
        full = evaluator.dataset(task)
        data = on_device(full, 35, "cpu")
        for name in CELLS:
            shape = Shape(load(name), full.vocabulary, 1, UNITS)
            for setting in SETTINGS:
                took = {}
                for way, context in WAYS.items():
                    steps.flushed_on = context
                    took[way] = seconds(shape, data, setting)
                print(json.dumps({"cell": name, "task": task, "setting": setting, **took}), flush=True)


def show() -> None:
    lines = map(json.loads, Path(__file__).with_name("measured.jsonl").read_text().splitlines())
    ratios: dict[str, list[float]] = {}
    for line in lines:
        ratios.setdefault(line["cell"], []).append(sum(line["plain"]) / sum(line["flushed"]))
    for name, found in sorted(ratios.items(), key=lambda item: -max(item[1])):
        print(f"| `{name}` |", " ".join(f"{ratio:.2f}" for ratio in found), "|")


if __name__ == "__main__":
    show() if "--show" in sys.argv else main()
