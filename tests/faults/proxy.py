"""A way to a server that can be cut: connections refused, or kept without a word, as a network does that is gone."""

import socket
import threading
from contextlib import suppress
from types import TracebackType


class Proxy:
    """`with Proxy(host, port) as proxy`: what connects to 127.0.0.1 at `proxy.port` reaches the server, until
    `refuse` or `silence`, and again after `open`."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._passing = threading.Event()
        self._passing.set()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.port = 0
        self._listener: socket.socket | None = None

    def __enter__(self) -> "Proxy":
        self.open()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.refuse()
        self._passing.set()

    def open(self) -> None:
        """Lets everything pass."""
        self._passing.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Cuts all connections and refuses new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def silence(self) -> None:
        """Keeps all connections, takes new ones, and passes nothing on."""
        self._passing.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # it was closed
                return
            try:
                far = socket.create_connection(self._server, timeout=10)
            except OSError:  # the server itself is not there
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._sockets += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self._passing.wait()
                target.sendall(data)
        except OSError:  # cut
            pass
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
