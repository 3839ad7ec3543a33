"""All GPU measurements in one command of less than ten minutes:

    python -m cellsearch.analysis.bench.gpu results/bench/h200.json

    step        one training step, K=256, beside torch.nn.LSTM (cuDNN) one by one, vmap and the bare products
    widths      the same at other widths and populations, without slow contestants
    compiling   seconds to compile a cell's kernels and record its step, for mutants; and cells per hour
    compiled ahead by processes cohort      64 mutants of 4 members each at once, beside one cell of 256
    members search      cells an hour through the filter and through all stages of `jozefowicz2015`, and the
    time of its 10,000 cells and 230,000 settings rounding    effect of TF32: speed, and the loss after some
    epochs kernels     the time of a replayed step, by kernel

The file is rewritten after every section. A failed section records its error, and the others continue; the
exit code is 0 if all succeeded. On a CPU everything runs without graphs, and the numbers are meaningless.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cellsearch.analysis.bench import rounding
from cellsearch.analysis.bench.campaign import campaign
from cellsearch.analysis.bench.cohorts import learnable, pace
from cellsearch.analysis.bench.contestants import builtin, one_by_one, ours, vmapped
from cellsearch.analysis.bench.measure import AGREEMENT, table, using
from cellsearch.analysis.bench.recorded import recorded
from cellsearch.analysis.bench.rows import conditions
from cellsearch.analysis.bench.work import NORM, RATE, Sizes, make
from cellsearch.compiler.ahead import Compilers
from cellsearch.compiler.run.layer import choose_engine
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.files import write_text
from cellsearch.study.mutation.mutate import mutate
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.space.load import load_space
from cellsearch.train import model
from cellsearch.train.grouping.cohort import finish
from cellsearch.train.steps import Steps

EPOCHS = 6  # of the section on rounding


@dataclass(frozen=True)
class Plan:
    """The sizes of the measurements."""

    device: str
    sizes: Sizes
    rounds: int
    cells: int  # of the cohort
    until: float  # no section begins after this time of the clock
    copy_speed: float  # bytes a second


def step(plan: Plan) -> list[dict[str, Any]]:
    """The main table."""
    engine = _engine(plan)
    people = [recorded(engine), *_others(engine), one_by_one("torch.nn.LSTM", builtin), vmapped()]
    return _rows(plan, zoo.load("lstm"), plan.sizes, people)


def widths(plan: Plan) -> list[dict[str, Any]]:
    """Other widths, populations and cells."""
    engines, found = _engines(plan), []
    for name in ("lstm", "gru", "mut1"):
        for hidden in (plan.sizes.hidden, 2 * plan.sizes.hidden, 4 * plan.sizes.hidden):
            for population in (plan.sizes.population, max(1, plan.sizes.population // 12)):
                sizes = replace(plan.sizes, hidden=hidden, population=population)
                people = [recorded(e) for e in engines]
                found += _rows(plan, zoo.load(name), sizes, people)
    return found


def compiling(plan: Plan) -> dict[str, Any]:
    """The time until new cells are ready."""
    engines, found = _engines(plan), []
    fresh = mutants(8, seed=int(time.time()))  # new ones each time: Triton keeps kernels on disk
    for k, cell in enumerate(fresh):
        sizes = replace(plan.sizes, population=max(1, plan.sizes.population // 12))
        work = make(cell, sizes, plan.device)
        row: dict[str, Any] = {"cell": k, "nodes": len(cell.nodes)}
        for name in dict.fromkeys((*engines, "eager")):
            begun = time.perf_counter()
            call = recorded(name).ready(work)
            _wait(plan)
            row[f"{name}_prepare_s"] = time.perf_counter() - begun
            row[f"{name}_step_s"] = _best(plan, call)
        found.append(row)
    return {"in_the_training_thread": found, "ahead": _ahead(plan)}


def _ahead(plan: Plan) -> dict[str, Any]:
    """The rate at which separate processes compile new cells."""
    cells = mutants(plan.cells, seed=int(time.time()) + 1)
    compilers = Compilers(plan.device)
    begun = time.perf_counter()
    compilers.prepare(cells, [plan.sizes.hidden])
    compilers.wait()
    seconds = time.perf_counter() - begun
    compilers.close()
    return {
        "processes": compilers.processes,
        "cells": len(cells),
        "seconds": seconds,
        "cells_per_hour": 3600 * len(cells) / seconds,
    }


def search(plan: Plan) -> dict[str, Any]:
    """The stages of the paper's search, with mutants of LSTM, GRU and MUT1."""
    share = 1.0 if plan.device != "cpu" else (plan.sizes.hidden / 256) ** 2  # small on a CPU, for tests
    space = load_space("jozefowicz2015")
    if plan.device == "cpu":
        space = replace(space, strategy=replace(space.strategy, settings=2))
    return campaign(space, mutants(plan.cells, seed=1), plan.device, plan.rounds, share)


def cohort(plan: Plan) -> list[dict[str, Any]]:
    """Many small populations together, and single large ones of the first of the same cells."""
    cells, few, found = mutants(plan.cells), 4, []
    for engine in _engines(plan):
        who = f"{len(cells)} mutants at once ({engine})"
        found.append(pace(who, cells, few, plan.sizes, plan.device, engine=engine))
        for k, cell in enumerate([zoo.load("lstm"), *cells[:4]]):
            who = f"{'lstm' if k == 0 else f'mutant {k - 1}'} alone ({engine})"
            found.append(pace(who, [cell], few * len(cells), plan.sizes, plan.device, engine=engine))
    return [asdict(row) for row in found]


def less_than_float32(plan: Plan) -> dict[str, Any]:
    """Speed with TF32, and the loss and accuracy of members after some epochs: with it, without it, in
    float64, and with the factors of all products rounded to the bits of TF32 and bfloat16."""
    engine = _engine(plan)
    work = make(zoo.load("lstm"), plan.sizes, plan.device)
    speed = {tf: _best(plan, recorded(engine, tf).ready(work)) for tf in (False, True)}
    shape, data = work.shape, learnable(plan.sizes, plan.device)
    members = min(16, plan.sizes.population)
    found: dict[str, Any] = {}
    for name, dtype, how in (
        ("float32", torch.float32, rounding.tf32(False)),
        ("float64", torch.float64, rounding.tf32(False)),
        ("TF32", torch.float32, rounding.tf32(True)),
        ("rounded as TF32", torch.float32, rounding.Rounded(rounding.TF32)),
        ("rounded as bfloat16", torch.float32, rounding.Rounded(rounding.BFLOAT16)),
    ):
        if name == "TF32" and plan.device == "cpu":
            continue
        rows = model.first_rows(shape, [1.0] * members, range(members), dtype).to(plan.device)
        norms = torch.full((members,), NORM, dtype=dtype, device=plan.device)
        steps = Steps(shape, data, rows, norms, recorded=False, engine="eager")
        with how:
            for _ in range(EPOCHS):
                finish(steps.train(np.full(members, RATE)))  # type: ignore[arg-type]
            finish(steps.score())  # type: ignore[arg-type]
        _, loss, accuracy = steps.found()
        found[name] = {"loss": loss.tolist(), "accuracy": accuracy.tolist()}
    return {"float32_s": speed[False], "tf32_s": speed[True], f"after_{EPOCHS}_epochs": found}


def kernels(plan: Plan) -> list[dict[str, Any]]:
    """The kernels of one step, the most expensive ones first."""
    call = recorded(_engine(plan)).ready(make(zoo.load("lstm"), plan.sizes, plan.device))
    call()
    activity = torch.profiler.ProfilerActivity
    kind = activity.CPU if plan.device == "cpu" else activity.CUDA
    with torch.profiler.profile(activities=[kind]) as profile:
        call()
        _wait(plan)
    found = []
    for e in profile.key_averages():
        us = e.cpu_time_total if plan.device == "cpu" else e.device_time_total
        found.append({"kernel": e.key[:120], "calls": e.count, "us": us})
    return sorted(found, key=lambda row: -row["us"])[:25]


SECTIONS: dict[str, Callable[[Plan], Any]] = {
    "step": step,
    "cohort": cohort,
    "search": search,
    "kernels": kernels,
    "rounding": less_than_float32,
    "compiling": compiling,
    "widths": widths,
}


def mutants(count: int, seed: int = 0) -> list[Cell]:
    """`count` different children of LSTM, GRU and MUT1, by one to three edits."""
    parents = [zoo.load(name) for name in ("lstm", "gru", "mut1")]
    spec = MutationSpec(size="edits")
    return [mutate(parents[k % 3], np.random.default_rng([seed, k]), spec, Limits())[0] for k in range(count)]


def _engine(plan: Plan) -> str:
    return choose_engine("auto", torch.empty(0, device=plan.device))


def _engines(plan: Plan) -> list[str]:
    """The chosen engine, and on a GPU also the one with the loop over time in one kernel."""
    return [_engine(plan)] + ["whole"] * (_engine(plan) == "triton")


def _others(engine: str) -> list[Any]:
    """This program with the other engine, and without graphs."""
    found = [ours(name) for name in dict.fromkeys((engine, "eager"))]
    return [*found, *(recorded(name) for name in ("whole", "eager") if engine == "triton")]


def _rows(plan: Plan, cell: Cell, sizes: Sizes, people: Sequence[Any]) -> list[dict[str, Any]]:
    work = make(cell, sizes, plan.device)
    about = {"copy_bytes_per_s": plan.copy_speed}
    return [asdict(row) for row in table(work, people, 1, plan.rounds, about, _say)]


def _best(plan: Plan, call: Callable[[], object]) -> float:
    """The shortest of some calls."""
    found = []
    for _ in range(1 + plan.rounds):
        _wait(plan)
        begun = time.perf_counter()
        call()
        _wait(plan)
        found.append(time.perf_counter() - begun)
    return min(found)


def _wait(plan: Plan) -> None:
    if plan.device != "cpu":
        torch.cuda.synchronize()


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _versions(device: str) -> dict[str, Any]:
    found: dict[str, Any] = {"cuda": torch.version.cuda}
    for name in ("triton", "cellsearch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    if device != "cpu":
        about = torch.cuda.get_device_properties(device)
        found |= {"multiprocessors": about.multi_processor_count, "memory_bytes": about.total_memory}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures section by section."""
    program = "python -m cellsearch.analysis.bench.gpu"
    parser = argparse.ArgumentParser(prog=program, description=__doc__.partition(":")[0])
    parser.add_argument("file", type=Path, help="the JSON file that is written")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="no section begins after so many")
    parser.add_argument("--population", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--steps", type=int, default=35)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cells", type=int, default=64, help="of the cohort")
    args = parser.parse_args(arguments)
    # One queue per stream; read when CUDA starts.
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    sizes = Sizes(args.population, args.steps, args.batch, args.hidden)
    until = time.monotonic() + 60 * args.minutes
    with using(args.device, 1):
        about = conditions(args.device, 1, args.rounds, sizes, AGREEMENT) | _versions(args.device)
        about["queues"] = os.environ["CUDA_DEVICE_MAX_CONNECTIONS"]
        plan = Plan(args.device, sizes, args.rounds, args.cells, until, about["copy_bytes_per_s"])
        found: dict[str, Any] = {"conditions": about}
        failed = False
        for name in args.only:
            begun = time.monotonic()
            _say(f"== {name}")
            try:
                late = {"skipped": f"{args.minutes:g} minutes were over"}
                found[name] = late if begun > plan.until else SECTIONS[name](plan)
            except Exception as error:
                # Any error of a GPU goes to the file, and the next section begins.
                traceback.print_exc()
                found[name] = {"failed": f"{type(error).__name__}: {error}"}
                failed = True
            found.setdefault("seconds", {})[name] = time.monotonic() - begun
            write_text(args.file, json.dumps(found, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
