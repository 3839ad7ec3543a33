"""Workers on several devices, those that join from elsewhere, and what follows when one ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from cellsearch.errors import RunError
from cellsearch.study.leaderboard import board
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.exit_codes import ExitCode
from cellsearch.study.tables import queries
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers import agent, pool, worker_exits
from cellsearch.study.workers.agent import Agent, AgentConfig
from cellsearch.study.workers.pool import STRIKES, Exit, Pool, WorkerConfig, places
from tests.study.scripted import new_study, space_of

SPACE = space_of()
OPEN = 14  # work items of a new study: 6 pieces of each of two seeds, and one that tells it
RUNNER = Path(__file__).parents[1] / "runner.py"
ECHO = (sys.executable, "-c", "import sys; print(sys.stdin.readline()); sys.exit(%d)")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "s").mkdir()
    return new_study(tmp_path / "s", SPACE, trials=6)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


def echoing(tmp_path: Path, devices: tuple[str, ...], code: int = 0) -> Pool:
    """Workers that say what their orders are and end."""
    command = (*ECHO[:2], ECHO[2] % code)
    return Pool(devices, WorkerConfig("s", "sqlite:///none", "cpu", None), command, tmp_path)


def all_gone(some: Pool) -> list[Exit]:
    until(lambda: all(child.process.poll() is not None for child in some.children))
    return some.reap()


def test_so_many_workers_on_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.processes, "cores", lambda: 4)
    assert places(("cpu",), None) == ("cpu",) * 4
    assert places(("cpu",), 2) == ("cpu", "cpu")
    assert places(("cuda:0", "cuda:1"), None) == ("cuda:0", "cuda:1")
    assert places(("cuda:0", "cuda:1"), 2) == ("cuda:0", "cuda:1", "cuda:0", "cuda:1")
    assert places(("cuda:3", "cpu"), None) == ("cuda:3", "cpu", "cpu", "cpu", "cpu")
    monkeypatch.setattr(pool.processes, "cores", lambda: 64)
    assert places(("cpu",), None) == ("cpu",) * pool.MOST_WORKERS


def test_each_worker_has_its_device_in_its_orders_and_keeps_it(tmp_path: Path) -> None:
    there = ("cuda:0", "cuda:1", "cpu")
    some = echoing(tmp_path, there)
    for _ in range(2):  # started, and started again
        assert some.fill(9) == 3
        gone = {one.place: one for one in all_gone(some)}
        for place, device in enumerate(there, 1):
            assert gone[place].device == device
            assert json.loads(gone[place].said)["device"] == device
    assert some.fill(1) == 1
    assert [one.device for one in all_gone(some)] == ["cuda:0"]


def test_a_device_that_is_gone_is_left_out_and_no_trial_pays_for_it(tmp_path: Path, store: Store) -> None:
    some = echoing(tmp_path, ("cuda:0", "cuda:1"), ExitCode.DEVICE_GONE)
    for strike in range(1, STRIKES + 1):
        some.fill(2)
        gone = {one.place: one for one in all_gone(some)}
        found = worker_exits.handle_exit(store, "me", some, SPACE, gone[1])
        assert not found.crash
        assert ("its worker is restarted" in found.message) == (strike < STRIKES)
        assert some.strikes.get(2, 0) == 0
    assert "it is unused" in found.message
    assert some.places == [2]
    assert some.size == 1
    some.strikes[2] = STRIKES - 1
    with pytest.raises(RunError, match="no device is left"):
        worker_exits.handle_exit(store, "me", some, SPACE, gone[2])


def test_one_good_worker_clears_the_strikes_of_its_place(tmp_path: Path, store: Store) -> None:
    some = echoing(tmp_path, ("cuda:0",))
    some.strikes[1] = STRIKES - 1
    some.fill(1)
    (gone,) = all_gone(some)
    assert worker_exits.handle_exit(store, "me", some, SPACE, gone).done
    assert not some.strikes


@pytest.mark.parametrize(
    ("code", "told", "crash"),
    [
        (0, "", ""),
        (-signal.SIGTERM, "", ""),
        (-signal.SIGUSR2, "", ""),
        (ExitCode.OVERDUE, "longer than 2 hours", ""),
        (ExitCode.AWAY, "gave up on the database: last line", ""),
        (ExitCode.DEVICE_GONE, "last line", ""),
        (-signal.SIGKILL, "a worker ended with signal 9: last line", "signal 9: last line"),
        (3, "a worker ended with exit code 3: last line", "exit code 3: last line"),
    ],
)
def test_what_follows_from_an_exit(code: int, told: str, crash: str) -> None:
    found = worker_exits.verdict(Exit("w", code, "first\nlast line", 1, "cuda:0"), 2)
    assert told in found.message
    assert found.crash == crash
    assert found.done == (code == 0)


def test_an_error_for_people_is_told_whole() -> None:
    with pytest.raises(RunError, match="the data is gone\nbring it back"):
        worker_exits.verdict(Exit("w", ExitCode.FATAL, "the data is gone\nbring it back", 1, "cpu"), 2)


def test_an_error_that_could_not_be_written_down_is_told_with_a_remedy() -> None:
    with pytest.raises(RunError, match=r"could not write to its log\nfree some space"):
        worker_exits.verdict(Exit("w", ExitCode.UNLOGGED, "", 1, "cpu"), 2)


def start(store: Store, folder: Path, seconds: float, workers: int) -> "subprocess.Popen[bytes]":
    """An agent as a launcher starts it, with scripted workers."""
    code = f"import sys; from cellsearch.study.workers import agent; sys.exit(agent.main({(sys.executable, str(RUNNER), str(seconds))!r}))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=RUNNER.parents[2]
    )
    assert process.stdin is not None
    posting = AgentConfig("s", store.url, str(folder), workers=workers)
    process.stdin.write(json.dumps(asdict(posting)).encode() + b"\n")
    process.stdin.flush()
    return process


@pytest.mark.long
def test_an_agent_works_a_search_off_and_replaces_who_dies(store: Store, tmp_path: Path) -> None:
    process = start(store, tmp_path, 0.2, 2)
    until(lambda: queries.counts(store).running == 2)
    victim = next(w for w in heartbeat.listed(store) if heartbeat.alive(w))
    os.kill(victim.pid, signal.SIGKILL)
    assert process.wait(90) == 0
    _, said = process.communicate()
    assert b"a worker ended with signal 9; another one takes over" in said
    assert board.status(store, SPACE).finished
    assert queries.counts(store).failed == 0
    assert not heartbeat.listed(store)
    assert len(list((tmp_path / "s" / "logs").iterdir())) == 2


@pytest.mark.long
@pytest.mark.parametrize("how", ["input", signal.SIGTERM, signal.SIGUSR2])
def test_an_agent_that_is_to_end_gives_back(store: Store, tmp_path: Path, how: str | signal.Signals) -> None:
    process = start(store, tmp_path, 60.0, 2)
    until(lambda: queries.counts(store).running == 2)
    if isinstance(how, signal.Signals):
        process.send_signal(how)
        code = 128 + how
    else:
        assert process.stdin is not None
        process.stdin.close()
        code = 128
    assert process.wait(30) == code
    for pipe in (process.stdin, process.stderr):
        assert pipe is not None
        pipe.close()
    counts = queries.counts(store)
    assert (counts.running, counts.free, counts.failed) == (0, OPEN, 0)
    assert not heartbeat.listed(store)


def test_a_database_that_is_away_is_waited_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = echoing(tmp_path, ("cpu",), 3)
    told: list[str] = []
    at = Agent(store, SPACE, some, told.append)
    some.fill(1)
    until(lambda: all(child.process.poll() is not None for child in some.children))

    def away(*_: object, **__: object) -> list[int]:
        raise agent.Unavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(heartbeat, "leave", away)
        for _ in range(2):
            with pytest.raises(agent.Unavailable):
                at.step()
    assert len(at.exits) == 1
    at.step()
    assert not at.exits
    assert any("ended with exit code 3" in line for line in told)
    some.end()


def test_workers_that_end_again_and_again_end_the_agent(store: Store, tmp_path: Path) -> None:
    some = echoing(tmp_path, ("cpu",), 3)
    at = Agent(store, SPACE, some, lambda message: None)
    with pytest.raises(RunError, match="exit repeatedly"):
        for _ in range(10_000):
            at.step()
            time.sleep(0.01)
    assert at.starts <= worker_exits.RESTARTS + 3
    some.end()
