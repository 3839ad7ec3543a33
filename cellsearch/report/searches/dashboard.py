"""Optuna's dashboard on a study, over HTTP, read-only.

Requests that write (rename and delete studies, tell trials, save notes) are refused before they reach the
dashboard, and its storage is opened read-only.
"""

import json
import logging
import socket
from collections.abc import Callable, Iterable
from importlib import import_module
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from cellsearch.errors import RunError, UsageError, printable
from cellsearch.study.tables.transactions import Store

INSTALL = "pip install 'cellsearch[dashboard]'"
REFUSED = "the dashboard of a search is read-only"

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Tell = Callable[[str], None]


def application(store: Store, tell: Tell) -> App:
    """The dashboard as a WSGI application; `tell` receives each new error. Raises RunError if it is not
    installed."""
    try:
        dashboard: Any = import_module("optuna_dashboard")
    except ModuleNotFoundError as error:
        raise RunError(f"the dashboard needs the package {error.name!r}\n{INSTALL}") from error
    # imported here: it loads Optuna
    from cellsearch.study.storage.read_view import view

    app = dashboard.wsgi(view(store))
    app.catchall = False  # Bottle raises errors instead of printing tracebacks
    tell = once(tell)
    logger = logging.getLogger("optuna_dashboard")  # it handles most errors itself and logs a traceback
    logger.propagate, logger.handlers = False, [Told(tell)]
    return guarded(app, tell)


def once(tell: Tell) -> Tell:
    """`tell` without repeated texts: the page polls every few seconds."""
    last = ""

    def told(said: str) -> None:
        nonlocal last
        if said != last:
            tell(said)
        last = said

    return told


class Told(logging.Handler):
    """The first line of an error."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.ERROR)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        first = record.getMessage().partition("\n")[0]
        self.tell(printable(first.removeprefix("Exception: "), 400))


def guarded(app: App, tell: Tell) -> App:
    """`app` with write requests refused and errors as JSON."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return refuse(start, "403 Forbidden", REFUSED)
        try:
            return app(environ, start)
        except Exception as error:
            said = printable(str(error).partition("\n")[0] or type(error).__name__, 400)
            tell(said)
            return refuse(start, "500 Internal Server Error", said)

    return answer


def refuse(start: Callable[..., Any], status: str, reason: str) -> list[bytes]:
    """An error response in the dashboard's format."""
    body = json.dumps({"reason": reason}).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class Server(ThreadingMixIn, WSGIServer):
    """A server with one thread per request."""

    daemon_threads = True

    def __init__(self, host: str, port: int, app: App) -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family = found[0][0]
            super().__init__((host, port), Quiet)
        except socket.gaierror as error:
            raise UsageError(f"--host {printable(host, 100)}: {error.strerror}") from error
        except OSError as error:
            raise RunError(
                f"cannot listen on {printable(host, 100)}, port {port}: {error.strerror}\n"
                "choose another --port (0: any that is free) or --host"
            ) from error
        self.set_app(app)

    @property
    def url(self) -> str:
        """The URL for a browser."""
        host, port = self.server_address[:2]
        name = str(host)
        if name in ("0.0.0.0", "::"):
            name = socket.gethostname()
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def server_bind(self) -> None:
        """Skips the reverse look-up of the host name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores closed connections."""


class Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        pass
