"""The numbers of this page, from the root of the repository:
`PYTHONPATH=. python results/findings/kills/run.py one | four URL | quick | cpu URL`.

    one        200 kills -9 of one worker; compared row by row with a search that was not killed
    four URL   100 kills of four workers; `sqlite` is a file, else the server of the URL gets a database
    quick      20 kills of `cellsearch search quick` with small tasks; compared likewise
    cpu URL    CPU seconds of a trial without training, likewise

Training is scripted but for `quick`. A line for every kill goes to a file beside this one, the totals to its
last line. The witness and the comparison are those of the tests (`tests/faults`).
"""

import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text

from cellsearch.study.storage import endings, queue, trials
from cellsearch.study.storage.create import create
from cellsearch.study.storage.sampler import MutationSampler
from cellsearch.study.tables import database, queries, records
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import seeds_of
from tests.faults.killing import Plan, kill
from tests.faults.processes import Process, Search, begun, clear, torment
from tests.faults.witness import Witness, accounts, state
from tests.study.scripted import DIGESTS, Scripted, one_of, searched, space_of, work

HERE = Path(__file__).parent
MUTANTS = 1_000
MEMORY = Path("/dev/shm")
SMALL = {
    "training.max_epochs": "4", "filter.accuracy": "0.3", "filter.options.train": "12000",
    "tasks.0.options.train": "40000", "tasks.1.options.train": "40000", "tasks.2.options.train": "40000",
    "grid.parameters": "[3000]", "strategy.margin": "0", "strategy.threshold": "0.8",
}  # fmt: skip

Say = Callable[[dict[str, Any]], None]


@contextmanager
def folder_of() -> Iterator[Path]:
    """A folder in memory where that can be: what is killed is never the machine."""
    made = Path(tempfile.mkdtemp(prefix="kills-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def study_of(folder: Path, url: str, count: int) -> Iterator[Store]:
    """A new study in a file, or in a database of its own on a server."""
    space, name = space_of(), f"kills_{secrets.token_hex(6)}"
    target, server = url, None
    if url.startswith("sqlite"):
        target = f"sqlite:///{folder}/study.db"
    else:
        server = create_engine(database.driven(url), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        target = make_url(url).set(database=name).render_as_string(False)
    identity = Identity(space.text, 1, DIGESTS)
    store = create(target, "s", space, identity, "kills", Target(count), seeds_of(space))
    try:
        yield store
    finally:
        store.engine.dispose()
        if server is not None:
            with server.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            server.dispose()


@contextmanager
def log(name: str) -> Iterator[Say]:
    """Writes lines to a file of this folder, the last of them with the time it took."""
    began = time.monotonic()
    with (HERE / f"{name}.jsonl").open("w") as file:

        def say(line: dict[str, Any]) -> None:
            if "kill" not in line and "killed" not in line:
                line = line | {"minutes": round((time.monotonic() - began) / 60, 1)}
                print(name, json.dumps(line), flush=True)
            file.write(json.dumps(line) + "\n")
            file.flush()

        yield say


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The parts of two searches that differ."""
    return [name for name in one if one[name] != other[name]]


def rows(found: dict[str, Any]) -> dict[str, int]:
    """How many rows were compared."""
    counts = {name: len(part) for name, part in found.items() if name != "board"}
    return counts | {"reports": sum(len(trial.steps) for trial in found["optuna"].values())}


def one(count: int = 500, kills: int = 200) -> None:
    with folder_of() as folder, log("one") as say, study_of(folder, "sqlite", count) as store:
        store.engine.dispose()
        found = kill(Plan(store.url, 1, kills), folder, say)
        accounts(store.url, count, failed=None)
        whole = searched(folder / "whole", Scripted(), space_of(), one_of(MUTANTS), count)
        whole.engine.dispose()
        killed = state(store.url)
        say(found | {"trials": count, "rows": rows(killed), "differ": differences(killed, state(whole.url))})


def four(url: str, count: int = 400, kills: int = 100) -> None:
    name = "four-sqlite" if url.startswith("sqlite") else "four-postgresql"
    with folder_of() as folder, log(name) as say, study_of(folder, url, count) as store:
        store.engine.dispose()
        found = kill(Plan(store.url, 4, kills, seed=2), folder, say)
        accounts(store.url, count, failed=None)  # exact totals, nothing twice, Optuna as recorded
        counts = queries.counts(store)
        store.engine.dispose()
        say(found | {"trials": count, "settings": counts.settings, "failed": counts.failed})


class Quick(Search):
    """`cellsearch search quick` with small tasks; `folder` is its folder of results."""

    def start(self, **_: object) -> Process:
        words = ["-m", "cellsearch", "search", "quick", "--name", "s", "--workers", "1", "--trials", "10"]
        words += [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
        return begun([*self.python, *words], self.variables, self.folder.parent)


def quick(kills: int = 20) -> None:
    with folder_of() as folder, log("quick") as say:
        searches = [Quick(folder / name / "results") for name in ("killed", "whole")]
        for search in searches:
            search.folder.mkdir(parents=True)
        killed, whole = searches
        began = time.monotonic()
        assert whole.run()[0] == 0
        seconds = time.monotonic() - began
        witness = Witness(killed.url)
        hit = torment(killed, witness, kills, 3, most=3, longest=1.0, say=say)
        shown = witness.acknowledged
        assert killed.run()[0] == 0
        witness.look()
        clear()
        found = [state(search.url) for search in searches]
        for part in found:
            for item in part["items"]:
                del item["attempts"]  # crashes since the last stage; a worker's death counts as one here
        say(
            {
                "kills": kills, "at work": hit, "looks": witness.looks, "results shown": shown,
                "rows": rows(found[0]), "differ": differences(*found),
                "seconds without kills": round(seconds),
            }
        )  # fmt: skip


STEPS = {  # what the CPU seconds of a trial are spent on
    "take": (queue, "take"), "choose a cell": (MutationSampler, "decide"), "record it": (trials, "decide"),
    "claim": (trials, "claim"), "commit and report": (trials, "commit"), "tell": (endings, "finish"),
}  # fmt: skip


def measured(seconds: dict[str, float]) -> None:
    """Adds up the CPU seconds of each step."""
    for step, (owner, name) in STEPS.items():
        call = getattr(owner, name)

        def timed(*given: Any, call: Any = call, step: str = step, **named: Any) -> Any:
            began = time.process_time()
            try:
                return call(*given, **named)
            finally:
                seconds[step] = seconds.get(step, 0.0) + time.process_time() - began

        setattr(owner, name, timed)


def cpu(url: str, most: int = 600) -> None:
    """The scripted laboratory takes next to nothing; the process is a worker and nothing else."""
    name, steps = "cpu-sqlite" if url.startswith("sqlite") else "cpu-postgresql", dict[str, float]()
    measured(steps)
    with folder_of() as folder, log(name) as say, study_of(folder, url, 0) as store:
        work(store, space_of(), Scripted(), one_of(100_000))  # the baseline
        for target in range(100, most + 1, 100):
            records.extend(store, Target(target))
            steps.clear()
            began = time.process_time()
            work(store, space_of(), Scripted(), one_of(100_000))
            each = {"all": time.process_time() - began} | steps
            say({"trials": target, "milliseconds each": {k: round(10 * v, 1) for k, v in each.items()}})


def main(words: list[str]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parts: dict[str, Callable[..., None]] = {"one": one, "four": four, "quick": quick, "cpu": cpu}
    parts[words[0]](*words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
