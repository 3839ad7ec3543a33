"""Many workers on one study without training: what the database does, and where it bends.

    python results/findings/workers/simulate.py --storage postgresql://…/postgres --workers 10,100,1000

Every worker is the real loop (`worker.work`) with a real heartbeat and connections of its own, as a
thread of one of a few processes; only training (a sleep) and mutation (one of a family of small cells)
are not real. A stage sleeps for a time drawn from a log-normal distribution (sigma 1) with the mean
`--stage`. Each row is a study of its own, with the baseline and `--before` trials on record; workers
start over seven tenths of `--warm` seconds, and it is measured for `--seconds` after that. With
PostgreSQL the URL has to be that of a user who may make databases on a server of this machine; without
`--storage` the study is an SQLite file.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.util import LRUCache

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.errors import CellsearchError
from cellsearch.study.space import parse_space
from cellsearch.study.storage import endings, heartbeat, queue, trials
from cellsearch.study.storage.create import create
from cellsearch.study.storage.heartbeat import Heart, Worker
from cellsearch.study.tables import database, records
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store, Superseded
from cellsearch.study.workers import worker
from cellsearch.study.workers.run import seeds_of
from cellsearch.study.workers.trial import runner
from cellsearch.train.outcome import Outcome

SPACE = """\
name: simulated
about: Nothing is trained.
seeds: [lstm, gru]
baseline: gru
strategy: {name: jozefowicz2015, list: 100, refine: 0.5, settings: 20, threshold: 0.9, enough: 420, best: 100}
filter: {task: memorize, settings: 1, accuracy: 0.95}
tasks:
  - {name: arithmetic}
  - {name: xml}
grid: {init_scale: [0.3, 0.7, 1, 1.4], learning_rate: [0.1, 0.2, 0.3, 0.5, 1], max_norm: [1, 2.5, 5, 10, 20],
       layers: [1, 2], parameters: [100, 200]}
budget: {trials: 1000000}
"""
DIGESTS = {"filter": "f" * 64, "arithmetic": "a" * 64, "xml": "b" * 64}
TASKS = ("arithmetic", "xml")
TIMED = (
    (queue, "take"), (trials, "decide"), (trials, "claim"), (trials, "commit"), (endings, "finish"),
)  # fmt: skip
FAMILY = 10**9


def uniform(*parts: object) -> float:
    """A number in [0, 1) that follows from `parts`."""
    return int.from_bytes(hashlib.sha256(" ".join(map(str, parts)).encode()).digest()[:6], "big") / 2**48


def accuracy(mark: str, task: str, setting: str) -> float:
    """Half of all cells pass the filter, and about a third of those each task."""
    if task == "filter":
        return 0.99 if uniform(mark, task) < 0.5 else 0.5
    return (0.65 + 0.35 * uniform(mark, task)) * (0.9 + 0.1 * uniform(mark, task, setting))


def variant(number: int) -> Cell:
    """Cell number so-and-so of a family."""
    return parse(f"cell variant(x; h)\nh' = tanh[x, h, bias={number}]\n")


def outcomes(mark: str, task: str, settings: Sequence[str]) -> list[Outcome]:
    found = [accuracy(mark, task, setting) for setting in settings]
    return [Outcome(s, "done", a, 1 - a, 20, 64, 5_000_000) for s, a in zip(settings, found, strict=True)]


class Sleeping:
    """A `Evaluator` that takes time and does nothing."""

    def __init__(self, stage: float, stop: threading.Event, rng: np.random.Generator) -> None:
        self.stage, self.stop, self.rng = stage, stop, rng

    def digests(self) -> dict[str, str]:
        return DIGESTS

    def floor(self, task: str) -> float:
        return 0.1

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Callable[[str], None]
    ) -> list[Outcome]:
        left = float(self.rng.lognormal(math.log(self.stage) - 0.5, 1.0)) if self.stage else 0.0
        epoch = 0
        while left > 0:  # tells of an epoch every so often, as training does
            epoch += 1
            say(f"epoch {epoch}, {len(settings)} of {len(settings)} settings")
            if self.stop.wait(min(left, 5.0)):
                raise Ended
            left -= 5.0
        return outcomes(fingerprint(cell), task, settings)


class Ended(BaseException):
    """The measurement is over."""


class Clock:
    """What each call took, and what went wrong."""

    def __init__(self) -> None:
        self.took: dict[str, list[tuple[float, float]]] = defaultdict(list)  # name -> when it ended, seconds
        self.wrong: Counter[str] = Counter()

    def wrap(self, module: Any, name: str, label: str = "") -> None:
        call = getattr(module, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.monotonic()
            try:
                return call(*args, **kwargs)
            except (CellsearchError, Superseded) as error:
                said = str(error).partition("\n")[0].rpartition("postgres")[2]
                self.wrong[f"{label or name}: {type(error).__name__} {said[-90:]}"] += 1
                raise
            finally:
                end = time.monotonic()
                self.took[label or name].append((end, end - start))

        setattr(module, name, timed)


def crew(number: int, count: int, args: argparse.Namespace, url: str, stop: Any, answers: Any) -> None:
    """One process with `count` workers."""
    clock = Clock()
    for module, name in TIMED:
        clock.wrap(module, name)
    clock.wrap(heartbeat, "beat")
    connect, compiled = database.connect, LRUCache(1_000)

    def connected(url: str, *, read_only: bool = False) -> Engine:
        """Statements are compiled once in a process, as in that of a worker, not once for each thread."""
        engine = connect(url, read_only=read_only)
        engine._compiled_cache = compiled
        return engine

    database.connect = connected
    runner.functional = lambda cell: hashlib.sha256(
        fingerprint(cell).encode()
    ).hexdigest()  # of the client alone
    space, end = parse_space(SPACE), threading.Event()

    def one(k: int) -> None:
        rng = np.random.default_rng((number, k, os.getpid()))
        if end.wait(float(rng.uniform(0, args.warm * 0.7))):
            return
        me = Worker(f"worker-{number}-{k}-{os.getpid()}", "worker", f"host{number}", k, "1")
        while not end.is_set():
            try:
                store = records.open_study(url, "s")
                with Heart(store, me, 10**9) as heart:
                    worker.work(store, space, Sleeping(args.stage, end, rng), propose, heart)
            except Ended:
                return
            except CellsearchError as error:
                clock.wrong[f"worker: {type(error).__name__} {str(error)[-90:]}"] += 1
                end.wait(1.0)

    threading.stack_size(512 * 1024)
    threads = [threading.Thread(target=one, args=(k,), daemon=True) for k in range(count)]
    for thread in threads:
        thread.start()
    stop.wait()
    alive = sum(thread.is_alive() for thread in threads)
    spent = time.process_time()
    answers.put((dict(clock.took), dict(clock.wrong), alive, spent))
    answers.close()
    answers.join_thread()
    os._exit(0)  # a thousand threads need not say goodbye


def propose(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[Any]]:
    k = int(rng.integers(FAMILY))
    return variant(k), [{"to": k}]


def made(url: str, before: int) -> Store:
    """A study whose baseline and first trials are on record: a worker that does not sleep makes them."""
    space = parse_space(SPACE)
    store = create(
        url, "s", space, Identity(space.text, 1, DIGESTS), "simulation", Target(before), seeds_of(space)
    )
    lab = Sleeping(0.0, threading.Event(), np.random.default_rng(0))
    worker.work(store, space, lab, propose, Heart(store, heartbeat.myself("worker"), 10**9))
    records.extend(store, Target(10**9))
    return store


class Server:
    """The PostgreSQL server of this machine as the system sees it: CPU and memory of its processes."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(database.driven(url), isolation_level="AUTOCOMMIT")
        with self.engine.connect() as connection:
            folder = connection.execute(text("SHOW data_directory")).scalar_one()
        self.main = int(Path(folder, "postmaster.pid").read_text().splitlines()[0])

    def processes(self) -> Iterator[Path]:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.main or stat.parent.name == str(self.main):
                yield stat.parent

    def cpu(self) -> dict[str, float]:
        """Seconds of each process that is there."""
        found, tick = {}, os.sysconf("SC_CLK_TCK")
        for folder in self.processes():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[folder.name] = (int(fields[11]) + int(fields[12])) / tick
        return found

    def memory(self, most: int = 40) -> tuple[int, float]:
        """How many processes, and the private megabytes of one, the median of some."""
        there = list(self.processes())
        private = []
        for folder in there[:: max(1, len(there) // most)]:
            try:
                lines = (folder / "smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            private.append(sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024)
        return len(there), statistics.median(private)

    def committed(self, name: str) -> int:
        with self.engine.connect() as connection:
            query = "SELECT xact_commit FROM pg_stat_database WHERE datname = :name"
            return int(connection.execute(text(query), {"name": name}).scalar_one())

    def waiting(self) -> Counter[str]:
        """What the connections are at."""
        with self.engine.connect() as connection:
            query = (
                "SELECT state, wait_event_type, wait_event FROM pg_stat_activity "
                "WHERE backend_type = 'client backend'"
            )
            return Counter(f"{r[0]}/{r[1]}/{r[2]}" for r in connection.execute(text(query)))


def measured(workers: int, args: argparse.Namespace) -> dict[str, Any]:
    """One row."""
    server = Server(args.storage) if args.storage else None
    name = f"simulated_{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if server:
            with server.engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            url = database.driven(args.storage).set(database=name).render_as_string(False)
        else:
            url = f"sqlite:///{folder}/study.db"
        store = made(url, args.before)
        through = url
        if args.through:  # a pooler in front of the server
            through = database.driven(args.through).set(database=name).render_as_string(False)
        if server:
            with create_engine(database.driven(url), isolation_level="AUTOCOMMIT").connect() as connection:
                connection.execute(text("VACUUM ANALYZE"))
        try:
            return _row(workers, args, through, store, server, name)
        finally:
            store.engine.dispose()
            if server:
                with server.engine.connect() as connection:
                    connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
                server.engine.dispose()


def _row(
    workers: int, args: argparse.Namespace, url: str, store: Store, server: Server | None, name: str
) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    stop, answers = context.Event(), context.Queue()
    processes = min(args.processes, workers)
    shares = [workers // processes + (k < workers % processes) for k in range(processes)]
    started = [
        context.Process(target=crew, args=(k, share, args, url, stop, answers), daemon=True)
        for k, share in enumerate(shares)
    ]
    for process in started:
        process.start()
    time.sleep(args.warm)
    begin = time.monotonic()
    cpu, commits = (server.cpu(), server.committed(name)) if server else ({}, 0)
    mine = sum(client_cpu(p.pid) for p in started)
    time.sleep(args.seconds / 2)
    waits = server.waiting() if server else Counter()
    time.sleep(args.seconds / 2)
    mine = sum(client_cpu(p.pid) for p in started) - mine
    backends, private = server.memory() if server else (0, 0.0)
    after, committed = (server.cpu(), server.committed(name)) if server else ({}, 0)
    end = time.monotonic()
    stop.set()
    took: dict[str, list[float]] = defaultdict(list)
    wrong: Counter[str] = Counter()
    alive = 0
    for _ in started:
        part, failed, living, _ = answers.get(timeout=60)
        alive += living
        wrong.update(failed)
        for call, times in part.items():
            took[call] += [seconds for at, seconds in times if begin <= at <= end]
    for process in started:
        process.join(20)
    span = end - begin
    row: dict[str, Any] = {"workers": workers, "alive": alive, "stage": args.stage, "seconds": span}
    row["trials_per_second"] = len(took["finish"]) / span
    for call, times in sorted(took.items()):
        times.sort()
        row[call] = {
            "per_second": len(times) / span,
            "median_ms": 1000 * times[len(times) // 2] if times else None,
            "p95_ms": 1000 * times[int(0.95 * len(times))] if times else None,
        }
    if server:
        used = sum(seconds - cpu.get(pid, 0.0) for pid, seconds in after.items())
        row |= {"transactions_per_second": (committed - commits) / span, "server_cores": used / span}
        row |= {"connections": backends, "private_mb": private, "waits": dict(waits.most_common(6))}
    row["client_cores"] = mine / span
    row["wrong"] = dict(wrong.most_common(8))
    return row


def client_cpu(pid: int | None) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", help="of a PostgreSQL server (default: SQLite)")
    parser.add_argument("--through", help="of a pooler in front of it, by which the workers go")
    parser.add_argument("--folder", default=None, help="for SQLite files (default: that of the system)")
    parser.add_argument(
        "--workers", default="10,30,100,300,1000", type=lambda t: [int(n) for n in t.split(",")]
    )
    parser.add_argument("--stage", default=60.0, type=float, help="mean seconds of a stage (default: 60)")
    parser.add_argument("--before", default=2000, type=int, help="trials on record before (default: 2000)")
    parser.add_argument("--warm", default=20.0, type=float)
    parser.add_argument("--seconds", default=30.0, type=float)
    parser.add_argument("--processes", default=4, type=int)
    parser.add_argument("--out", help="a file of JSON lines to add to")
    args = parser.parse_args()
    for workers in args.workers:
        row = measured(workers, args)
        row |= {"database": "postgresql" if args.storage else "sqlite", "before": args.before}
        print(json.dumps(row), flush=True)
        if args.out:
            with Path(args.out).open("a") as file:
                file.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
