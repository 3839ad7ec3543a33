"""`cellsearch dashboard`: Optuna's dashboard on a search, read-only, also while it runs."""

import argparse
import threading
import webbrowser

from cellsearch.cli.terminal import Terminal
from cellsearch.errors import printable
from cellsearch.report.searches.dashboard import Server, application
from cellsearch.study import studies
from cellsearch.study.tables import records

LOCAL = ("127.0.0.1", "::1", "localhost")


def run_dashboard(args: argparse.Namespace, terminal: Terminal) -> int:
    """Serves until Ctrl-C."""
    study = studies.opened(args.name or studies.newest(), args.storage)
    store = study.store
    app = application(store, lambda said: terminal.tell(said, "yellow"))
    with Server(args.host, args.port, app) as server:
        url = f"{server.url}/dashboard/studies/{records.optuna_id(store)}"
        if args.host not in LOCAL:
            terminal.tell("everyone who reaches this machine can read it; it has no password", "yellow")
        terminal.tell(f"dashboard of {printable(store.name)}, read-only; Ctrl-C ends it")
        terminal.text(f"{url}\n")
        terminal.out.file.flush()
        if args.open:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server.serve_forever()
    return 0
