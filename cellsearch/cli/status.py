"""`cellsearch status` and `cellsearch leaderboard`: how a search stands, and what it has found."""

import argparse
from dataclasses import asdict
from pathlib import Path

from cellsearch.cli.terminal import Terminal
from cellsearch.report import leaderboard
from cellsearch.report import status as report
from cellsearch.report.columns import text
from cellsearch.search import board, studies
from cellsearch.search.schema import shown
from cellsearch.search.studies import Study


def run_status(args: argparse.Namespace, terminal: Terminal) -> int:
    """One search by name; all there are without."""
    if args.name is not None:
        standing = report.standing(studies.opened(args.name, args.storage))
        if args.json:
            terminal.json(report.as_json(standing))
        else:
            terminal.print(report.lines(standing, terminal.out.width))
        return 0
    names = [store.name for store in studies.stores(args.storage)] if args.storage else studies.listed()
    if not names:
        studies.newest()  # says that there is none, and where
    standings = [report.standing(studies.opened(name, args.storage)) for name in names]
    if args.json:
        terminal.json({"searches": [report.as_json(standing) for standing in standings]})
    elif len(standings) == 1:
        terminal.print(report.lines(standings[0], terminal.out.width))
    else:
        terminal.print(report.several(standings, terminal.out.width))
    return 0


def run_leaderboard(args: argparse.Namespace, terminal: Terminal) -> int:
    """The ranked cells of a search."""
    name = args.name or _newest(args.storage, terminal)
    study = studies.opened(name, args.storage)
    rows = board.leaderboard(study.store, study.space, args.all)
    if args.json:
        status = board.status(study.store, study.space)
        chosen = rows if args.all else leaderboard.chosen(rows, args.rows)
        terminal.json(
            {
                "name": name, "seed": study.facts.seed, "trials": study.facts.trials,
                "baseline": study.space.baseline, "units": dict(study.facts.units),
                "counts": asdict(status.counts), "dropped": list(status.dropped),
                "rows": leaderboard.as_json(chosen),
            }
        )  # fmt: skip
        return 0
    print_board(study, terminal, args.rows, args.storage, every=args.all)
    return 0


def print_board(
    study: Study, terminal: Terminal, count: int, storage: str | None, *, every: bool = False
) -> None:
    """The table of a search, what stands below it, and the line that exports the winner."""
    width = terminal.out.width
    rows = board.leaderboard(study.store, study.space, every)
    status = board.status(study.store, study.space, 0)
    chosen = rows if every else leaderboard.chosen(rows, count)
    terminal.print(leaderboard.lines(chosen, width))
    more = len(rows) - len(chosen)
    if more > 0:
        terminal.print([text(f"and {more:,} more: --rows {len(rows)}", "dim")])
    terminal.print([text("")])
    terminal.print(
        leaderboard.notes(status.counts, status.trials, study.space.baseline, status.dropped, width)
    )
    terminal.print(leaderboard.winner(rows, study.store.name, None if storage is None else shown(storage)))


def _newest(storage: str | None, terminal: Terminal) -> str:
    """The search that is meant where none is named."""
    names = [store.name for store in studies.stores(storage)] if storage else studies.listed()
    if storage and len(names) == 1:
        return names[0]
    if storage and names:
        from cellsearch.errors import UsageError

        raise UsageError(f"there are several searches in that database; name one: {', '.join(names[:20])}")
    newest = studies.newest()
    if len(names) > 1:
        others = ", ".join(names[1:6]) + (", …" if len(names) > 6 else "")
        terminal.tell(f"{newest}, the newest in {Path('results')}/ (there are {others} too)\n", "dim")
    return newest
