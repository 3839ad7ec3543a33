"""`cellsearch bench`: a training step of a population beside what else a user could do."""

import argparse

from rich.text import Text

from cellsearch.analysis.bench import cells
from cellsearch.cli.find import find_cell
from cellsearch.cli.terminal import Terminal
from cellsearch.dsl.graph import Cell
from cellsearch.report import bench as report
from cellsearch.study.space import load_space


def run_bench(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measures, and prints a row for each contestant."""
    # here: torch takes a while to load
    from cellsearch.analysis.bench.measure import bench
    from cellsearch.analysis.bench.mix import mixed
    from cellsearch.analysis.bench.profile import profiled
    from cellsearch.analysis.bench.work import Sizes

    chosen = [_cell(word) for word in args.cell]
    sizes = Sizes(steps=args.steps, batch=args.batch, layers=args.layers, vocabulary=args.vocabulary)
    common = {
        "device": args.device,
        "threads": args.threads,
        "rounds": args.rounds,
        "say": lambda what: terminal.tell(Text(what, "dim")),
    }
    if args.mix:
        space = load_space(args.mix)
        sizes = Sizes(steps=space.training.steps, batch=space.training.batch, vocabulary=args.vocabulary)
        found = mixed(chosen, space.grid, space.name, sizes, **common)
    elif args.profile:
        found = profiled(chosen, args.hidden, args.population, sizes, **common)
    else:
        found = bench(chosen, args.hidden, args.population, sizes, compiled=args.compile, **common)
    if args.json:
        terminal.json(found.as_json())
    else:
        terminal.print(report.lines(found.as_json(), terminal.out.width))
    return 0


def _cell(word: str) -> Cell:
    return cells.load(word) if word in cells.MUTANTS else find_cell(word).cell
