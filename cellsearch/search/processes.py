"""Which process is which: identity of this machine and of a process, one lock per study.

A process id alone is reused; together with the time its process started it is not.
"""

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cellsearch.errors import RunError, printable


def machine() -> str:
    """A name for the set of processes that can see each other: host, boot and (in containers) process
    namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # only Linux has these two; elsewhere the host name has to do
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"{parts[0][:60]}#{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


def started(pid: int) -> str:
    """When process `pid` started, in its system's own units; "" where there is no such process (a zombie is
    none)."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`; the system drops the lock when its process ends, however it ends.

    Where another process holds it, a RunError names that process.
    """
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"cannot write {printable(str(path))}: {error.strerror}\nchange the permissions"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = printable(file.read().strip()) or "unknown"
            raise RunError(
                f"{what} is already being run on this machine (process {holder})\n"
                "watch it with `cellsearch status`, or stop that process first"
            ) from None
        except OSError as error:
            raise RunError(f"cannot lock {printable(str(path))}: {error.strerror}") from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
