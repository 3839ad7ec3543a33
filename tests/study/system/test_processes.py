"""What is signalled because a record names it, and what never is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.system import processes
from cellsearch.study.system.timing import TIMING
from cellsearch.study.workers.pool import WORKER
from tests.study.scripted import new_study, space_of

SLEEPER = (sys.executable, str(Path(__file__).parents[1] / "sleeper.py"))
ODD: list[Any] = [0, -1, -(2**31), 2**31, 2**70, "1", "self", "../..", b"1", None, 1.0, True]


KILL = os.kill  # a test replaces it


def ended(process: "subprocess.Popen[bytes]") -> None:
    if process.returncode is None:
        KILL(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def group() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a group of its own."""
    process = subprocess.Popen(SLEEPER, start_new_session=True)
    try:
        while (
            processes._program(processes._words(process.pid)) is None
        ):  # for a moment after exec it has no words
            time.sleep(0.01)
        yield process
    finally:
        ended(process)


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The signals that would have been sent: nothing is killed where a test fails."""
    sent: list[Any] = []
    monkeypatch.setattr(os, "kill", lambda *order: sent.append(order))
    monkeypatch.setattr(os, "killpg", lambda *order: sent.append(order))
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *order: sent.append(order))
    return sent


def test_the_process_of_a_record_is_killed(group: "subprocess.Popen[bytes]") -> None:
    began = processes.started(group.pid)
    assert processes.lives(group.pid, began)
    assert processes.kill_recorded(group.pid, began, SLEEPER)
    assert group.wait(5) == -signal.SIGKILL
    assert not processes.kill_recorded(group.pid, began, SLEEPER)


@pytest.mark.parametrize("pid", ODD, ids=repr)
def test_a_number_that_is_no_process_is_neither_signalled_nor_looked_up(
    pid: Any, signals: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = processes.started(os.getppid())
    for name in ("_fields", "_words", "_owner", "_asked"):
        monkeypatch.setattr(processes, name, lambda *_: pytest.fail("looked up"))
    for since in ("", "1", real):
        assert not processes.lives(pid, since)
        assert not processes.kill_recorded(pid, since, SLEEPER)
    assert signals == []


def test_the_group_of_a_process_is_not_signalled(
    group: "subprocess.Popen[bytes]", signals: list[Any]
) -> None:
    for since in ("", processes.started(group.pid)):
        assert not processes.kill_recorded(-group.pid, since, SLEEPER)
    assert signals == []


def test_the_first_process_and_this_one_are_not_signalled(signals: list[Any]) -> None:
    for pid in (1, os.getpid()):
        words = [os.fsdecode(w) for w in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        assert not processes.kill_recorded(pid, processes.started(pid), words)
    assert signals == []


@pytest.mark.parametrize("since", ["", "1", "x"])
def test_a_process_that_started_at_another_time_is_not_signalled(
    group: "subprocess.Popen[bytes]", signals: list[Any], since: str
) -> None:
    assert not processes.lives(group.pid, since)
    assert not processes.kill_recorded(group.pid, since, SLEEPER)
    assert signals == []


@pytest.mark.parametrize(
    "command",
    [
        WORKER,
        (),
        (sys.executable,),
        (sys.executable, "-c", "1"),
        (sys.executable, "sleeper.py"),
        (SLEEPER[1],),
    ],
    ids=lambda words: " ".join(words[1:])[-30:],
)
def test_a_process_of_another_program_is_not_signalled(
    group: "subprocess.Popen[bytes]", signals: list[Any], command: tuple[str, ...]
) -> None:
    assert not processes.kill_recorded(group.pid, processes.started(group.pid), command)
    assert signals == []


def test_a_process_without_a_program_is_not_signalled(signals: list[Any]) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    process = subprocess.Popen(command)
    try:
        assert not processes.kill_recorded(process.pid, processes.started(process.pid), command)
    finally:
        ended(process)
    assert signals == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start a process as somebody else")
def test_a_process_of_somebody_else_is_not_signalled(signals: list[Any]) -> None:
    command = ("/bin/sleep", "60")  # what `nobody` may execute
    process = subprocess.Popen(command, user=65_534, group=65_534, extra_groups=[])
    try:
        limit = time.monotonic() + 5
        while processes._words(process.pid) != [*command, ""] and time.monotonic() < limit:
            time.sleep(0.01)
        assert not processes.kill_recorded(process.pid, processes.started(process.pid), command)
    finally:
        ended(process)
    mine = subprocess.Popen(command)
    try:
        time.sleep(0.1)
        assert processes.kill_recorded(mine.pid, processes.started(mine.pid), command)
    finally:
        ended(mine)
    assert len(signals) == 1


def test_a_process_that_ends_while_it_is_looked_at_is_no_error(
    group: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    since, words = processes.started(group.pid), processes._words(group.pid)

    def gone(_pid: int) -> list[str]:
        ended(group)
        return words

    monkeypatch.setattr(processes, "_words", gone)
    assert not processes.kill_recorded(group.pid, since, SLEEPER)


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_a_system_that_refuses_is_no_error(
    group: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    assert not processes.kill_recorded(group.pid, processes.started(group.pid), SLEEPER)


def test_without_descriptors_of_processes_the_same_holds(
    group: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    since = processes.started(group.pid)
    assert not processes.kill_recorded(group.pid, "1", SLEEPER)
    assert processes.kill_recorded(group.pid, since, SLEEPER)
    assert group.wait(5) == -signal.SIGKILL


def test_orphans_that_records_make_up_are_left_alone(
    tmp_path: Path, group: "subprocess.Popen[bytes]", signals: list[Any]
) -> None:
    store = replace(new_study(tmp_path, space_of()), timing=replace(TIMING, orphans=0.1))
    host, began = processes.machine(), processes.started(group.pid)
    rows = [
        (-group.pid, ""),
        (-1, ""),
        (0, ""),
        (1, processes.started(1)),
        (group.pid, ""),
        (group.pid, began),
    ]
    for k, (pid, since) in enumerate(rows):
        heartbeat.register(store, Worker(f"made-up-{k}", "worker", host, pid, since, "a-dead-search"))
    heartbeat.end_orphans(store, WORKER)
    assert signals == []
    left = [worker.id for worker in heartbeat.listed(store) if heartbeat.alive(worker)]
    assert left == ["made-up-3", "made-up-5"]  # other programs: heartbeats give them up
