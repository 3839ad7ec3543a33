"""Agents placed through submitit: on its local executor, and through an `sbatch` that is a script of the test."""

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cellsearch.errors import RunError, UsageError
from cellsearch.study.launch import place, slurm
from cellsearch.study.launch.place import Places
from cellsearch.study.leaderboard import board
from cellsearch.study.storage import heartbeat
from cellsearch.study.tables import queries
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.agent import AgentConfig
from tests.study.scripted import new_study, space_of

LAUNCHED = Path(__file__).with_name("launched.py")
SPACE = space_of()
OPEN = 14  # work items of a new study: 6 pieces of each of two seeds, and one that tells it


def command(seconds: float) -> tuple[str, ...]:
    return (sys.executable, str(LAUNCHED), str(seconds))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "s").mkdir()
    return new_study(tmp_path / "s", SPACE, trials=6)


def config_of(store: Store, tmp_path: Path, places: Places) -> AgentConfig:
    return place.config_of("s", store.url, places, tmp_path, None)


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(int(folder.name))
    return found


def held(store: Store) -> list[str]:
    """The workers that are listed and live."""
    return [w.id for w in heartbeat.listed(store) if heartbeat.alive(w)]


def finished(store: Store) -> bool:
    return board.status(store, SPACE).finished


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_jobs_work_a_search_off_and_one_that_is_preempted_comes_back(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    places = Places(2, hours=0.1, command=command(0.3))
    jobs = slurm.launch(config_of(store, tmp_path, places), places, cluster="local")
    until(lambda: queries.counts(store).running == 2)
    (task,) = children(jobs[0]._process.pid)  # what Slurm sends goes to the processes of the job
    os.kill(task, signal.SIGUSR2)
    logs = tmp_path / "s" / "logs"
    until(lambda: len(list(logs.glob("*-1.log"))) == 3)  # queued again, and there again: a third agent
    for job in jobs:
        assert job.result() in (0, 1)
    assert finished(store)
    counts = queries.counts(store)
    assert (counts.trials, counts.failed, counts.running, counts.free) == (6, 0, 0, 0)
    until(lambda: not heartbeat.listed(store))


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_a_job_that_is_ended_gives_back_what_it_has_begun(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    places = Places(1, workers=2, hours=0.1, command=command(60.0))
    (job,) = slurm.launch(config_of(store, tmp_path, places), places, cluster="local")
    until(lambda: queries.counts(store).running == 2)
    (task,) = children(job._process.pid)
    os.kill(task, signal.SIGTERM)
    until(lambda: queries.counts(store).free == OPEN)
    until(lambda: not heartbeat.listed(store))
    assert children(job._process.pid) == [task]  # it waits to be ended, so that it may be queued again
    os.kill(task, signal.SIGKILL)
    until(lambda: job._process.poll() is not None)
    counts = queries.counts(store)
    assert (counts.running, counts.failed) == (0, 0)


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_a_job_that_is_killed_leaves_no_process_behind(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    places = Places(1, hours=0.1, command=command(60.0))
    (job,) = slurm.launch(config_of(store, tmp_path, places), places, cluster="local")
    until(lambda: queries.counts(store).running == 1)
    (task,) = children(job._process.pid)
    os.kill(task, signal.SIGKILL)
    until(lambda: not held(store))
    # the agent itself was not killed: it has given back
    until(lambda: queries.counts(store).free == OPEN)
    assert queries.counts(store).failed == 0
    job._process.wait(20)


SBATCH = """\
#!/bin/sh
for last; do :; done
cp "$last" "$CELLSEARCH_TEST_BATCH"
echo "Submitted batch job 42"
"""


def test_what_slurm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through an `sbatch` that keeps what it is given; there is no Slurm behind it."""
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("sbatch", "srun"):
        (fake / name).write_text(SBATCH)
        (fake / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    monkeypatch.setenv("CELLSEARCH_TEST_BATCH", str(tmp_path / "batch.sh"))
    options = {"account": "cells", "qos": "low"}
    places = Places(64, 2, 4, hours=12.0, memory=32, partition="gpu", options=options)
    url = "postgresql://user:verysecret@host/db"
    jobs = slurm.launch(place.config_of("big", url, places, tmp_path, None), places)
    assert [job.job_id for job in jobs][::63] == ["42_0", "42_63"]
    said = (tmp_path / "batch.sh").read_text()
    wanted = ("array=0-63%64", "account=cells", "qos=low", "partition=gpu", "time=720", "gpus-per-node=4")
    for line in (*wanted, "cpus-per-task=8", "mem=32GB", "signal=USR2@90"):
        assert f"#SBATCH --{line}\n" in said
    folder = tmp_path / "big" / "launch"
    (orders,) = folder.glob("orders-*.json")
    assert stat.S_IMODE(orders.stat().st_mode) == 0o600
    assert json.loads(orders.read_text())["storage"] == url
    for file in folder.rglob("*"):
        if file.is_file() and file != orders:
            assert b"verysecret" not in file.read_bytes(), file


def test_what_slurm_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    places = Places(1)
    with pytest.raises(RunError, match="does not take the jobs"):
        slurm.launch(place.config_of("s", "postgresql://h/d", places, tmp_path, None), places)


def test_a_file_is_refused_and_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="need a server"):
        place.check("sqlite:///study.db")
    place.check("postgresql://host/db")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(RunError, match=r"pip install 'cellsearch\[slurm\]'"):
        place.package("submitit", "slurm")
