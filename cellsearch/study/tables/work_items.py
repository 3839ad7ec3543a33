"""Work items and their recorded stages, as read. An item is the unit that a worker takes: a seed has one for
each piece of its grids and one that completes its trial, any other trial has one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from cellsearch.study.scoring.ranking import Stage
from cellsearch.study.states import Ending, Kind
from cellsearch.study.tables.schema import claims, items, stages
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.train.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Item:
    """A work item owned by a worker."""

    trial: int  # Optuna's number
    piece: int
    trial_id: int
    kind: str  # a `Kind`; "" until it is decided
    fingerprint: str
    parent: str
    task: str  # task of a piece of the baseline
    attempts: int = 0  # crashes of its workers since the last recorded stage


def item_of(row: Row[Any]) -> Item:
    key = (row.trial, row.piece, row.trial_id, row.kind, row.fingerprint, row.parent, row.task)
    return Item(*key, row.attempts)


def summary(item: Item, task: str, outcomes: Sequence[Outcome]) -> Stage:
    """The stage of `outcomes`: the best setting is the most accurate, the first among ties."""
    key = (item.trial, item.piece, task, item.fingerprint, len(outcomes))
    trained = [o for o in outcomes if o.accuracy is not None]
    best = max(trained, key=lambda o: o.accuracy or 0.0, default=None)
    if best is None:
        return Stage(*key, 0, None, None, None, None, None)
    return Stage(
        *key, len(trained), best.accuracy, best.loss, best.setting, best.parameters, best.hidden
    )  # fmt: skip


def recorded(store: Store, item: Item) -> dict[str, tuple[Outcome, ...]]:
    """The recorded stages of an item, which are not run again."""
    here = (stages.c.study == store.study, stages.c.trial == item.trial, stages.c.piece == item.piece)
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(select(stages.c.task, stages.c.outcomes).where(*here))
        return {str(row.task): outcomes_of(row.outcomes) for row in rows}


def claimed(store: Store, item: Item) -> frozenset[str]:
    """The stages that an item has begun: with claimed settings, or recorded (without settings if none were
    left)."""
    found: set[str] = set()
    with reading(store.engine, store.url) as connection:
        for table in (claims, stages):
            here = (table.c.study == store.study, table.c.trial == item.trial, table.c.piece == item.piece)
            found.update(connection.execute(select(table.c.task).where(*here).distinct()).scalars())
    return frozenset(found)


def repeats_claimed(
    store: Store, fingerprints: Sequence[str], names: Sequence[str]
) -> dict[str, set[tuple[str, str]]]:
    """Fingerprint -> (stage, setting) of repeats that any trial has claimed; `names` are their stages."""
    found: dict[str, set[tuple[str, str]]] = {fingerprint: set() for fingerprint in fingerprints}
    query = select(claims.c.fingerprint, claims.c.task, claims.c.setting).where(
        claims.c.study == store.study, claims.c.fingerprint.in_(list(found)), claims.c.task.in_(list(names))
    )
    with reading(store.engine, store.url) as connection:
        for row in connection.execute(query):
            found[row.fingerprint].add((row.task, row.setting))
    return found


def repeats_given_up(store: Store, fingerprints: Sequence[str]) -> frozenset[str]:
    """Those cells with a trial of repeats that has failed, or that a worker has now."""
    query = select(items.c.fingerprint).where(
        items.c.study == store.study,
        items.c.kind == Kind.REPEAT,
        items.c.outcome.in_((Ending.OPEN, Ending.FAILED)),
        items.c.fingerprint.in_(list(fingerprints)),
    )
    with reading(store.engine, store.url) as connection:
        return frozenset(connection.execute(query).scalars())


def outcomes_of(text: str) -> tuple[Outcome, ...]:
    """The outcomes of a recorded stage, by setting."""
    return tuple(Outcome(**item) for item in json.loads(text))
