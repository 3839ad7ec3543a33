"""`cellsearch search`: a search on this machine. Prints the leaderboard on stdout at the end."""

import argparse
from collections.abc import Sequence

from cellsearch.api import search as api
from cellsearch.cli.actions.dry_run import dry_run
from cellsearch.cli.actions.replay import replay
from cellsearch.cli.actions.status import print_board
from cellsearch.cli.actions.watcher import Watcher
from cellsearch.cli.terminal import Terminal
from cellsearch.errors import UsageError, printable
from cellsearch.report.formatting import duration, plural
from cellsearch.report.searches import totals
from cellsearch.study import studies
from cellsearch.study.manage import commands
from cellsearch.study.system import processes
from cellsearch.study.tables.database import left_out
from cellsearch.study.workers import pool
from cellsearch.study.workers.run import Options
from cellsearch.train.resources import devices


def search(args: argparse.Namespace, terminal: Terminal) -> int:
    """Starts or continues a search and prints its leaderboard, or replays one."""
    if args.replay is not None:
        return replay(args, terminal)
    if args.space is None and args.name is None:
        raise UsageError(
            "the following arguments are required: SPACE, --name NAME or --replay NAME\n"
            "see `cellsearch search --help`"
        )
    for option, without in (("json", False), ("strategies", None)):
        if getattr(args, option) != without and not (option == "json" and args.dry_run):
            raise UsageError(f"--{option} requires a replay: `cellsearch search --replay NAME`")
    space, name = commands.meant(args.space, args.name, args.set, args.storage, own_text=args.text)
    if args.text is not None and (most := space.tasks[0].options["train"]):
        terminal.tell(
            f"{printable(args.text, 300)}: at most {most:,} symbols to train on; all of them: "
            "--set tasks.0.options.train=null",
            "dim",
        )
    options = Options(
        storage=args.storage, workers=args.workers, devices=devices.chosen(args.devices), data=args.data,
        trials=args.trials, proposals=args.proposals, seconds=args.time,
        given=commands.public(args.words, args.storage),
    )  # fmt: skip
    limited(args.workers, options.devices, terminal)
    if args.dry_run:
        return dry_run(space, name, options, args, terminal)
    further = commands.continuing(args.words, name, space, args.storage)
    with Watcher(terminal, name) as watcher:
        code = api.run(space, name, options, args.seed, watcher)
    needed = left_out(args.storage)
    after = f"\n({needed})" if needed else ""
    if code:
        terminal.tell(f"stopped; all results are saved. To continue:\n  {commands.line(further)}{after}")
        return code
    study = studies.opened(name, args.storage)
    print_board(study, name, terminal, args.rows, args.storage)
    for line in _ending(further, watcher, study.facts.halted):
        terminal.tell(f"{line}{after}")
    return 0


def limited(workers: int | None, where: Sequence[str], terminal: Terminal) -> None:
    """Warns if more workers were requested than this machine starts."""
    most = pool.most_workers()
    if workers and workers > most and "cpu" in where:
        cores = plural(processes.cores(), "core")
        terminal.tell(
            f"--workers {workers:,}: starting {most}, the maximum for {cores}; each worker uses a few "
            f"hundred megabytes",
            "yellow",
        )


def _ending(words: Sequence[str], watcher: Watcher, halted: bool) -> list[str]:
    """Prints how to continue a search that has ended; `words` are those of the command that continues it."""
    first, last = watcher.first, watcher.last
    if first is None or last is None:
        return []
    target = last.target
    _, ended, of = target.nearest(last.counts.trials, last.counts.proposals)
    if halted and ended < of:
        longer = commands.changed(words, "--time", commands.duration_option(2 * last.spent))
        made = totals.trials(last.counts, target)
        further = commands.line(longer)
        return [f"time limit reached after {duration(last.spent)}: {made}; to continue:\n  {further}"]
    if (patience := last.patience) is not None and (ended < of and last.counts.stale >= patience):
        said = f"{totals.plateau(last.counts, patience)}: {totals.trials(last.counts, target)}"
        further = commands.line([*words, "--set", f"budget.patience={2 * last.counts.stale}"])
        return [f"{said} in {duration(last.spent)}; to continue:\n  {further}"]
    for option, total in (("--trials", target.trials), ("--proposals", target.proposals)):
        if total is not None:
            words = commands.changed(words, option, str(max(2 * total, 10)))
    done = first.counts == last.counts
    said = "already finished: " if done else ""
    said += f"{totals.trials(last.counts, target)} in {duration(last.spent)}"
    return [f"{said}; to continue:\n  {commands.line(words)}"]
