"""`cellsearch searches`, `rename`, `delete`, `archive`, `restore` and `migrate`: searches as a whole."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from cellsearch.cli.terminal import Terminal
from cellsearch.errors import UsageError, printable
from cellsearch.report.formatting import plural, size
from cellsearch.report.searches import overview as report
from cellsearch.study import studies
from cellsearch.study.manage import listing
from cellsearch.study.studies import RESULTS
from cellsearch.study.tables import queries
from cellsearch.study.tables.database import shown
from cellsearch.study.workers.run import default_url


def run_searches(args: argparse.Namespace, terminal: Terminal) -> int:
    """The searches in results/, or in a database."""
    entries = listing.searches(args.storage)
    if args.json:
        terminal.json(report.as_json(entries))
    elif entries:
        terminal.print(report.lines(entries, terminal.out.width))
    else:
        where = str(RESULTS.absolute()) if args.storage is None else shown(args.storage)
        terminal.tell(
            f"there is no search in {printable(where, 400)}; start one with `cellsearch search quick`"
        )
    for entry in entries:
        if entry.error and not args.json:
            told = "\n".join(printable(line, 1_000) for line in entry.error.splitlines())
            terminal.tell(f"{printable(entry.name, 100)}: {told}", "yellow")
    return 0


def run_rename(args: argparse.Namespace, terminal: Terminal) -> int:
    """Renames a search."""
    from cellsearch.study.manage.change import rename  # here: reading verbs do without

    rename(args.name, args.new, args.storage, RESULTS, _teller(terminal))
    terminal.tell(f"{args.name} is called {args.new} now")
    return 0


def run_delete(args: argparse.Namespace, terminal: Terminal) -> int:
    """Deletes a search, after a question on a terminal, or with --yes."""
    from cellsearch.study.manage.change import delete  # here: reading verbs do without

    if not args.yes and not _confirmed(args, terminal):
        terminal.tell("nothing was deleted")
        return 1
    delete(args.name, args.storage, RESULTS, _teller(terminal))
    terminal.tell(f"{args.name} is deleted")
    return 0


def _confirmed(args: argparse.Namespace, terminal: Terminal) -> bool:
    """The answer of a person to whether the search is to be deleted."""
    if not (sys.stdin and sys.stdin.isatty() and terminal.err.is_terminal):
        raise UsageError(
            f"this would delete the search {printable(args.name, 100)!r}\nthere is no terminal to ask on; "
            "give --yes to delete it"
        )
    study = studies.opened(args.name, args.storage)
    counts = queries.counts(study.store)
    where = shown(args.storage) if args.storage else str(RESULTS / args.name)
    told = (
        f"{plural(counts.trials, 'trial')}, {size(listing.size_of(study.store))}, in {printable(where, 200)}"
    )
    study.store.engine.dispose()
    terminal.err.print(Text(f"delete the search {args.name} ({told})? [y/N] "), end="", soft_wrap=True)
    terminal.err.file.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def run_archive(args: argparse.Namespace, terminal: Terminal) -> int:
    """Writes a search into one file, and lists its contents."""
    from cellsearch.study.manage.archive import archive  # here: reading verbs do without

    file = Path(args.file) if args.file else None
    archived = archive(args.name, file, RESULTS, args.force, _teller(terminal))
    if args.json:
        terminal.json(report.archive_json(archived))
        return 0
    terminal.print(report.archive_lines(archived, terminal.out.width))
    if archived.left_out:
        listed = ", ".join(archived.left_out[:5]) + (", …" if len(archived.left_out) > 5 else "")
        terminal.tell(f"left out, since no search writes it: {printable(listed, 1_000)}", "yellow")
    return 0


def run_restore(args: argparse.Namespace, terminal: Terminal) -> int:
    """Makes a search of an archive."""
    from cellsearch.study.manage.restore import restore  # here: reading verbs do without

    restored = restore(Path(args.file), args.name, RESULTS)
    if args.json:
        files = sorted(restored.contents.files)
        terminal.json({"name": restored.name, "folder": str(RESULTS / restored.name), "files": files})
        return 0
    many = plural(len(restored.contents.files), "file")
    terminal.tell(
        f"{restored.name}: {many}, {size(restored.contents.bytes)}; go on with it:\n"
        f"  cellsearch search {restored.name}"
    )
    return 0


def run_migrate(args: argparse.Namespace, terminal: Terminal) -> int:
    """Migrates the database of a search of an earlier version, or of all searches in a storage."""
    from cellsearch.study.migrations.migrate import migrate  # here: it loads Optuna

    if args.name is None and args.storage is None:
        raise UsageError("name a search, as in `cellsearch migrate quick`, or a database, with --storage URL")
    url = args.storage or default_url(RESULTS, args.name)
    changed = migrate(url, _teller(terminal))
    terminal.tell(f"{printable(shown(url))}: {'migrated' if changed else 'up to date'}")
    return 0


def _teller(terminal: Terminal) -> Callable[[str], None]:
    return lambda line: terminal.tell(line, "dim")
