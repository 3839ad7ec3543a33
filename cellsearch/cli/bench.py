"""`cellsearch bench`: a training step of a population beside what else a user could do."""

import argparse

from rich.text import Text

from cellsearch.cli.find import find_cell
from cellsearch.cli.terminal import Terminal
from cellsearch.report import bench as report


def run_bench(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measures, and prints a row for each contestant."""
    from cellsearch.analysis.bench.measure import bench  # here: torch takes a while to load
    from cellsearch.analysis.bench.work import Sizes

    cells = [find_cell(word).cell for word in args.cell]
    sizes = Sizes(steps=args.steps, batch=args.batch, layers=args.layers, vocabulary=args.vocabulary)
    found = bench(
        cells,
        args.hidden,
        args.population,
        sizes,
        device=args.device,
        threads=args.threads,
        rounds=args.rounds,
        compiled=args.compile,
        say=lambda what: terminal.tell(Text(what, "dim")),
    )
    if args.json:
        terminal.json(found.as_json())
    else:
        terminal.print(report.lines(found.as_json(), terminal.out.width))
    return 0
