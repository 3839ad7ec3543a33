"""Which process is which: identity of this machine and of a process, one lock per study.

A process id alone is reused; together with the time its process started it is not.
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
    if not _possible(pid):
        return ""
    if _PROC:
        fields = _fields(pid)
        return "" if not fields or fields[0] in "ZX" else fields[19]
    return _asked("lstart=", pid)


def lives(pid: int, since: str) -> bool:
    """Whether the process that started at `since` under the number `pid` still runs."""
    return bool(since) and started(pid) == since


def stopped(pid: int) -> bool:
    """Whether there is a process `pid` that a signal or a debugger stopped."""
    state = _fields(pid)[:1] if _PROC else [_asked("state=", pid)]
    return state[0][:1] in ("T", "t") if state else False


def kill_recorded(pid: int, since: str, command: Sequence[str]) -> bool:
    """Kills the process that a record names, where it is certainly the one that was meant: its start time,
    its owner (this user) and its program (that of `command`) agree. Tells whether it did.

    A record may be damaged, old or made up. So no number is signalled that names a group, all processes, the
    first process or this one, and a descriptor makes sure that the process that was looked at is the one
    that is killed, even if its number is given to another one meanwhile.
    """
    if not _possible(pid) or pid in (1, os.getpid()):
        return False
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # forbidden altogether, as in some containers
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
    """Whether it can be the number of one process. SQLite keeps a text in a column of numbers, too."""
    return type(pid) is int and 0 < pid < 1 << 31


def _program(command: Sequence[str]) -> str | None:
    """What an interpreter runs: the module, or the path of the script; None where it is neither."""
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
    """What Linux says of a process behind its name: state first; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _asked(what: str, pid: int) -> str:
    """What `ps` says of a process."""
    answer = subprocess.run(["ps", "-o", what, "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`; the system drops the lock when its process ends, however it ends.

    Where another process holds it, a RunError names that process. `flock` itself, not the package filelock:
    on the systems that this program runs on that package calls `flock` too, and it would neither write the
    process number into the file nor refuse a link in its place, as `open_own` does.
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
