"""`cellsearch dashboard`: Optuna's dashboard on a finished or running search, read-only."""

import argparse
import threading
import webbrowser

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb
from cellsearch.errors import printable

LOCAL = ("127.0.0.1", "::1", "localhost")


def arguments(parser: Parser) -> None:
    """The search, and the address."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of a search (default: the newest)")
    options.storage(parser)
    parser.add_argument(
        "--port", type=numbers.whole(0, 65_535), default=8080, metavar="N",
        help="port to listen on; 0 for any free port (default: 8080)",
    )  # fmt: skip
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST",
        help="address to listen on (default: 127.0.0.1, this machine only)",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the dashboard in a web browser")


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Serves until Ctrl-C."""
    from cellsearch.report.searches.dashboard import Server, application
    from cellsearch.study import studies
    from cellsearch.study.tables import records

    study = studies.opened(args.name or studies.newest(), args.storage, copies=terminal.note)
    store = study.store
    app = application(store, lambda said: terminal.tell(said, "yellow"))
    with Server(args.host, args.port, app) as server:
        url = f"{server.url}/dashboard/studies/{records.optuna_id(store)}"
        if args.host not in LOCAL:
            terminal.tell(
                "the dashboard has no password: every machine that reaches this one can read it", "yellow"
            )
        terminal.tell(f"dashboard of {printable(store.name)}, read-only; press Ctrl-C to end it")
        terminal.text(f"{url}\n")
        terminal.out.file.flush()
        if args.open:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server.serve_forever()
    return 0


VERBS = (
    Verb(
        "dashboard", "open Optuna's dashboard on a search in a web browser", arguments, run,
        "cellsearch dashboard quick --open\n"
        "cellsearch dashboard big --storage postgresql://user@host/db --port 0",
        "Reads a finished or running search and changes nothing. Prints its address on stdout; Ctrl-C ends "
        "it. Needs the package optuna-dashboard: pip install 'cellsearch[dashboard]'.",
        order=15,
    ),
)  # fmt: skip
