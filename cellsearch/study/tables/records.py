"""The facts of a study: created once, checked when it continues, read by every verb.

Work on a study (trials, stages, claims) is in `storage.trials`, its processes in `heartbeat`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Engine, func, insert, inspect, select, update

from cellsearch.errors import RunError, printable
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables import database, schema, transactions
from cellsearch.study.tables.study_facts import Facts, Identity, Target, Unit
from cellsearch.study.tables.transactions import Store, reading, writing


def find(url: str, name: str, *, read_only: bool = False, timing: Timing = TIMING) -> Store | None:
    """The study of that name; None if it, its tables or its file are missing."""
    engine = database.connect(url, read_only=read_only, busy=timing.busy)
    known = bound(engine, url)
    return Store(engine, url, known[name], name, timing) if name in known else None


def open_study(url: str, name: str, *, read_only: bool = False, timing: Timing = TIMING) -> Store:
    """The study of that name. Raises RunError with the known names if there is none."""
    engine = database.connect(url, read_only=read_only, busy=timing.busy)
    known = bound(engine, url)
    if name not in known:
        there = f"there: {', '.join(sorted(known))}" if known else "start one with `cellsearch search SPACE`"
        raise RunError(f"no study {printable(name)!r} in {database.shown(url)}\n{there}")
    return Store(engine, url, known[name], name, timing)


def refuse_copy(url: str, name: str, known: Collection[str] | None = None) -> None:
    """Raises RunError if the database in the folder `name` has the study of another folder, and not its own:
    the folder was copied or renamed. `known` are the studies in it, if already read."""
    if known is None:
        engine = database.connect(url, read_only=True)
        known = bound(engine, url)
        engine.dispose()
    if known and name not in known:
        held = printable(", ".join(sorted(known)))
        raise RunError(
            f"{database.shown(url)}: this is the search {held}, in a folder that was copied or renamed\n"
            f"rename the folder to continue it; to read it: cellsearch status {printable(name)}"
        )


def bound(engine: Engine, url: str) -> dict[str, int]:
    """The studies in a database: name -> id in our tables. A uuid binds them, since Optuna uses the ids of
    deleted studies again."""
    file = database.file_of(url)
    if file is not None and not file.exists():
        return {}  # opening it would create it
    with reading(engine, url) as connection:
        if not compatible(connection, url):
            return {}
        studies, theirs, attributes = schema.studies, schema.optuna_studies, schema.optuna_attributes
        key = (attributes.c.key == schema.STUDY_KEY, attributes.c.study_id == theirs.c.study_id)
        query = select(theirs.c.study_name, attributes.c.value_json).where(*key)
        own = connection.execute(select(studies.c.uuid, studies.c.id))
        ids = {f'"{row.uuid}"': row.id for row in own}  # as JSON
        named = connection.execute(query).all()
        return {row.study_name: ids[row.value_json] for row in named if row.value_json in ids}


def optuna_id(store: Store) -> int:
    """Optuna's id of a study."""
    theirs = schema.optuna_studies
    with reading(store.engine, store.url) as connection:
        query = select(theirs.c.study_id).where(theirs.c.study_name == store.name)
        return int(connection.execute(query).scalar_one())


def compatible(connection: Connection, url: str) -> bool:
    """Whether there are tables of this program's version; False if there are none. Raises RunError for older
    or newer ones."""
    found = schema.version_of(connection)
    if found > schema.VERSION:
        raise RunError(
            f"{database.shown(url)}: its tables are of a newer cellsearch (schema {found}, not "
            f"{schema.VERSION})\nupgrade this one: pip install --upgrade cellsearch"
        )
    if 0 < found < schema.VERSION:
        raise RunError(
            f"{database.shown(url)}: its tables are of an earlier cellsearch (schema {found}, not "
            f"{schema.VERSION})\nbring them up to date: cellsearch migrate NAME (or --storage URL)"
        )
    return found == schema.VERSION and inspect(connection).has_table(schema.optuna_studies.name)


def facts(store: Store) -> Facts:
    """The recorded facts of a study."""
    with reading(store.engine, store.url) as connection:
        return facts_in(connection, store)


def facts_in(connection: Connection, store: Store) -> Facts:
    """The same within a transaction."""
    row = connection.execute(select(schema.studies).where(schema.studies.c.id == store.study)).one()
    units = None
    if row.baseline is not None:
        units = {task: Unit(**unit) for task, unit in json.loads(row.baseline).items()}
    return Facts(
        store.name, row.space, row.numerics, row.program, row.seed, json.loads(row.data), units, row.trials,
        row.proposals, row.seconds, row.cause, row.stopped, bool(row.halted),
    )  # fmt: skip


def check_identity(known: Facts, wanted: Identity, differences: Sequence[str]) -> None:
    """Raises a RunError that lists the differences between the study and the requested conditions.
    `differences` are those of the space, computed by code that can parse it.
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
        own = f"\nto continue it with its own space: cellsearch search --name {known.name}"
        raise RunError(
            f"the study {known.name!r} was created under other conditions:\n{listed}\n"
            "results of both must not be mixed: choose another --name, or restore those conditions"
            + own
            * (len(found) == len(differences))
        )


def extend(store: Store, target: Target, space: str | None = None) -> None:
    """Sets the target (totals) and lets workers take trials again: a new `search` resets the failure streak.
    `space` is the text of the space with the current values of changeable keys (`space.MAY_CHANGE`). Raises
    RunError if the baseline learned none of the tasks: such a study cannot continue.
    """
    known = facts(store)
    if known.baseline is not None and not known.units:
        raise RunError(known.stopped)
    values = asdict(target) | {"streak": 0, "cause": "", "stopped": "", "halted": False}
    if space is not None:
        values["space"] = space
    _update(store, values)


def halt(store: Store, stopped: str = "") -> None:
    """From now on no worker takes a trial; `stopped` is the reason if it is a failure."""
    _update(store, {"halted": True, "stopped": stopped} if stopped else {"halted": True})


def spend(store: Store, seconds: float) -> None:
    """Adds to the total search time."""
    _update(store, {"seconds": schema.studies.c.seconds + seconds})


def remember(store: Store, words: Sequence[str]) -> None:
    """Records the words of the command that starts a search, without password."""
    with writing(store) as connection:
        _write(connection, store, schema.COMMAND_KEY, list(words))


def command(store: Store) -> list[str]:
    """The words of the latest command of a search; empty if none are recorded."""
    with reading(store.engine, store.url) as connection:
        return [str(word) for word in _listed(connection, store, schema.COMMAND_KEY)]


def note_cohort(store: Store, size: int) -> None:
    """Records the cohort size of a worker, if it differs from the last recorded one."""
    if cohorts(store)[-1:] == [size]:
        return
    with writing(store) as connection:
        known = _listed(connection, store, schema.COHORT_KEY)
        if known[-1:] != [size]:
            _write(connection, store, schema.COHORT_KEY, [*known, size])


def cohorts(store: Store) -> list[int]:
    """The cohort sizes in order of use; empty if it was always one."""
    with reading(store.engine, store.url) as connection:
        return [size for size in _listed(connection, store, schema.COHORT_KEY) if isinstance(size, int)]


def _write(connection: Connection, store: Store, key: str, value: Sequence[object]) -> None:
    """Creates or changes an attribute of the Optuna study, within a transaction of `writing`."""
    theirs, text = schema.optuna_attributes, json.dumps(value)
    study = connection.execute(select(schema.bound(store.study))).scalar()
    if study is None:
        raise transactions.gone(store)
    here = (theirs.c.study_id == study, theirs.c.key == key)
    if not connection.execute(update(theirs).where(*here).values(value_json=text)).rowcount:
        connection.execute(insert(theirs).values(study_id=study, key=key, value_json=text))


def _listed(connection: Connection, store: Store, key: str) -> list[object]:
    """A list stored in an attribute of the Optuna study; empty if missing or not a list."""
    theirs = schema.optuna_attributes.alias()  # the table itself would be that of `bound`
    here = (theirs.c.study_id == schema.bound(store.study), theirs.c.key == key)
    value = connection.execute(select(theirs.c.value_json).where(*here)).scalar()
    try:
        found = json.loads(value or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def rename(connection: Connection, store: Store, name: str) -> None:
    """Renames a study, within a transaction of `writing`. Our tables do not have the name; they are bound to
    the study by a uuid. Raises RunError if the name is taken."""
    theirs = schema.optuna_studies
    if connection.execute(select(theirs.c.study_id).where(theirs.c.study_name == name)).first():
        raise RunError(
            f"{database.shown(store.url)}: there is a study {printable(name)!r}\nchoose another name"
        )
    here = theirs.c.study_id == schema.bound(store.study)
    if connection.execute(update(theirs).where(here).values(study_name=name)).rowcount != 1:
        raise transactions.gone(store)


def _update(store: Store, values: Mapping[str, object]) -> None:
    with writing(store) as connection:
        connection.execute(update(schema.studies).where(schema.studies.c.id == store.study).values(**values))


def freeze(store: Store, baseline: str, floors: Mapping[str, float], margin: float) -> Facts:
    """Freezes the unit of every task: the current best accuracy of the cell `baseline` (a fingerprint). A
    task is kept if that accuracy exceeds `floors[task] + margin`. If none is kept the study stops. The first
    caller freezes the units, later ones read them.
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
    """One line for each dropped task, with the reason."""
    lines = []
    for task, unit in units.items():
        if not unit.kept:
            best = "nothing (every setting diverged)" if unit.accuracy is None else f"{unit.accuracy:.4f}"
            lines.append(
                f"{task}: the baseline reaches {best}, "
                f"a memoryless predictor {unit.floor:.4f} (margin {margin:g})"
            )
    return lines
