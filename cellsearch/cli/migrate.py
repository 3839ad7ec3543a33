"""`cellsearch migrate`: a database of an earlier version, brought up to date."""

import argparse

from cellsearch.cli.terminal import Terminal
from cellsearch.errors import UsageError, printable
from cellsearch.study.studies import RESULTS
from cellsearch.study.tables.database import shown
from cellsearch.study.workers.run import default_url


def run_migrate(args: argparse.Namespace, terminal: Terminal) -> int:
    """Migrates the database of a search, or of all searches in a storage."""
    # here: it loads Optuna
    from cellsearch.study.migrations.migrate import migrate

    if args.name is None and args.storage is None:
        raise UsageError("name a search, as in `cellsearch migrate quick`, or a database, with --storage URL")
    url = args.storage or default_url(RESULTS, args.name)
    changed = migrate(url, lambda line: terminal.tell(line, "dim"))
    terminal.tell(f"{printable(shown(url))}: {'migrated' if changed else 'up to date'}")
    return 0
