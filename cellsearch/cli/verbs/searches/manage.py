"""`cellsearch searches`, `rename`, `delete`, `archive`, `restore` and `migrate`: operations on whole
searches."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb
from cellsearch.errors import UsageError, printable
from cellsearch.report.formatting import plural, size


def _searches(parser: Parser) -> None:
    parser.add_argument(
        "--storage", metavar="URL", help="database to list (default: the searches in results/)"
    )
    options.json(parser)


def _rename(parser: Parser) -> None:
    parser.add_argument("name", metavar="OLD", help="name of the search")
    parser.add_argument("new", metavar="NEW", help="new name of the search and of its folder in results/")
    options.storage(parser)


def _delete(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the search")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    options.storage(parser)


def _archive(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of a search in results/")
    parser.add_argument("file", metavar="FILE", nargs="?", help="file to write (default: NAME.tar.gz)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    options.json(parser)


def _restore(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="file written by `cellsearch archive`")
    parser.add_argument("--name", help="name of the restored search (default: the archived name)")
    options.json(parser)


def _migrate(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of the search")
    options.storage(parser)


def run_searches(args: argparse.Namespace, terminal: Terminal) -> int:
    """The searches in results/, or in a database."""
    from cellsearch.report.searches import overview as report
    from cellsearch.study.manage import listing
    from cellsearch.study.studies import RESULTS
    from cellsearch.study.tables.database import shown

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
            facts = "\n".join(printable(line, 1_000) for line in entry.error.splitlines())
            terminal.tell(f"{printable(entry.name, 100)}: {facts}", "yellow")
    return 0


def run_rename(args: argparse.Namespace, terminal: Terminal) -> int:
    """Renames a search."""
    from cellsearch.study.manage.change import rename
    from cellsearch.study.studies import RESULTS

    rename(args.name, args.new, args.storage, RESULTS, _teller(terminal))
    terminal.tell(f"{args.name} is now called {args.new}")
    return 0


def run_delete(args: argparse.Namespace, terminal: Terminal) -> int:
    """Deletes a search after confirmation on a terminal, or with --yes."""
    from cellsearch.study.manage.change import delete
    from cellsearch.study.studies import RESULTS

    if not args.yes and not _confirmed(args, terminal):
        terminal.tell("nothing deleted")
        return 1
    delete(args.name, args.storage, RESULTS, _teller(terminal))
    terminal.tell(f"deleted {args.name}")
    return 0


def _confirmed(args: argparse.Namespace, terminal: Terminal) -> bool:
    """Asks for confirmation on the terminal."""
    from cellsearch.study import studies
    from cellsearch.study.manage import listing
    from cellsearch.study.studies import RESULTS
    from cellsearch.study.tables import queries
    from cellsearch.study.tables.database import shown

    if not (sys.stdin and sys.stdin.isatty() and terminal.err.is_terminal):
        raise UsageError(
            f"this would delete the search {printable(args.name, 100)!r}\nthere is no terminal to ask on; "
            "give --yes to delete it"
        )
    study = studies.opened(args.name, args.storage)
    counts = queries.counts(study.store)
    where = shown(args.storage) if args.storage else str(RESULTS / args.name)
    facts = (
        f"{plural(counts.trials, 'trial')}, {size(listing.size_of(study.store))}, in {printable(where, 200)}"
    )
    study.store.engine.dispose()
    terminal.err.print(Text(f"delete the search {args.name} ({facts})? [y/N] "), end="", soft_wrap=True)
    terminal.err.file.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def run_archive(args: argparse.Namespace, terminal: Terminal) -> int:
    """Writes a search to one file, and lists its contents."""
    from cellsearch.report.searches import overview as report
    from cellsearch.study.manage.archive import archive
    from cellsearch.study.studies import RESULTS

    file = Path(args.file) if args.file else None
    archived = archive(args.name, file, RESULTS, args.force, _teller(terminal))
    if args.json:
        terminal.json(report.archive_json(archived))
        return 0
    terminal.print(report.archive_lines(archived, terminal.out.width))
    if archived.left_out:
        listed = ", ".join(archived.left_out[:5]) + (", …" if len(archived.left_out) > 5 else "")
        terminal.tell(f"not archived, since searches do not write it: {printable(listed, 1_000)}", "yellow")
    return 0


def run_restore(args: argparse.Namespace, terminal: Terminal) -> int:
    """Restores a search from an archive."""
    from cellsearch.study.manage.restore import restore
    from cellsearch.study.studies import RESULTS

    restored = restore(Path(args.file), args.name, RESULTS)
    if args.json:
        files = sorted(restored.contents.files)
        terminal.json({"name": restored.name, "folder": str(RESULTS / restored.name), "files": files})
        return 0
    many = plural(len(restored.contents.files), "file")
    terminal.tell(
        f"{restored.name}: {many}, {size(restored.contents.bytes)}; to continue it:\n"
        f"  cellsearch search {restored.name}"
    )
    return 0


def run_migrate(args: argparse.Namespace, terminal: Terminal) -> int:
    """Migrates the search of an earlier version, or all searches in a storage."""
    from cellsearch.study import studies
    from cellsearch.study.migrations.migrate import migrate
    from cellsearch.study.studies import RESULTS
    from cellsearch.study.tables.database import shown
    from cellsearch.study.workers.run import default_url

    if args.name is None and args.storage is None:
        raise UsageError("name a search, as in `cellsearch migrate quick`, or a database, with --storage URL")
    if args.storage is None:
        studies.located(args.name)  # the error lists the searches
    url = args.storage or default_url(RESULTS, args.name)
    changed = migrate(url, _teller(terminal))
    terminal.tell(f"{printable(shown(url))}: {'migrated' if changed else 'up to date'}")
    return 0


def _teller(terminal: Terminal) -> Callable[[str], None]:
    return lambda line: terminal.tell(line, "dim")


VERBS = (
    Verb(
        "searches", "list the searches", _searches, run_searches,
        "cellsearch searches\ncellsearch searches --storage postgresql://user@host/db --json",
        "State (running, stopped, done; copy, of another folder), trials, best score of a found cell, space, "
        "size on disk and time of the last write. An unreadable search is listed with the reason.",
        order=20,
    ),
    Verb(
        "rename", "rename a search", _rename, run_rename,
        "cellsearch rename quick first\ncellsearch rename big paper --storage postgresql://user@host/db",
        "Refused while the search or one of its workers is running.",
        order=21,
    ),
    Verb(
        "delete", "delete a search: records, trials and files", _delete, run_delete,
        "cellsearch delete quick\ncellsearch delete quick --yes",
        "Asks for confirmation on a terminal; needs --yes elsewhere. Refused while the search or one of its "
        "workers is running.",
        order=22,
    ),
    Verb(
        "archive", "write a search to one file", _archive, run_archive,
        "cellsearch archive quick\ncellsearch archive quick backup/quick.tar.gz --force",
        "The archive has a consistent copy of the database, the space, cells, logs, exports, models, and a "
        "manifest with checksums. Refused while the search or one of its workers is running.",
        order=23,
    ),
    Verb(
        "restore", "restore a search from an archive", _restore, run_restore,
        "cellsearch restore quick.tar.gz\ncellsearch restore quick.tar.gz --name again",
        "Checks an archive before it restores anything: only regular files that a search has, with the sizes "
        "and checksums of the manifest, and a database with one study. Executes nothing in it.",
        order=24,
    ),
    Verb(
        "migrate", "convert a search of an earlier version", _migrate, run_migrate,
        "cellsearch migrate quick\ncellsearch migrate --storage postgresql://user@host/db",
        "Migrates all searches of the database in one transaction. Copies an SQLite file to a backup beside "
        "it first.",
        order=25,
    ),
)  # fmt: skip
