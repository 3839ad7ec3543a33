"""The score of the paper is written twice: in Python for what is at hand, in SQL so that a long search is read by
an index alone. They agree."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from cellsearch.study.scoring import ranking
from cellsearch.study.scoring.ranking import Origin, Stage
from cellsearch.study.states import Ending, Kind
from cellsearch.study.tables import queries
from cellsearch.study.tables.schema import items, stages
from cellsearch.study.tables.transactions import Store, writing
from tests.study.scripted import new_study, space_of

CELLS, TASKS = ("a" * 64, "b" * 64, "c" * 64, "d" * 64), ("arithmetic", "xml", "text")
SEEDS = CELLS[:1]
UNITS = st.fixed_dictionaries({}, optional={task: st.sampled_from((0.25, 0.5, 0.8)) for task in TASKS})
# ratios on and beside the threshold, and none
ACCURACIES = st.sampled_from((None, 0.0, 0.225, 0.25, 0.45, 0.4500001, 0.5, 0.72, 0.8, 1.0))
ROWS = st.lists(
    st.tuples(st.sampled_from(CELLS), st.sampled_from(TASKS), ACCURACIES, st.booleans()), max_size=24
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return new_study(tmp_path_factory.mktemp("study"), space_of())


def recorded(store: Store, rows: Sequence[tuple[str, str, float | None, bool]]) -> list[tuple[Stage, bool]]:
    """A trial of one stage for each row; the last value says whether it has ended."""
    found: list[tuple[Stage, bool]] = []
    made: list[dict[str, Any]] = []
    trials: list[dict[str, Any]] = []
    for number, (cell, task, accuracy, ended) in enumerate(rows, 100):
        none = accuracy is None
        stage = Stage(number, 0, task, cell, 1, int(not none), accuracy, None if none else 1.0, "s", 10, 8)
        found.append((stage, ended))
        row = {name: getattr(stage, name) for name in Stage.__dataclass_fields__}
        made.append(row | {"study": store.study, "outcomes": "[]", "seconds": 1.0})
        item = {"study": store.study, "trial": number, "piece": 0, "trial_id": number, "kind": Kind.PROPOSE}
        trials.append(item | {"fingerprint": cell, "outcome": Ending.RANKED if ended else Ending.OPEN})
    with writing(store) as connection:
        connection.execute(delete(stages))
        connection.execute(delete(items))
        for table, several in ((stages, made), (items, trials)):
            if several:
                connection.execute(insert(table), several)
    return found


def in_python(found: Sequence[Stage], units: dict[str, float], threshold: float) -> dict[str, float]:
    origins = {cell: Origin(k, cell in SEEDS) for k, cell in enumerate(CELLS)}
    ranked = ranking.ranked(ranking.bests(found), origins, units, threshold)
    return {standing.fingerprint: standing.score for standing in ranked}


@pytest.mark.long
@given(rows=ROWS, units=UNITS, threshold=st.sampled_from((0.0, 0.9)))
@settings(max_examples=60)
@example(
    rows=[(CELLS[1], "xml", 0.45, True)], units={"xml": 0.5}, threshold=0.9
)  # 0.9 exactly is not above it
@example(
    rows=[(CELLS[0], "xml", None, True)], units={"xml": 0.5}, threshold=0.9
)  # a seed without an accuracy
@example(rows=[(CELLS[1], "xml", 0.0, True)], units={"xml": 0.5}, threshold=0.0)
def test_python_and_sql_agree(
    store: Store, rows: list[tuple[str, str, float | None, bool]], units: dict[str, float], threshold: float
) -> None:
    found = recorded(store, rows)
    every = [stage for stage, _ in found]
    assert dict(queries.scores(store, units, threshold, SEEDS)) == in_python(every, units, threshold)
    open_ = {stage.fingerprint for stage, ended in found if not ended}
    told = [stage for stage, ended in found if ended or stage.fingerprint not in open_]
    expected = in_python(told, units, threshold)
    assert dict(queries.scores(store, units, threshold, SEEDS, finished=True)) == expected
    scores = [score for _, score in queries.scores(store, units, threshold, SEEDS, finished=True)]
    assert scores == sorted(scores, reverse=True)
