"""`cellsearch status` and `cellsearch leaderboard`: the progress and the results of a search."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from cellsearch.cli.numbers import nearest
from cellsearch.cli.terminal import Terminal
from cellsearch.errors import CellsearchError, RunError, UsageError, printable
from cellsearch.report.columns import text
from cellsearch.report.searches import leaderboard as ranking
from cellsearch.report.searches import status as report
from cellsearch.study import studies
from cellsearch.study.leaderboard import board, diagnostics
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.leaderboard.trust import Trust
from cellsearch.study.mutation.sizes import MEASURES
from cellsearch.study.studies import RESULTS, Searches, Study
from cellsearch.study.tables import integrity, queries, records
from cellsearch.study.tables.database import shown


def status(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints one search by name, or all searches. Or the importance of hyperparameters."""
    if args.settings:
        return _settings(args, terminal)
    if args.name is not None:
        standing = report.standing(studies.opened(args.name, args.storage, copies=terminal.note))
        if args.json:
            terminal.json(report.as_json(standing))
        elif args.format:
            terminal.table(report.columns([standing]), args.format)
        else:
            terminal.print(report.lines(standing, terminal.out.width))
        return 0
    there = _searches(args.storage)
    unread, standings, failed = list(there.unread), [], []
    for store in there.stores:
        try:
            standings.append(report.standing(studies.read(store)))
        except integrity.UNREADABLE as error:
            failed.append(_reason(error, store.name, args.storage))
            unread.append(studies.line_of(store.name, failed[-1]))
    if not standings:
        raise failed[0] if len(unread) == 1 else _nothing(args.storage, unread)
    if args.json:
        listed = [report.as_json(standing) for standing in standings]
        terminal.json({"searches": listed, "unread": unread})
    elif args.format:
        terminal.table(report.columns(standings), args.format)
    elif len(standings) == 1:
        terminal.print(report.lines(standings[0], terminal.out.width))
    else:
        terminal.print(report.several(standings, terminal.out.width))
    if not args.json:
        _tell(unread, terminal)
    return 0


def _reason(error: Exception, name: str, storage: str | None) -> CellsearchError:
    """The damage that makes a search unreadable. Raises the error if there is none: it is a defect then."""
    found = error if isinstance(error, CellsearchError) else studies.suspected(name, storage)
    if found is None:
        raise error
    return found


def _tell(unread: Sequence[str], terminal: Terminal) -> None:
    for line in unread[: studies.FEW]:
        terminal.tell(f"not read: {line}", "yellow")
    if len(unread) > studies.FEW:
        terminal.tell(f"not read: {len(unread) - studies.FEW:,} more", "yellow")


def _settings(args: argparse.Namespace, terminal: Terminal) -> int:
    # imported here: it loads Optuna
    from cellsearch.report.searches import importance as importances
    from cellsearch.study.leaderboard import importance

    name = args.name or _newest(args.storage, terminal)
    study = studies.opened(name, args.storage, copies=terminal.note)
    found = importance.importances(study.store, study.space)
    if args.json:
        terminal.json({"name": name, "importance": found})
    elif args.format:
        terminal.table(importances.columns(found), args.format)
    else:
        terminal.print(importances.lines(found, terminal.out.width))
    return 0


def leaderboard(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the ranked cells of a search."""
    if args.pareto and args.pareto not in MEASURES:
        known = ", ".join(MEASURES)
        raise UsageError(
            f"'{printable(args.pareto, 40)}' is not a cost\n"
            f"{nearest(args.pareto, list(MEASURES))}({known}); the name of a search comes before --pareto"
        )
    name = args.name or _newest(args.storage, terminal)
    study = studies.opened(name, args.storage, copies=terminal.note)
    if args.pareto is not None:
        front = board.front(study.store, study.space, args.pareto)
        if args.json:
            terminal.json({"name": name, **ranking.front_json(front)})
        elif args.format:
            terminal.table(ranking.front_columns(front, args.format == "csv"), args.format)
        else:
            terminal.print(ranking.front_lines(front, terminal.out.width))
        return 0
    if args.json or args.format:
        found = board.trusted(study.store, study.space)
        rows = _rows(study, args.rows, args.all, found)[0]
        chosen = rows if args.all else ranking.chosen(rows, args.rows)
    if args.format:
        terminal.table(ranking.columns(chosen, args.format == "csv"), args.format)
        return 0
    if args.json:
        counts, lost = queries.counts(study.store), _dropped(study)
        terminal.json(
            {
                "name": name, "seed": study.facts.seed, "target": asdict(study.facts.target),
                "baseline": study.space.baseline, "units": dict(study.facts.units),
                "counts": asdict(counts), "dropped": lost,
                "chance": found.band and ranking.chance_json(found.band), "rows": ranking.as_json(chosen),
            }
        )  # fmt: skip
        return 0
    print_board(study, name, terminal, args.rows, args.storage, every=args.all)
    return 0


def print_board(
    study: Study, name: str, terminal: Terminal, count: int, storage: str | None, *, every: bool = False
) -> None:
    """The table of the search `name`, the notes below it, and the line that exports the winner."""
    width = terminal.out.width
    found = board.trusted(study.store, study.space)
    rows, size = _rows(study, count, every, found)
    chosen = rows if every else ranking.chosen(rows, count)
    terminal.print(ranking.lines(chosen, width))
    more = size - len(chosen)
    if more > 0:
        terminal.print([text(f"and {more:,} more: --rows {size}", "dim")])
    terminal.print([text("")])
    counts = queries.counts(study.store)
    terminal.print(ranking.notes(counts, study.facts.target, study.space.baseline, _dropped(study), width))
    terminal.print(ranking.trusted(found.band, chosen, study.space.baseline, width))
    if counts.trials and not any(row.rank and not row.seed for row in rows):
        for sieve in diagnostics.sieves(study.store, study.space, study.facts.units):
            terminal.print([text(f"filtered: {report.sieved(sieve)}")])
    terminal.print(ranking.winner(rows, name, storage))


def _rows(study: Study, count: int, every: bool, found: Trust) -> tuple[list[Row], int]:
    """The first `count` rows (at least one) and the seeds, or all rows; and their total number."""
    if every:
        rows = board.leaderboard(study.store, study.space, every=True, found=found)
        return rows, len(rows)
    return board.top(study.store, study.space, max(1, count), found)


def _dropped(study: Study) -> list[str]:
    """The dropped tasks, with the reason."""
    return records.dropped(study.facts.baseline or {}, study.space.strategy.margin)


def _searches(storage: str | None) -> Searches:
    """Prints all searches; raises RunError if there are none."""
    there = studies.found(storage)
    if not there.stores:
        raise _nothing(storage, there.unread)
    return there


def _nothing(storage: str | None, unread: Sequence[str]) -> RunError:
    if storage is None:
        return studies.nothing(RESULTS, unread)
    listed = "".join(f"\n  {line}" for line in unread[: studies.FEW])
    what = f" that can be read:{listed}" if listed else ""
    return RunError(f"there is no search in {shown(storage)}{what}\nstart one with `cellsearch search SPACE`")


def _newest(storage: str | None, terminal: Terminal) -> str:
    """The default search: the newest in results/, or the only one in a database."""
    if storage is not None:
        newest, *others = (store.name for store in _searches(storage).stores)
        if others:
            names = printable(", ".join([newest, *others]), 400)
            raise UsageError(f"several searches found; name one of {names}")
        return newest
    newest = studies.newest()
    if others := [name for name in studies.listed() if name != newest]:
        also = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
        terminal.tell(f"{newest}, the newest in {RESULTS}/; others: {also}\n", "dim")
    return newest
