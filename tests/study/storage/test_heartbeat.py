"""Who lives: heartbeats without clocks, dead processes, workers that were given up and come back."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cellsearch.errors import RunError
from cellsearch.study.storage import endings, heartbeat
from cellsearch.study.storage.driver import open_driver
from cellsearch.study.storage.heartbeat import Heart, Watch, Worker
from cellsearch.study.system import processes
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import queries, records
from tests.study.scripted import Scripted, drivers, new_study, one_of, space_of, take_one, work

SPACE = space_of()
SLEEPER = (sys.executable, str(Path(__file__).parents[1] / "sleeper.py"))


def worker(name: str) -> Worker:
    return Worker(name, "worker", "elsewhere", 1, "1")


def sleeper() -> "subprocess.Popen[bytes]":
    """A process that ends neither by itself nor with its parent: a worker that was stopped."""
    return subprocess.Popen(SLEEPER)


def test_a_watch_gives_up_who_stands_still_for_so_many_looks() -> None:
    watch = Watch(silent=3)
    for look in range(3):
        assert watch.look({"a": look, "b": 7, "me": 7}, "me") == []
    assert watch.look({"a": 3, "b": 7, "me": 7}, "me") == ["b"]
    assert watch.look({"a": 3, "b": 8, "me": 7}, "me") == []


def test_a_long_pause_of_the_watcher_is_one_look() -> None:
    watch = Watch(silent=2)
    watch.look({"a": 1}, "me")
    assert watch.look({"a": 1}, "me") == []  # whatever time lay in between, for both of them
    assert watch.look({"a": 1}, "me") == ["a"]


def test_a_process_is_known_by_its_start_and_not_by_its_number_alone() -> None:
    process = sleeper()
    living = heartbeat.identity("worker", process.pid)
    assert heartbeat.alive(living)
    assert not heartbeat.alive(replace(living, started="1"))
    process.kill()
    limit = time.monotonic() + 5
    while heartbeat.alive(living) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not heartbeat.alive(living)  # a zombie: nobody has waited for it yet
    process.wait()
    assert processes.started(process.pid) == ""


def test_the_trials_of_a_dead_process_of_this_machine_are_free_at_once(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    process = sleeper()
    dead = heartbeat.identity("worker", process.pid)
    taken = []
    for one in (dead, replace(worker("far"), started="9"), heartbeat.myself("worker")):
        heartbeat.register(store, one)
        taken.append(take_one(open_driver(store, one.id)))
    assert [(item.trial, item.piece) for item in taken] == [(0, 0), (0, 1), (0, 2)]
    assert heartbeat.recover(store, "me", 9) == []
    process.kill()
    process.wait()
    assert heartbeat.recover(store, "me", 9) == [0]
    assert take_one(open_driver(store, "next")) == taken[0]
    endings.release(store, ["next"], "me", failures=9)
    assert [w.id for w in heartbeat.listed(store)] == sorted(["far", heartbeat.myself("worker").id])
    assert queries.counts(store).running == 2


def test_orphans_are_waited_for_and_stopped_ones_killed(tmp_path: Path) -> None:
    store = replace(new_study(tmp_path, SPACE), timing=replace(TIMING, orphans=0.3))
    mine = heartbeat.myself("search")
    heartbeat.register(store, mine)
    orphan, other, free = sleeper(), sleeper(), sleeper()
    heartbeat.register(store, heartbeat.identity("worker", orphan.pid, "search-of-a-dead-one"))
    heartbeat.register(store, heartbeat.identity("worker", other.pid, mine.id))
    heartbeat.register(store, heartbeat.identity("worker", free.pid))
    heartbeat.end_orphans(store, SLEEPER)
    assert orphan.wait(5) == -signal.SIGKILL
    assert other.poll() is None  # its search lives
    assert free.poll() is None  # it was started by hand
    for process in (other, free):
        process.kill()
        process.wait()


def test_a_heart_beats_shows_and_takes_over(tmp_path: Path) -> None:
    store = replace(new_study(tmp_path, SPACE), timing=replace(TIMING, beat=0.01, silent=3))
    heartbeat.register(store, worker("silent"))
    take_one(open_driver(store, "silent"))
    heart = Heart(store, heartbeat.myself("worker"), 9)
    with heart:
        heart.doing = "trial 7"
        limit = time.monotonic() + 10
        while len(heartbeat.listed(store)) > 1 and time.monotonic() < limit:
            time.sleep(0.01)
        rows = heartbeat.listed(store)
    assert [(row.id, row.doing) for row in rows] == [(heart.worker.id, "trial 7")]
    assert rows[0].beat >= 3
    assert queries.counts(store).free == 14


def test_who_was_given_up_is_there_again_with_the_next_beat(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    me = heartbeat.myself("worker")
    heartbeat.register(store, me)
    heartbeat.leave(store, [me.id], "other", failures=9)
    heartbeat.beat(store, me, "back")
    assert [row.id for row in heartbeat.listed(store)] == [me.id]


@pytest.mark.long
def test_a_worker_that_was_given_up_goes_on_with_another_trial(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    me = heartbeat.myself("worker").id
    stolen: list[int] = []
    thief = drivers(store)("thief")

    def steal(mark: str, task: str) -> None:
        if not stolen:
            stolen.extend(endings.release(store, [me], "other", failures=9))
            assert [take_one(thief).trial] == stolen

    lab = Scripted(before=steal)

    def release(mark: str, task: str) -> None:
        endings.release(store, ["thief"], "other", failures=9)

    lab.before = lambda mark, task: steal(mark, task) if not stolen else release(mark, task)
    work(store, SPACE, lab, one_of(9))
    counts = queries.counts(store)
    assert (counts.trials, counts.failed, counts.running) == (12, 0, 0)
    assert (
        len(lab.runs) == counts.settings + 4
    )  # the four of the stolen stage were run again by the worker that adopted it


def test_a_lock_is_held_by_one_and_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "search.lock"
    code = (
        "import sys, time; from pathlib import Path; from cellsearch.study.system.processes import exclusive\n"
        "with exclusive(Path(sys.argv[1]), 'it'): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=rf"it is already running on this machine \(process {process.pid}\)"):
        with processes.exclusive(path, "it"):
            pytest.fail("held twice")
    process.kill()
    process.communicate()
    with processes.exclusive(path, "it"):
        assert path.read_text() == str(os.getpid())


def test_a_study_without_workers_has_none(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    assert heartbeat.listed(store) == []
    assert heartbeat.recover(store, "me", 9) == []
    assert not records.facts(store).stopped


def test_machines_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = processes.machine()
    read, link = Path.read_text, Path.readlink
    assert processes.machine() == mine
    for part in ("boot_id", "ns/pid"):  # another computer; another container on this one
        with monkeypatch.context() as patch:
            if part == "boot_id":
                patch.setattr(
                    Path, "read_text", lambda p, *a, **k: "other" if p.name == "boot_id" else read(p, *a, **k)
                )
            else:
                patch.setattr(Path, "readlink", lambda p: Path("pid:[1]") if p.name == "pid" else link(p))
            other = processes.machine()
        assert other != mine
        assert other.partition("#")[0] == mine.partition("#")[0]
