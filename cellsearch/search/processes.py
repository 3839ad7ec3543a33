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

_PROC = Path("/proc/self/stat").exists()


def machine() -> str:
    """A name for the set of processes that can see each other: host, boot and (in containers) process
    namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # only Linux has these two; elsewhere the host name has to do
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"{parts[0][:60]}#{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def started(pid: int) -> str:
    """When process `pid` started, in its system's own units; "" where there is no such process (a zombie is
    none)."""
    if _PROC:
        fields = _fields(pid)
        return "" if not fields or fields[0] in "ZX" else fields[19]
    return _asked("lstart=", pid)


def stopped(pid: int) -> bool:
    """Whether there is a process `pid` that stands still until it is told to go on (SIGSTOP, a debugger)."""
    state = _fields(pid)[:1] if _PROC else [_asked("state=", pid)]
    return state[0][:1] in ("T", "t") if state else False


def _fields(pid: int) -> list[str]:
    """What Linux says of a process behind its name: state first; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _asked(what: str, pid: int) -> str:
    """What `ps` says of a process."""
    answer = subprocess.run(["ps", "-o", what, "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`; the system drops the lock when its process ends, however it ends.

    Where another process holds it, a RunError names that process.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise RunError(
            f"cannot write {printable(str(path))}: {error.strerror}\n"
            "free some space, or change the permissions"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = printable(os.read(handle, 100).decode("utf-8", "replace").strip()) or "unknown"
            raise RunError(
                f"{what} is already being run on this machine (process {holder})\n"
                "watch it with `cellsearch status`, or stop that process first"
            ) from None
        except OSError as error:
            raise RunError(f"cannot lock {printable(str(path))}: {error.strerror}") from error
        with contextlib.suppress(OSError):  # on a full disk: the number is for people, the lock is held
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)
