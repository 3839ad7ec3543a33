"""The recorded repeats of `verify`: rounds are added and never changed.

The table may be missing in a study of an earlier program: it then has no repeats, and `add` creates it. So
such a study needs no migration, and an earlier program can continue a study that has the table.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import inspect, select

from cellsearch.errors import RunError
from cellsearch.study.tables.schema import repeats
from cellsearch.study.tables.transactions import Store, reading, unless_there, writing


@dataclass(frozen=True, slots=True)
class Repeat:
    """One training with a fresh seed. A diverged one has no accuracies and no losses."""

    seed: int  # seed of the initial weights
    status: str
    accuracy: float | None  # best on the validation part
    loss: float | None  # validation loss at that epoch, in nats
    test_accuracy: float | None  # with the weights of that epoch
    test_loss: float | None
    epochs: int  # of the best accuracy
    trained: int  # total epochs
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """The repeats of one cell on one task in one round."""

    fingerprint: str
    task: str
    look: int  # 0, 1, …: of `scoring.sequential.LOOKS`
    setting: str  # its values as text
    digest: str  # of the data
    repeats: tuple[Repeat, ...]
    seconds: float = 0.0


def recorded(store: Store) -> list[Round]:
    """All rounds of a study, by cell, task and look."""
    with reading(store.engine, store.url) as connection:
        if not inspect(connection).has_table(repeats.name):
            return []
        query = select(repeats).where(repeats.c.study == store.study)
        rows = connection.execute(query.order_by(repeats.c.fingerprint, repeats.c.task, repeats.c.look))
        return [
            Round(
                row.fingerprint, row.task, row.look, row.setting, row.digest,
                tuple(Repeat(**one) for one in json.loads(row.outcomes)), row.seconds,
            )
            for row in rows
        ]  # fmt: skip


def add(store: Store, found: Round) -> None:
    """Records a round once; an existing one is kept. Raises RunError if the round of another cell on the task
    has other data, which would make them incomparable."""
    key = {"study": store.study, "fingerprint": found.fingerprint, "task": found.task, "look": found.look}
    outcomes = json.dumps([asdict(one) for one in found.repeats])
    values = key | {"setting": found.setting, "digest": found.digest, "outcomes": outcomes}
    same = (repeats.c.study == store.study, repeats.c.task == found.task, repeats.c.look == found.look)
    with writing(store) as connection:
        repeats.create(connection, checkfirst=True)
        digests = connection.execute(select(repeats.c.digest).where(*same).distinct()).scalars().all()
        if any(digest != found.digest for digest in digests):
            raise RunError(
                f"the data of {found.task} differ from those of the recorded repeats\n"
                "verify on the machine, with the --data and the version of Python, of the first rounds"
            )
        connection.execute(unless_there(store.engine, repeats).values(**values, seconds=found.seconds))


def rounds_of(found: Sequence[Round]) -> dict[str, dict[str, list[list[float | None]]]]:
    """Cell -> task -> for each look from the first the test accuracies; rounds after a gap are omitted."""
    known: dict[str, dict[str, list[list[float | None]]]] = {}
    for one in sorted(found, key=lambda one: one.look):
        here = known.setdefault(one.fingerprint, {}).setdefault(one.task, [])
        if len(here) == one.look:
            here.append([repeat.test_accuracy for repeat in one.repeats])
    return known
