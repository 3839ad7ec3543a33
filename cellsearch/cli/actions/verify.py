"""`cellsearch verify`: trains the first cells of a search and its baseline again."""

import argparse

from cellsearch.analysis.verify.run import Step, verify_study
from cellsearch.analysis.verify.work import Place
from cellsearch.cli.terminal import Terminal
from cellsearch.report.searches import verify as report
from cellsearch.study import studies
from cellsearch.study.workers import pool


def verify(args: argparse.Namespace, terminal: Terminal) -> int:
    """Trains, records each result at once, and prints the verdicts."""
    study = studies.opened(args.name, args.storage)
    workers = len(pool.places([args.device], args.workers))
    place = Place(study.facts.space, study.facts.seed, args.data, args.device)

    def tell(step: Step) -> None:
        if line := report.step_line(step):
            terminal.tell(line, "dim")

    rows = verify_study(study, args.rows, args.repeats, place=place, workers=workers, tell=tell)
    found = report.gathered(study, rows)
    if args.json:
        terminal.json(report.as_json(found))
    elif args.format:
        terminal.table(report.columns(found), args.format)
    else:
        terminal.print(report.lines(found, terminal.out.width))
    return 0
