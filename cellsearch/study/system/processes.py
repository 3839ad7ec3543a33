"""Identity of this machine and of processes, and one lock per study.

A pid may be reused; the pair of pid and start time is unique.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from cellsearch.errors import RunError, printable
from cellsearch.files import open_own

_PROC = Path("/proc/self/stat").exists()


def machine() -> str:
    """An identifier for the set of processes that can see each other: host, boot and (in containers) pid
    namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # only Linux has these two; elsewhere use only the host name
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"{parts[0][:60]}#{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


def cores() -> int:
    """The number of cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def started(pid: int) -> str:
    """The start time of process `pid`, in units of the system; "" without such a process (zombies count as
    exited)."""
    if not _possible(pid):
        return ""
    if _PROC:
        fields = _fields(pid)
        return "" if not fields or fields[0] in "ZX" else fields[19]
    return _asked("lstart=", pid)


def lives(pid: int, since: str) -> bool:
    """Whether the process `pid` with start time `since` is still running."""
    return bool(since) and started(pid) == since


def stopped(pid: int) -> bool:
    """Whether process `pid` is stopped by a signal or a debugger."""
    state = _fields(pid)[:1] if _PROC else [_asked("state=", pid)]
    return state[0][:1] in ("T", "t") if state else False


def kill_recorded(pid: int, since: str, command: Sequence[str]) -> bool:
    """Kills a recorded process if its identity is certain: start time, owner (this user) and program (that of
    `command`) agree. Returns whether it was killed. A record may be damaged, stale or forged. So process
    groups, all processes, pid 1 and this process are never signalled, and a pidfd ensures that the checked
    process is the one that is killed, even if the pid is reused meanwhile.
    """
    if not _possible(pid) or pid in (1, os.getpid()):
        return False
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # forbidden, as in some containers
            return False
        handle = None
    try:
        if not (lives(pid, since) and _owner(pid) == os.geteuid()):
            return False
        if (program := _program(_words(pid))) is None or program != _program(command):
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if handle is not None:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
            return True
        return False
    finally:
        if handle is not None:
            os.close(handle)


def _possible(pid: object) -> bool:
    """Whether it is a valid pid of a single process. SQLite may store text in a numeric column."""
    return type(pid) is int and 0 < pid < 1 << 31


def _program(command: Sequence[str]) -> str | None:
    """The module or script that an interpreter runs; None for other commands."""
    match list(command[1:3]):
        case ["-m", module]:
            return module
        case [script, *_] if not script.startswith("-"):
            return script
    return None


def _owner(pid: int) -> int | None:
    if not _PROC:
        return int(answer) if (answer := _asked("uid=", pid)).isdecimal() else None
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_uid
    return None


def _words(pid: int) -> list[str]:
    """The command line of a process."""
    if not _PROC:
        return _asked("command=", pid).split()
    with contextlib.suppress(OSError):
        return [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    return []


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, state first; empty without such a process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _asked(what: str, pid: int) -> str:
    """A field of a process from `ps`."""
    answer = subprocess.run(["ps", "-o", what, "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`; the system releases the lock at any exit of the process. If another process
    holds it, a RunError names that process. Uses `flock` directly, not the package filelock: on supported
    systems that package calls `flock` too, but it would neither write the pid into the file nor refuse a link
    in its place, as `open_own` does.
    """
    try:
        handle = open_own(path, os.O_RDWR | os.O_CREAT)
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
                f"{what} is already running on this machine (process {holder})\n"
                "watch it with `cellsearch status`, or stop that process first"
            ) from None
        except OSError as error:
            raise RunError(f"cannot lock {printable(str(path))}: {error.strerror}") from error
        with contextlib.suppress(OSError):  # on a full disk: the pid is informative, the lock is held
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)
