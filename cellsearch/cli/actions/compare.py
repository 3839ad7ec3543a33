"""`cellsearch compare`: cells with the same random settings, the best of each beside a baseline."""

import argparse
from pathlib import Path

from cellsearch.analysis.compare import facts
from cellsearch.analysis.compare.run import Asked, Step, plan
from cellsearch.analysis.compare.work import Place
from cellsearch.cli.terminal import Terminal
from cellsearch.errors import printable
from cellsearch.report.columns import text
from cellsearch.report.comparison import table
from cellsearch.report.comparison.write import PAGE, compared
from cellsearch.study.lookup import find_cell
from cellsearch.train.resources import devices


def compare(args: argparse.Namespace, terminal: Terminal) -> int:
    """Trains what is not recorded yet, judges, and writes page, figure and values."""
    found = [find_cell(word, args.storage, terminal.note) for word in args.cells]
    (device,) = devices.chosen([args.device])
    devices.check(device)
    asked = Asked(
        args.task, args.baseline, args.settings, args.best, args.margin, args.space, tuple(args.draw),
        tuple(args.set), args.epochs,
    )  # fmt: skip
    made = plan(found, asked, Place(args.seed, args.data, device, args.memory))

    def tell(step: Step) -> None:
        terminal.tell(table.step_line(step), "dim")

    folder = made.folder if args.out is None else Path(args.out)
    values = facts.as_json(compared(made, folder, workers=args.workers, tell=tell))
    if args.json:
        terminal.json({"folder": str(folder), **values})
    elif args.format:
        terminal.table(table.columns(values), args.format)
    else:
        terminal.print(table.lines(values, terminal.out.width))
        terminal.print(
            [text(f"written to {printable(str(folder), 4_000)}: {PAGE}, a figure, and all values")]
        )
    return 0
