"""`cellsearch search SPACE --dry-run`: estimates cost, memory and time without running."""

import argparse
from pathlib import Path

from cellsearch.analysis.dry_run import forecast
from cellsearch.cli.terminal import Terminal
from cellsearch.report.searches import dry_run as report
from cellsearch.study.space import Space, check_seeds, difference, parse_space
from cellsearch.study.tables import records
from cellsearch.study.tables.study_facts import Identity
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.study.workers.pool import places
from cellsearch.study.workers.run import Options, default_url, directory, target_of


def dry_run(space: Space, name: str, options: Options, args: argparse.Namespace, terminal: Terminal) -> int:
    """Counts and measures without creating anything."""
    directory(options.results, name)  # an invalid name is an error here too
    store = records.find(options.storage or default_url(options.results, name), name, read_only=True)
    known = records.facts(store) if store else None
    seed = args.seed if args.seed is not None else known.seed if known else 1
    evaluator = TorchEvaluator(space, seed, Path(options.data) if options.data else None, options.devices[0])
    if known is not None:
        there = Identity(space.text, seed, known.data)  # data is compared by stage
        records.check_identity(known, there, difference(parse_space(known.space), space))
    found = forecast.forecast(
        space, name, evaluator, check_seeds(space),
        target_of(space, options),
        len(places(options.devices, options.workers)),
        (store, known) if store and known else None,
        lambda text: terminal.tell(text, "dim"),
    )  # fmt: skip
    if args.json:
        terminal.json(report.as_json(found))
    else:
        terminal.print(report.lines(found, terminal.out.width))
    return 0
