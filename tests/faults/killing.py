"""Workers that are killed -9 again and again, with a witness beside them and a line for every kill.

`kill` is the whole of it. The workers are real ones with a scripted laboratory (`nursery`), so that hundreds of kills
take minutes; a new worker takes the place of a dead one, as after the same command again.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from cellsearch.study.storage import heartbeat
from cellsearch.study.tables import database, schema, transactions
from tests.faults.nursery import Nursery
from tests.faults.witness import Witness, rows_of

ALL_AT_ONCE = 0.15  # of the moments of a kill, where there are several workers
LOOKED_AT = 0.5  # of the moments of a kill: the witness looks just before
# Of the moments of a kill: whatever the workers are at, their start too; else one of them has a trial.
EARLY = 0.08
# Of a plan of few kills: however fast the machine is, some stages are left at the last one.
SLOW: dict[str, Any] = {"seconds": 0.1, "longest": 0.4}
BAD = 20  # workers that ended with an error; more of them are a defect

Line = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is done to a study that is there."""

    url: str
    workers: int
    kills: int
    seed: int = 1
    seconds: float = 0.02  # of a stage, on average
    mutants: int = 1_000
    longest: float = 0.8  # seconds that are waited before a kill
    stages: int = 0  # at most as many are recorded before each kill, however long that takes


def kill(plan: Plan, folder: Path, say: Callable[[Line], None] = lambda line: None) -> Line:
    """Kills workers until enough were killed, then lets them work to the end. `say` gets a line for every kill.

    Returns the totals: kills, kills with a trial at work, results that were shown.
    """
    chance, witness = random.Random(plan.seed), Witness(plan.url)
    log = folder / "workers.log"
    nursery = Nursery(plan.url, log, seconds=plan.seconds, mutants=plan.mutants)
    totals: Counter[str] = Counter()
    try:
        running = {pid: worker(pid) for pid in (nursery.start() for _ in range(plan.workers))}
        while running:
            if totals["kills"] < plan.kills:
                if chance.random() >= EARLY:
                    wait(plan.url, set(running.values()))
                    wait_for_stages(plan.url, chance.randrange(plan.stages + 1))
                time.sleep(
                    plan.longest * chance.random() ** 2
                )  # often soon, so that short moments are met too
                if chance.random() < LOOKED_AT:
                    witness.look()
                everyone = sorted(running)
                together = plan.workers > 1 and chance.random() < ALL_AT_ONCE
                victims = everyone if together else [chance.choice(everyone)]
                for pid in victims:
                    os.kill(pid, signal.SIGKILL)
                ends = nursery.ended(*victims)
                killed = [running[pid] for pid, status in ends.items() if os.WIFSIGNALED(status)]
                found = at_work(plan.url, killed)
                for name in killed:
                    totals["kills"] += 1
                    totals["at work"] += name in found
                    say({"kill": totals["kills"], "together": len(killed)} | found.get(name, {}))
            else:
                time.sleep(0.05)
                ends = nursery.ended()
            for pid, status in ends.items():
                del running[pid]
                if os.WIFSIGNALED(status) or os.WEXITSTATUS(status):
                    totals["errors"] += not os.WIFSIGNALED(status)
                    assert totals["errors"] < BAD, log.read_text()[-2_000:]
                    pid = nursery.start()
                    running[pid] = worker(pid)
    finally:
        nursery.close()
    assert totals["kills"] >= plan.kills, "it was done before it was killed often enough: give it more trials"
    shown, trials = witness.acknowledged, sum(t.state != "RUNNING" for t in witness.trials.values())
    witness.look()
    return {
        "kills": totals["kills"], "at work": totals["at work"], "errors": totals["errors"],
        "looks": witness.looks, "results shown": shown, "ended trials shown": trials,
    }  # fmt: skip


def wait(url: str, workers: set[str]) -> None:
    """Until one of the workers has a trial, or nothing is left."""
    limit, idle = time.monotonic() + 30, 0
    open_ = select(schema.items.c.owner).where(schema.items.c.outcome == "")
    engine = database.connect(url)
    try:
        while time.monotonic() < limit:
            with transactions.reading(engine, url) as connection:
                found = set(connection.execute(open_).scalars())
            idle = 0 if found else idle + 1  # between two trials there may be none for a moment
            if found & workers or idle == 50:
                return
            time.sleep(0.01)
    finally:
        engine.dispose()


def wait_for_stages(url: str, count: int) -> None:
    """Until so many more stages are recorded, at most 30 seconds."""
    limit, engine = time.monotonic() + 30, database.connect(url)
    recorded = select(func.count()).select_from(schema.stages)

    def look() -> int:
        with transactions.reading(engine, url) as connection:
            return int(connection.execute(recorded).scalar_one())

    try:
        first = look()
        while look() < first + count and time.monotonic() < limit:
            time.sleep(0.01)
    finally:
        engine.dispose()


def worker(pid: int) -> str:
    """The id of a worker process."""
    return heartbeat.identity("worker", pid).id


def at_work(url: str, workers: list[str]) -> dict[str, Line]:
    """Worker -> what it was at: the trial that it leaves behind, and how far that was."""
    items, stages, claims = rows_of(url, schema.items, schema.stages, schema.claims)
    found: dict[str, Line] = {}
    for item in items:
        if item["owner"] not in workers or item["outcome"]:
            continue
        key = (item["trial"], item["piece"])
        recorded = {row["task"] for row in stages if (row["trial"], row["piece"]) == key}
        claimed = {row["task"] for row in claims if (row["trial"], row["piece"]) == key}
        if not item["kind"]:
            phase = "taken"
        elif claimed - recorded:
            phase = "claimed"
        else:
            phase = "recorded" if recorded else "decided"
        found[item["owner"]] = {"trial": key[0], "piece": key[1], "kind": item["kind"], "phase": phase}
    return found
