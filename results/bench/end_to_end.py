"""A search end to end: `quick` by this program, and by `plain_search.py`: the same cells, settings and data.

`python results/bench/end_to_end.py [--full] [--trials N]` prints what both took as JSON: CPU seconds of a
process and all that it started, imports and compilers included, without kernels from before. Each on one
thread, one after the other. Proposing costs the plain script nothing: it reads the cells from a file.
Without `--full` the tasks have a quarter of their symbols and settings half of their epochs, which favours
the script: what this program spends once (imports, compilers, the study) stays the same.
"""

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellsearch.dsl.text import parse
from cellsearch.exporters.torch.source import torch_source
from cellsearch.study.space import Space, load_space
from cellsearch.study.space.model import FILTER
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.train.settings import values

HERE = Path(__file__).parent
SEED, TRIALS = 1, 2
#: What makes `quick` shorter, so that the plain script ends in a minute or two.
SHORTER = (
    "training.max_epochs=4",
    *(f"tasks.{k}.options.train={size}" for k, size in enumerate((15_000, 20_000, 20_000))),
    *(f"tasks.{k}.options.{part}=2500" for k in range(3) for part in ("valid", "test")),
)
TINY = (*SHORTER, "grid.init_scale=[1]", "grid.learning_rate=[1]", "strategy.settings=1")  # a trial run
KEYS = ("steps", "max_epochs", "patience", "halvings", "factor")  # of the training of a stage


def run(command: list[str], folder: Path) -> tuple[float, float, str]:
    """CPU seconds, seconds on the wall and output of a process with all that it starts."""
    own = {"CELLSEARCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **own}, cwd=folder, capture_output=True, text=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall, done.stdout


def recorded(folder: Path, space: Space) -> tuple[list[dict[str, Any]], list[float], int]:
    """The trials of the search in order, the accuracy of every setting, and the epochs in all; writes the
    modules."""
    base = sqlite3.connect(folder / "results" / "quick" / "study.db")
    cells = dict(base.execute("select fingerprint, text from cellsearch_cell"))
    rows = base.execute(
        "select trial, piece, task, fingerprint, outcomes from cellsearch_stage order by trial, piece"
    ).fetchall()
    base.close()
    order = [FILTER, *(task.name for task in space.tasks)]
    trials: dict[int, dict[str, Any]] = {}
    accuracies, epochs = [], 0
    for trial, _, task, mark, outcomes in sorted(rows, key=lambda row: (row[0], order.index(row[2]), row[1])):
        if trial not in trials:
            source = torch_source(parse(cells[mark]))
            (folder / f"cell_{trial}.py").write_text(source)
            name = [line for line in source.splitlines() if line.startswith("class ")][-1]
            name = name.removeprefix("class ").partition("(")[0]
            trials[trial] = {"module": f"cell_{trial}.py", "class": name, "stages": []}
        found = json.loads(outcomes)
        accuracies += [o["accuracy"] or 0.0 for o in found]
        epochs += sum(o["trained"] for o in found)
        settings = [values(o["setting"]) | {"hidden": o["hidden"]} for o in found]
        trials[trial]["stages"].append({"task": task, "settings": settings})
    return [trials[trial] for trial in sorted(trials)], accuracies, epochs


def stages(folder: Path, space: Space) -> dict[str, dict[str, Any]]:
    """What the plain script needs of each stage; writes the data."""
    evaluator = TorchEvaluator(space, SEED)
    found = {}
    for name in (FILTER, *(task.name for task in space.tasks)):
        stage, data = evaluator.stage(name), evaluator.dataset(name)
        arrays = {
            f"{part}_{kind}": getattr(getattr(data, part), kind)
            for part in ("train", "valid") for kind in ("inputs", "targets")
        }  # fmt: skip
        np.savez(folder / f"{name}.npz", **arrays)
        found[name] = {key: getattr(stage.training, key) for key in KEYS}
        stop = stage.accuracy if space.filter is stage else 2.0  # none reaches it
        found[name] |= {"vocabulary": data.vocabulary, "stop_at": stop}
    return found


def measure(trials: int, overrides: Sequence[str] = SHORTER) -> dict[str, Any]:
    """Both, one after the other."""
    space = load_space("quick", overrides)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        search = [sys.executable, "-m", "cellsearch", "search", "quick", "--workers", "1"]
        search += [word for text in overrides for word in ("--set", text)]
        cpu, wall, _ = run([*search, "--seed", str(SEED), "--trials", str(trials)], folder)
        plan, accuracies, epochs = recorded(folder, space)
        (folder / "plan.json").write_text(json.dumps({"trials": plan, "stages": stages(folder, space)}))
        plain_cpu, plain_wall, out = run([sys.executable, str(HERE / "plain_search.py"), name], folder)
        plain = json.loads(out)
    return {
        "space": "quick",
        "overrides": list(overrides),
        "trials": trials,
        "settings": len(accuracies),
        "cpu_s": cpu,
        "wall_s": wall,
        "epochs": epochs,
        "plain_cpu_s": plain_cpu,
        "plain_wall_s": plain_wall,
        "plain_epochs": plain["epochs"],
        "plain_lines": len((HERE / "plain_search.py").read_text().splitlines()),
        "ratio": plain_cpu / cpu,
        "ratio_per_epoch": plain_cpu / plain["epochs"] / (cpu / epochs),
        "mean_accuracy": float(np.mean(accuracies)),
        "plain_mean_accuracy": float(np.mean(plain["accuracies"])),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"trials in all (default: {TRIALS})")
    parser.add_argument("--full", action="store_true", help="quick as it is; the script takes many minutes")
    args = parser.parse_args()
    print(json.dumps(measure(args.trials, () if args.full else SHORTER), indent=2))
