"""The mirror of a study in Optuna, for its dashboard and its users; the only module that knows Optuna.

One trial for each finished proposal or refinement, written once and whole: COMPLETE with the score of the
cell so far, PRUNED where it was filtered, FAIL with its cause. Nothing is ever read back from it but the
slots that are there. A slot is `due`, then `writing`, then `done`; what a dead process left at `writing` is
looked up before it is written again.
"""

import json
import math
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Row, select, update

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Affine
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.search import queries
from cellsearch.search.database import driven, engine_options, said, shown
from cellsearch.search.failpoint import failpoint
from cellsearch.search.records import Facts
from cellsearch.search.schema import Store, reading, slots, writing
from cellsearch.search.sections import FILTER

MANY = 2**31 - 1
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "slot": IntDistribution(0, MANY),
    "kind": CategoricalDistribution(("propose", "refine")),
    "nodes": IntDistribution(0, 10_000),
    "states": IntDistribution(0, 10_000),
    "brackets": IntDistribution(0, 10_000),
    "matrices": IntDistribution(0, 10_000),
    "peepholes": IntDistribution(0, 10_000),
}
STATES = {"ranked": TrialState.COMPLETE, "filtered": TrialState.PRUNED, "failed": TrialState.FAIL}


def open_mirror(store: Store) -> optuna.Study:
    """The Optuna study of the same name in the same database."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        url = driven(store.url).render_as_string(hide_password=False)
        storage = optuna.storages.RDBStorage(url, engine_kwargs=engine_options(store.url))
        return optuna.create_study(
            storage=storage, study_name=store.name, direction="maximize", load_if_exists=True
        )
    except Exception as error:
        raise RunError(
            f"{shown(store.url)}: Optuna cannot open its study {store.name!r} there: {said(store.url, error)}"
        ) from error


def heal(store: Store, mirror: optuna.Study, living: Sequence[str]) -> int:
    """Settles what dead processes left at `writing`; tells how many slots that were."""
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(
            select(slots.c.number).where(
                slots.c.study == store.study,
                slots.c.mirror == "writing",
                slots.c.mirrored_by.not_in(list(living)),
            )
        ).all()
    if not rows:
        return 0
    there = {trial.params.get("slot") for trial in mirror.get_trials(deepcopy=False)}
    with writing(store) as connection:
        for row in rows:
            state = "done" if row.number in there else "due"
            here = (slots.c.study == store.study, slots.c.number == row.number)
            connection.execute(update(slots).where(*here).values(mirror=state, mirrored_by=""))
    return len(rows)


def write_due(store: Store, mirror: optuna.Study, known: Facts, by: str, limit: int = 50) -> int:
    """Writes up to `limit` trials that are due, in the order of their slots; tells how many.

    Where Optuna refuses, the slots stay at `writing`: call `heal` before the next attempt.
    """
    with writing(store) as connection:
        query = select(slots).where(slots.c.study == store.study, slots.c.mirror == "due")
        rows = connection.execute(query.order_by(slots.c.number).limit(limit)).all()
        numbers = [row.number for row in rows]
        mine = (slots.c.study == store.study, slots.c.number.in_(numbers))
        connection.execute(update(slots).where(*mine).values(mirror="writing", mirrored_by=by))
    for row in rows:
        failpoint("before-mirror")
        trial = trial_of(store, known, row)
        try:
            mirror.add_trial(trial)
        except Exception as error:
            why = said(store.url, error)
            raise RunError(f"{shown(store.url)}: Optuna cannot write to its study: {why}") from error
        failpoint("after-mirror")
        with writing(store) as connection:
            here = (slots.c.study == store.study, slots.c.number == row.number)
            connection.execute(update(slots).where(*here).values(mirror="done"))
    return len(rows)


def trial_of(store: Store, known: Facts, row: Row[tuple[object, ...]]) -> FrozenTrial:
    """A finished slot as a trial."""
    records = queries.recorded_cells(store, [row.fingerprint]) if row.fingerprint else []
    params: dict[str, object] = {"slot": row.number}
    attributes: dict[str, object] = {"task": row.task, "cause": row.cause, "seconds": row.seconds}
    if row.kind:
        params["kind"] = row.kind
    for record in records:
        params |= structure(parse(record.text))
        attributes |= {"cell": record.text, "fingerprint": record.fingerprint, "name": record.name}
        attributes |= {"parent": row.parent, "edits": json.loads(record.edits)}
    if (twin := queries.twin_of(store, row.number)) is not None:
        attributes |= {"twin": twin.text, "edits": json.loads(twin.edits)}
    units = known.units
    ratios = {}
    for stage in queries.recorded_stages(store, among=[row.fingerprint]):
        if (
            stage.slot == row.number
            and stage.task != FILTER
            and stage.accuracy is not None
            and stage.task in units
        ):
            ratios[list(units).index(stage.task)] = stage.accuracy / units[stage.task]
    state = STATES[row.outcome]
    score = row.score if state == TrialState.COMPLETE else None
    assert score is None or math.isfinite(score), "a score that is not finite is never recorded"
    return create_trial(
        state=state,
        value=score,
        params=params,
        distributions={name: DISTRIBUTIONS[name] for name in params},
        user_attrs=attributes,
        intermediate_values=ratios,
    )


def structure(cell: Cell) -> dict[str, int]:
    """Counts that a dashboard can plot."""
    affine = [node for node in cell.nodes if isinstance(node, Affine)]
    connections = [connection for node in affine for connection in node.connections]
    peepholes = sum(connection.peephole for connection in connections)
    return {
        "nodes": len(cell.nodes),
        "states": len(cell.states),
        "brackets": len(affine),
        "matrices": len(connections) - peepholes,
        "peepholes": peepholes,
    }
