"""Whole searches with real processes: signals, kills, crashes. Training is scripted."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from cellsearch.study.leaderboard import board, events
from cellsearch.study.space import parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.signals import Signals
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import queries, records
from cellsearch.study.tables.schema import items
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.workers.pool import Pool, WorkerConfig
from cellsearch.study.workers.search_supervisor import SearchSupervisor
from tests.faults.processes import stop
from tests.study.scripted import SEEDS, TEXT, new_study, space_of

COORDINATING = Path(__file__).parents[1] / "coordinating.py"
SPACE = space_of()
PIECES = 6  # of a seed: two tasks, 12 settings by fours
OPEN = len(SEEDS) * (PIECES + 1)  # work items of a new study
Process = subprocess.Popen[bytes]


def start(
    folder: Path, workers: int = 1, trials: int = 20, seconds: float = 0.0, *more: str, failpoint: str = ""
) -> Process:
    """A search in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(COORDINATING), str(folder), str(workers), str(trials), str(seconds), *more],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CELLSEARCH_FAILPOINT": failpoint},
        start_new_session=True,
    )


def end(process: Process, timeout: float = 120) -> tuple[int, str]:
    """Its exit code and what it said."""
    _, said = process.communicate(timeout=timeout)
    return process.returncode, said.decode()


def store_of(folder: Path) -> Store:
    return records.open_study(f"sqlite:///{folder / 's' / 'study.db'}", "s")


def table(folder: Path) -> list[board.Row]:
    return board.leaderboard(store_of(folder), SPACE, every=True)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


def maybe(folder: Path) -> Store | None:
    """The study, where it is made already."""
    return records.find(f"sqlite:///{folder / 's' / 'study.db'}", "s")


def settings(folder: Path) -> int:
    """How many settings are recorded."""
    store = maybe(folder)
    return queries.counts(store).settings if store else 0


def running(folder: Path) -> int:
    """How many work items have an owner."""
    store = maybe(folder)
    return queries.counts(store).running if store else 0


def living(folder: Path) -> int:
    """How many worker processes there are."""
    return sum(w.kind == "worker" and heartbeat.alive(w) for w in heartbeat.listed(store_of(folder)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of one worker that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert end(start(folder, trials=8)) == (0, "")
    assert end(start(folder)) == (0, "")  # a target is a total
    return folder


def check_optuna(folder: Path, trials: int) -> None:
    """Optuna has each seed and each trial once, ended as its item has, with the same value."""
    import optuna

    study = optuna.load_study(study_name="s", storage=f"sqlite:///{folder / 's' / 'study.db'}")
    assert [trial.number for trial in study.trials] == list(range(len(SEEDS) + trials))
    store = store_of(folder)
    query = select(items).where(items.c.kind != "baseline").order_by(items.c.trial)
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(query).all()
    states = {"ranked": "COMPLETE", "filtered": "PRUNED", "failed": "FAIL"}
    assert [(row.trial, row.trial_id, states[row.outcome]) for row in rows] == [
        (trial.number, trial._trial_id, trial.state.name) for trial in study.trials
    ]
    for row, trial in zip(rows, study.trials, strict=True):
        if row.outcome == "ranked":
            assert trial.value == row.score
        elif row.outcome == "filtered":  # Optuna gives it the value of its last report, where that is finite
            last = trial.intermediate_values[trial.last_step or 0]
            assert trial.value == (last if math.isfinite(last) else None)
        else:
            assert trial.value is None
    assert all(trial.user_attrs["record"]["cell"] for trial in study.trials)


def check_log(folder: Path, trials: int) -> None:
    """Each work item stands in the log once, between a start and an end."""
    found = list(events.events(folder / "s" / "logs" / events.NAME))
    assert (found[0]["event"], found[-1]["event"], found[-1]["code"]) == ("start", "end", 0)
    workers = [event for event in found if event["event"] == "worker"]
    started = {event["worker"] for event in workers if event["state"] == "started"}
    assert started and {event["worker"] for event in workers if event["state"] == "ended"} <= started
    assert all(event["device"] == "cpu" for event in workers)
    assert found[0]["ended"] == 0  # it was new
    ended = [(event["trial"], event["piece"]) for event in found if event["event"] == "trial"]
    seeds = [(seed, piece) for seed in range(len(SEEDS)) for piece in range(PIECES + 1)]
    assert sorted(ended) == [*seeds, *((len(SEEDS) + k, 0) for k in range(trials))]


@pytest.mark.long
def test_a_search_leaves_a_whole_study(whole: Path) -> None:
    status = board.status(store_of(whole), SPACE)
    assert status.finished
    assert (status.counts.trials, status.counts.failed) == (20, 0)
    ranked = [row for row in table(whole) if row.rank]
    assert {row.name for row in ranked} > {"lstm", "gru"}
    for row in ranked:
        assert (whole / "s" / "cells" / f"{row.fingerprint[:12]}.cell").read_text() == row.text
    assert (whole / "s" / "space.yaml").read_text() == SPACE.text
    assert not heartbeat.listed(store_of(whole))
    check_optuna(whole, 20)
    check_log(whole, 20)


@pytest.mark.long
def test_a_finished_search_is_finished_at_once(whole: Path) -> None:
    before = table(whole)
    assert end(start(whole)) == (0, "")
    assert table(whole) == before


@pytest.mark.long
def test_killed_ten_times_it_is_the_search_that_was_not(tmp_path: Path, whole: Path) -> None:
    chance = random.Random(0)
    shown = 0
    for k in range(10):
        process = start(tmp_path, 1, 20, 0.05)
        before = settings(tmp_path)
        until(lambda: process.poll() is not None or settings(tmp_path) > before)  # noqa: B023
        time.sleep(chance.uniform(0.0, 0.12))
        assert settings(tmp_path) >= shown
        shown = settings(tmp_path)
        assert process.poll() is None
        if k % 2:
            os.killpg(process.pid, signal.SIGKILL)  # the search and its worker
        else:
            process.kill()  # the search alone: its worker has to end by itself
        process.communicate()
    assert board.status(store_of(tmp_path), SPACE).counts.trials < 20
    assert end(start(tmp_path)) == (0, "")
    assert table(tmp_path) == table(whole)
    check_optuna(tmp_path, 20)
    check_log(tmp_path, 20)


@pytest.mark.long
@pytest.mark.parametrize(
    "failpoint",
    [
        "after-decide:kill:3",
        "after-claim:kill:7",
        "after-evaluate:kill:14",
        "after-commit:kill:15",
        "after-finish:kill:6",
    ],
)
def test_a_worker_killed_at_the_worst_moment_changes_nothing(
    tmp_path: Path, whole: Path, failpoint: str
) -> None:
    code, said = end(start(tmp_path, failpoint=failpoint))
    assert (code, said) == (0, "")  # one worker after the other dies there, until all is done
    assert table(tmp_path) == table(whole)
    assert board.status(store_of(tmp_path), SPACE).counts.failed == 0
    check_optuna(tmp_path, 20)
    check_log(tmp_path, 20)


@pytest.mark.long
def test_two_workers_share_a_search(tmp_path: Path) -> None:
    process = start(tmp_path, 2, 20, 0.05)
    until(lambda: running(tmp_path) == 2)
    assert living(tmp_path) == 2
    assert end(process) == (0, "")
    status = board.status(store_of(tmp_path), SPACE)
    assert (status.counts.baseline, status.counts.trials, status.counts.failed) == (12, 20, 0)


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_everything_soon_and_releases_the_items(
    tmp_path: Path, number: signal.Signals, expected: int
) -> None:
    process = start(tmp_path, 2, 20, 30.0)
    until(lambda: running(tmp_path) == 2)
    began = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal does: the workers get it too
    assert end(process) == (expected, "")
    assert time.monotonic() - began < 10
    counts = queries.counts(store_of(tmp_path))
    assert (counts.running, counts.free, counts.failed) == (0, OPEN, 0)
    assert not heartbeat.listed(store_of(tmp_path))


@pytest.mark.long
def test_the_workers_of_a_killed_search_end_by_themselves(tmp_path: Path) -> None:
    process = start(tmp_path, 2, 20, 30.0)
    until(lambda: running(tmp_path) == 2)
    process.kill()
    process.communicate()
    until(lambda: not living(tmp_path), 5)
    assert queries.counts(store_of(tmp_path)).failed == 0


@pytest.mark.long
def test_a_worker_joins_by_itself_and_gives_its_item_back(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    store = new_study(tmp_path / "s", SPACE, trials=3)
    runner = [sys.executable, str(COORDINATING.with_name("runner.py"))]
    process = subprocess.Popen([*runner, "30", "join", store.url])
    until(lambda: running(tmp_path) == 1)
    process.terminate()
    assert process.wait(10) == 143
    counts = queries.counts(store)
    assert (counts.running, counts.free, counts.failed) == (0, OPEN, 0)
    assert not heartbeat.listed(store)
    assert subprocess.run([*runner, "0", "join", store.url], check=False).returncode == 0
    assert board.status(store, SPACE).finished


@pytest.mark.long
def test_a_second_search_is_refused_and_a_dead_one_is_no_obstacle(tmp_path: Path) -> None:
    process = start(tmp_path, 1, 20, 30.0)
    until(lambda: running(tmp_path) == 1)
    code, said = end(start(tmp_path))
    assert code == 1
    assert f"already running on this machine (process {process.pid})" in said
    process.kill()
    process.communicate()
    assert end(start(tmp_path, 1, 3)) == (0, "")


@pytest.mark.long
def test_a_cell_that_kills_its_worker_is_tried_again_and_then_failed(tmp_path: Path) -> None:
    code, said = end(start(tmp_path, 1, 1, 0.0, "crash"))
    assert (code, said) == (0, "")
    store = store_of(tmp_path)
    assert queries.counts(store).failed == 1
    assert board.status(store, SPACE).finished


def failed(store: Store) -> list[tuple[str, str, int]]:
    """Task, cause and attempts of what failed."""
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(select(items).where(items.c.outcome == "failed"))
        return [(row.task, row.cause, row.attempts) for row in rows]


OVERDUE = ("filter", "failed: the stage took longer than 0.0002 hours (budget.stage_hours)", 0)


@pytest.mark.long
def test_a_stage_that_hangs_is_ended_and_the_search_goes_on(tmp_path: Path) -> None:
    code, said = end(start(tmp_path, 1, 2, 0.0, "hang"))
    assert (code, said) == (0, "")
    assert failed(store_of(tmp_path)) == [OVERDUE] * 2
    counts = queries.counts(store_of(tmp_path))
    # 24 of each seed, 4 of theirs in the filter, and the one of each mutant that hung
    assert (counts.trials, counts.running, counts.settings) == (2, 0, 58)


@pytest.mark.long
def test_a_worker_that_joined_goes_on_after_a_stage_that_hangs(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    space = parse_space(TEXT.replace("trials: 12", "trials: 12, stage_hours: 2e-4"))
    store = new_study(tmp_path / "s", space, trials=2)
    runner = [sys.executable, str(COORDINATING.with_name("runner.py"))]
    done = subprocess.run([*runner, "0", "hang", store.url], check=False, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr.count(b"was ended; another worker continues")) == (0, 2)
    assert failed(store) == [OVERDUE] * 2
    assert not heartbeat.listed(store)


@pytest.mark.long
def test_an_error_for_people_in_a_worker_ends_the_search_with_it(tmp_path: Path) -> None:
    assert end(start(tmp_path, 1, 3, 0.0, "data")) == (1, "the data is gone\nbring it back\n")


@pytest.mark.long
def test_time_is_a_total_and_ends_the_search_in_order(tmp_path: Path) -> None:
    assert end(start(tmp_path, 1, 500, 0.05, "", "8")) == (0, "")
    store = store_of(tmp_path)
    status = board.status(store, SPACE)
    assert status.halted
    assert 7.5 < status.seconds < 30
    assert 0 < status.counts.settings
    assert (status.counts.running, status.finished) == (0, False)
    began = time.monotonic()
    assert end(start(tmp_path, 1, 500, 0.05, "", "8")) == (0, "")
    assert time.monotonic() - began < 10
    assert board.status(store, SPACE).counts.settings == status.counts.settings


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").exists(), reason="stops a process and looks at it")
def test_a_worker_that_does_not_beat_is_ended_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "s" / "cells").mkdir(parents=True)
    store = new_study(tmp_path / "s", SPACE, trials=2)
    impatient = replace(store, timing=replace(TIMING, silent=1))
    runner = (sys.executable, str(COORDINATING.with_name("runner.py")), "0.2")
    me = heartbeat.myself("search")
    pool = Pool(["cpu"], WorkerConfig("s", store.url, "cpu", None, parent=me.id), runner, tmp_path)
    supervisor = SearchSupervisor(impatient, SPACE, me, pool, tmp_path / "s", None, None)
    heartbeat.register(store, me)
    assert pool.fill(1) == 1
    until(lambda: running(tmp_path) == 1)
    (child,) = pool.children
    stop(child.process.pid, store.url)
    supervisor.beat()
    supervisor.beat()
    assert child.process.wait(10) == -signal.SIGKILL
    assert any("heartbeat stopped" in message for message in supervisor.messages)
    assert queries.counts(store).free == OPEN  # its item is there for the next
    supervisor = SearchSupervisor(store, SPACE, me, pool, tmp_path / "s", None, None)
    assert supervisor.run(Signals()) == 0
    assert board.status(store, SPACE).finished
