"""The facts of a study: created once, checked when it goes on, read by every verb.

In: a storage URL and a name. Out: a `Store` for everything else, and `Facts`. Work (slots, stages, claims)
is in `slots`, the processes that do it in `liveness`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Engine, func, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError

from cellsearch.errors import RunError, printable
from cellsearch.search import database, schema
from cellsearch.search.database import translated
from cellsearch.search.schema import Store, reading, writing

#: Raised only when the same study would give other numbers; a study of another number is read, not continued.
#: 2: of cells that are the same function one is trained.
#: 3: on a CPU what depends on the input alone is computed once for each symbol.
NUMERICS = 3


@dataclass(frozen=True, slots=True)
class Unit:
    """What scores on a task are measured in: the baseline's best accuracy, once all its settings are done."""

    accuracy: float | None  # None: every setting of the baseline diverged
    floor: float  # accuracy of the best predictor that sees the current symbol alone
    kept: bool  # False: the baseline learns nothing there, so the task could rank nothing


@dataclass(frozen=True, slots=True)
class Facts:
    """What a study remembers about itself."""

    name: str
    space: str  # YAML text as run
    numerics: int
    program: str
    seed: int
    data: Mapping[str, str]  # stage -> digest
    baseline: Mapping[str, Unit] | None  # stage -> unit; None until the baseline is done
    trials: int
    seconds: float
    cause: str
    stopped: str
    halted: bool
    baseline_slots: int  # trials are the slots from this number on

    @property
    def units(self) -> dict[str, float]:
        """Stage -> the accuracy that counts as 1, for the kept tasks, in the order of the space."""
        return {t: u.accuracy for t, u in (self.baseline or {}).items() if u.kept and u.accuracy is not None}


@dataclass(frozen=True, slots=True)
class Seed:
    """A cell that starts the search: evaluated on the whole grid of every task."""

    name: str
    fingerprint: str
    function: str  # functional fingerprint
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What may not change while a study lives."""

    space: str
    seed: int
    data: Mapping[str, str]
    numerics: int = NUMERICS


def create(
    url: str,
    name: str,
    identity: Identity,
    program: str,
    trials: int,
    seeds: Sequence[Seed],
    grids: Mapping[str, int],
    chunk: int,
) -> Store:
    """A new study: its facts, the seeds, and the slots of the baseline with their claims, in one transaction.

    `grids` gives the number of settings of each task; a baseline slot is one seed on `chunk` settings of one
    task. Where another process makes a study of that name at the same moment, one of the two is refused.
    """
    engine = database.connect(url)
    schema.prepare(engine, url)
    try:
        with translated(url), engine.execution_options(immediate=True).begin() as connection:
            row = insert(schema.studies).values(
                name=name,
                space=identity.space,
                numerics=identity.numerics,
                program=program,
                seed=identity.seed,
                data=json.dumps(dict(identity.data)),
                trials=trials,
            )
            key = connection.execute(row).inserted_primary_key
            assert key is not None
            _plan_baseline(connection, int(key[0]), seeds, grids, chunk)
    except RunError as error:
        if isinstance(error.__cause__, IntegrityError):
            raise RunError(
                f"a study {name!r} was just made by somebody else; give the command again"
            ) from error
        raise
    return Store(engine, url, int(key[0]), name)


def _plan_baseline(
    connection: Connection, study: int, seeds: Sequence[Seed], grids: Mapping[str, int], chunk: int
) -> None:
    number = 0
    cells, functions, slots, claims = [], [], [], []
    for seed in seeds:
        cells.append(
            {
                "study": study,
                "fingerprint": seed.fingerprint,
                "name": seed.name,
                "text": seed.text,
                "slot": number,
            }
            | {"seed": True, "parent": "", "edits": "[]"}
        )
        functions.append({"study": study, "function": seed.function, "fingerprint": seed.fingerprint})
        for task, size in grids.items():
            for start in range(0, size, chunk):
                slots.append(
                    {"study": study, "number": number, "kind": "baseline", "state": "free", "task": task}
                    | {"fingerprint": seed.fingerprint}
                )
                claims += [
                    {
                        "study": study,
                        "fingerprint": seed.fingerprint,
                        "task": task,
                        "setting": s,
                        "slot": number,
                    }
                    | {"place": s - start}
                    for s in range(start, min(start + chunk, size))
                ]
                number += 1
    connection.execute(insert(schema.cells), cells)
    connection.execute(insert(schema.functions), functions)
    connection.execute(insert(schema.slots), slots)
    connection.execute(insert(schema.claims), claims)


def find(url: str, name: str) -> Store | None:
    """The study of that name, or None where it, its tables or its file are not there."""
    engine = database.connect(url)
    known = _studies(engine, url)
    return Store(engine, url, known[name], name) if name in known else None


def open_study(url: str, name: str) -> Store:
    """The study of that name; a RunError with the known names where there is none."""
    engine = database.connect(url)
    known = _studies(engine, url)
    if name not in known:
        there = f"there: {', '.join(sorted(known))}" if known else "start one with `cellsearch search SPACE`"
        raise RunError(f"no study {printable(name)!r} in {database.shown(url)}\n{there}")
    return Store(engine, url, known[name], name)


def _studies(engine: Engine, url: str) -> dict[str, int]:
    file = database.file_of(url)
    if file is not None and not file.exists():
        return {}  # opening it would make it
    with reading(engine, url) as connection:
        if not inspect(connection).has_table(schema.studies.name):
            return {}
        return {
            str(row.name): int(row.id)
            for row in connection.execute(select(schema.studies.c.name, schema.studies.c.id))
        }


def facts(store: Store) -> Facts:
    """What the study remembers about itself."""
    with reading(store.engine, store.url) as connection:
        return facts_in(connection, store)


def facts_in(connection: Connection, store: Store) -> Facts:
    """The same within a transaction."""
    row = connection.execute(select(schema.studies).where(schema.studies.c.id == store.study)).one()
    slots = schema.slots
    count = select(func.count()).where(slots.c.study == store.study, slots.c.kind == "baseline")
    units = None
    if row.baseline is not None:
        units = {task: Unit(**unit) for task, unit in json.loads(row.baseline).items()}
    return Facts(
        row.name, row.space, row.numerics, row.program, row.seed, json.loads(row.data), units, row.trials,
        row.seconds, row.cause, row.stopped, bool(row.halted), connection.execute(count).scalar_one(),
    )  # fmt: skip


def check_identity(known: Facts, wanted: Identity, differences: Sequence[str]) -> None:
    """Refuses to mix: a RunError that shows what differs between the study and what is wanted now.

    `differences` are those of the space, found by whoever can read it.
    """
    found = list(differences)
    if known.numerics != wanted.numerics:
        found.append(f"numerics: the study has {known.numerics}, this program {wanted.numerics}")
    if known.seed != wanted.seed:
        found.append(f"seed: the study has {known.seed}, not {wanted.seed}")
    for task in sorted(known.data.keys() | wanted.data.keys()):
        was, now = known.data.get(task, "none"), wanted.data.get(task, "none")
        if was != now:
            found.append(f"data of {task}: the study has {was[:12]}, here is {now[:12]}")
    if found:
        listed = "\n".join(f"  {line}" for line in found)
        raise RunError(
            f"the study {known.name!r} was made under other conditions:\n{listed}\n"
            "results of both must not be mixed: choose another --name, or go back to those conditions"
        )


def extend(store: Store, trials: int, space: str | None = None) -> None:
    """Sets the target (a total) and lets workers take slots again: a new `search` starts with a clean streak.

    `space` is the text of the space with what may change in it (`space.MAY_CHANGE`) as it is now.
    A study whose baseline learns none of the tasks cannot go on: a RunError says so again.
    """
    known = facts(store)
    if known.baseline is not None and not known.units:
        raise RunError(known.stopped)
    values = {"trials": trials, "streak": 0, "cause": "", "stopped": "", "halted": False}
    if space is not None:
        values["space"] = space
    _update(store, values)


def halt(store: Store, stopped: str = "") -> None:
    """From now on no worker takes a slot; `stopped` says why where it is a failure."""
    _update(store, {"halted": True, "stopped": stopped} if stopped else {"halted": True})


def spend(store: Store, seconds: float) -> None:
    """Adds to the time that searching has taken."""
    _update(store, {"seconds": schema.studies.c.seconds + seconds})


def _update(store: Store, values: Mapping[str, object]) -> None:
    with writing(store) as connection:
        connection.execute(update(schema.studies).where(schema.studies.c.id == store.study).values(**values))


def freeze(store: Store, baseline: str, floors: Mapping[str, float], margin: float) -> Facts:
    """Settles the unit of every task: the best accuracy of the cell `baseline` (a fingerprint) now.

    A task is kept where that accuracy exceeds `floors[task] + margin`. Where none is kept the study stops.
    The first caller settles it, later ones read it.
    """
    with writing(store) as connection:
        known = facts_in(connection, store)
        if known.baseline is not None:
            return known
        stages = schema.stages
        rows = connection.execute(
            select(stages.c.task, func.max(stages.c.accuracy))
            .where(stages.c.study == store.study, stages.c.fingerprint == baseline)
            .group_by(stages.c.task)
        )
        best: dict[str, float | None] = {row[0]: row[1] for row in rows}
        units = {}
        for task, floor in floors.items():
            accuracy = best.get(task)
            units[task] = Unit(accuracy, floor, accuracy is not None and accuracy > floor + margin)
        values: dict[str, object] = {
            "baseline": json.dumps({task: asdict(unit) for task, unit in units.items()})
        }
        if not any(unit.kept for unit in units.values()):
            values["stopped"] = (
                "the baseline learns none of the tasks: " + "; ".join(dropped(units, margin)) + "\n"
                "give it more epochs, larger data or a better grid in the space, and a new --name"
            )
        connection.execute(update(schema.studies).where(schema.studies.c.id == store.study).values(**values))
        return facts_in(connection, store)


def dropped(units: Mapping[str, Unit], margin: float) -> list[str]:
    """One line for each task that is not used, with the reason."""
    lines = []
    for task, unit in units.items():
        if not unit.kept:
            best = "nothing (every setting diverged)" if unit.accuracy is None else f"{unit.accuracy:.4f}"
            lines.append(
                f"{task}: the baseline reaches {best}, "
                f"a memoryless predictor {unit.floor:.4f} (margin {margin:g})"
            )
    return lines
