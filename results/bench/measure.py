"""The numbers of this folder's README: `python results/bench/measure.py [FILE] [--seconds N]`.

One thread, CPU time, everyone in turn in one process. Writes one JSON file (default: bench.json, beside this
script) with conditions, a training step at every size, CPU seconds to compile a cell, and a search end to
end. `python results/bench/page.py` then makes the figures and the tables of the READMEs from it. Each size is
measured for 8 s, and all takes eight to ten minutes on a quiet core.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import end_to_end
import torch

from cellsearch.analysis.bench import jax
from cellsearch.analysis.bench.contestants import Contestant, contestants, in_jax, members_alone, ours
from cellsearch.analysis.bench.cpu import compiling
from cellsearch.analysis.bench.measure import AGREEMENT, prepare, using
from cellsearch.analysis.bench.rows import Row, conditions, of_work
from cellsearch.analysis.bench.work import Sizes, make
from cellsearch.compiler.run.layer import choose_engine
from cellsearch.dsl import zoo

HERE = Path(__file__).parent
CELLS, WIDTHS = ("lstm", "gru_torch", "mut1"), (64, 128, 256)
PTB = Sizes(hidden=200, vocabulary=10_000)  # the words of Penn Treebank, a small LSTM (Zaremba et al. 2014)
COMPILED = ("lstm",)  # cells whose compilation is measured
PATIENCE = 150  # seconds for all compilations of a contestant
FEWEST, MOST = 3, 31  # rounds of a size
SLOW = 3  # who takes so many times as long as cellsearch is measured `FEWEST` times


def sizes(trial: bool) -> Iterator[tuple[str, Sizes]]:
    """The cells and sizes; of a trial run one small one of each kind."""
    if trial:
        yield from (("lstm", Sizes(2, 4, 2, hidden)) for hidden in WIDTHS[:2])
        yield "lstm", Sizes(2, 4, 2, 16, vocabulary=PTB.vocabulary)
        return
    yield from ((cell, Sizes(hidden=hidden)) for hidden in WIDTHS for cell in CELLS)
    yield "lstm", PTB


def people(cell: str, size: Sizes) -> list[Contestant]:
    """Who is measured: everyone at H = 64; above it and with many symbols not those that are far behind,
    which take longest."""
    engine, with_jax = choose_engine("auto", torch.zeros(1)), bool(jax.installed())
    if size.vocabulary == PTB.vocabulary or size.hidden > WIDTHS[1]:
        builtin = [c for c in members_alone(cell) if c.what.startswith("torch.nn")]
        return [ours(engine), *builtin, *(in_jax()[:1] if with_jax else [])]
    if size.hidden > WIDTHS[0]:
        alone = [c for c in members_alone(cell) if "by hand" not in c.what]
        return [ours(engine), *alone, *(in_jax() if with_jax else [])]
    return contestants(cell, list(dict.fromkeys((engine, "eager"))), False, with_jax)


def sized(cell: str, size: Sizes, seconds: float, about: dict[str, Any]) -> list[Row]:
    """The rows of one size, measured for so many seconds; at least `FEWEST` rounds."""
    work = make(zoo.load(cell), size, "cpu")
    ready = prepare(work, people(cell, size), lambda _: None)
    begun = time.perf_counter()
    measured = [ready.once() for _ in range(FEWEST)]
    ours_s = min(found[next(iter(found))] for found in measured)
    slow = [what for what, took in measured[0].items() if took > SLOW * ours_s]
    while time.perf_counter() - begun < seconds and len(measured) < MOST:
        measured.append(ready.once(slow))
    say(f"{cell}, H={size.hidden}, V={size.vocabulary}: {len(measured)} rounds")
    return of_work(work, 1, measured, ready.prepared, ready.by_symbol, about)


def say(what: str) -> None:
    """Progress, to standard error."""
    print(f"{time.process_time():6.0f} s  {what}", file=sys.stderr, flush=True)


def write(file: Path, found: dict[str, Any]) -> None:
    """Writes what is measured so far, so that what fails later loses nothing."""
    file.write_text(json.dumps(found, indent=1) + "\n")
    say(f"wrote {', '.join(found)} to {file}")


def commit() -> str:
    """The commit that is measured, with a + where files differ from it; "" without git."""
    return os.popen(f"git -C '{HERE}' describe --always --dirty=+ 2>/dev/null").read().strip()


def main() -> None:
    """Measures, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("file", nargs="?", type=Path, default=HERE / "bench.json")
    parser.add_argument("--seconds", type=float, default=8, help="for each size (default: 8)")
    parser.add_argument("--trial", action="store_true", help="small sizes, to see that everything runs")
    args = parser.parse_args()
    if jax.installed():
        jax.on_one_thread()
    with using("cpu", 1):
        about = conditions("cpu", 1, 0, Sizes(), AGREEMENT) | {"commit": commit()}
        del about["rounds"], about["vocabulary"]  # they differ from row to row
        rows = []
        for cell, size in sizes(args.trial):
            of_size = sized(cell, size, 0 if args.trial else args.seconds, about)
            rows += [asdict(row) | {"V": size.vocabulary} for row in of_size]
    found: dict[str, Any] = {"conditions": about, "rows": rows}
    write(args.file, found)
    found["compiling"] = []
    for what in compiling.everyone()[: 1 if args.trial else None]:
        for cell in COMPILED:
            say(f"{cell}: compiling by {what}")
            try:
                found["compiling"].append(asdict(compiling.measured(what, cell, PATIENCE)))
            except subprocess.SubprocessError as error:  # its own message stands above
                say(f"not measured: {error}")
    write(args.file, found)
    say("a search end to end")
    trials, overrides = (1, end_to_end.TINY) if args.trial else (end_to_end.TRIALS, end_to_end.SHORTER)
    found["end_to_end"] = end_to_end.measure(trials, overrides)
    write(args.file, found)


if __name__ == "__main__":
    main()
