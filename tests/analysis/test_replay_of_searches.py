"""Strategies on recorded evaluations: nothing but these comes out, and who follows the better cell wins."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from cellsearch.analysis import replay
from cellsearch.analysis.cost_curve import Amount, curve
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.text import show
from cellsearch.dsl.zoo import load
from cellsearch.errors import RunError
from cellsearch.study.scoring import ranking
from cellsearch.study.space import Space
from cellsearch.study.strategies import STRATEGIES
from cellsearch.study.studies import Study
from cellsearch.study.tables import queries, records
from cellsearch.study.tables.study_facts import Seed
from cellsearch.train.outcome import Outcome
from tests.study.scripted import (
    DIGESTS,
    FLOORS,
    KEYS,
    SEEDS,
    Scripted,
    new_study,
    one_of,
    searched,
    space_of,
    variant,
)
from tests.study.workers.test_repeats import noisy

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
AMOUNTS = {name: Amount(40, 1_000, 100) for name in ("filter", "arithmetic", "xml")}
LENGTH = 10  # of the chain


def study_of(folder: Path, space: Space) -> Study:
    store = searched(folder, Scripted(), space, one_of(30), trials=20)
    return Study(store, records.facts(store), space)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study_of(tmp_path_factory.mktemp("recorded"), space_of())


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_comes_out_that_is_not_recorded(recorded: Study, name: str) -> None:
    table = replay.table(recorded)
    units = recorded.facts.units
    final = ranking.bests(queries.recorded_stages(recorded.store))
    most = {mark: ranking.score(found, units) for mark, found in final.items()}
    played = replay.replay(recorded, AMOUNTS, [name], [1])
    assert played.cells == len(table.mutants) and played.score == table.score
    for found in played.curves[name]:
        assert found.spent <= played.spent  # no setting of a cell twice
        for point in found.points:
            assert point.fingerprint in table.cells
            if point.outcome == "ranked":  # of the others a score is over fewer tasks
                assert (point.score or 0.0) <= (most[point.fingerprint] or 0.0)
        assert found.best(played.spent) is not None and found.best(played.spent) <= table.score  # type: ignore[operator]


def test_settings_are_asked_for_once_and_only_where_they_are_recorded(recorded: Study) -> None:
    table = replay.table(recorded)
    asked: list[tuple[str, str, str]] = []

    class Watched(replay.Player):
        def evaluate(self, cell: Cell, task: str, settings: Sequence[str], *rest: Any) -> Any:
            outcomes = super().evaluate(cell, task, settings, *rest)
            mark = fingerprint(cell)
            asked.extend((mark, task, setting) for setting in settings)
            assert [o.setting for o in outcomes] == list(settings)
            assert all(o == table.outcomes[mark, task][o.setting] for o in outcomes)
            assert self.left[mark] >= 0
            return outcomes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "Player", Watched)
        for name in STRATEGIES:
            asked.clear()
            found = replay.play(recorded, table, AMOUNTS, space_of(name=name), 7, float("inf"))
            assert len(asked) == len(set(asked)) > 100
            # with all the cost in the world it ends when nothing is left
            every = {(*key, setting) for key, outcomes in table.outcomes.items() for setting in outcomes}
            assert found.points and set(asked) <= every
            if name == "jozefowicz2015":
                assert len(asked) > 0.9 * len(every)


def test_the_same_seed_is_the_same_replay(recorded: Study) -> None:
    one, two = (replay.replay(recorded, AMOUNTS, ["evolution"], [3]).curves["evolution"] for _ in range(2))
    assert one[0] == two[0]
    other = replay.replay(recorded, AMOUNTS, ["evolution"], [4]).curves["evolution"]
    assert one[0].points != other[0].points


def chain() -> replay.Table:
    """A table in which each of a few links is better than the last, and has one child beside the next link that
    is no good; the many other cells are no good, and descend from one another."""
    links = [variant(k) for k in range(1, LENGTH + 1)]
    beside = [variant(100 + k) for k in range(LENGTH)]
    others = [variant(1_000 + k) for k in range(60)]
    cells = {fingerprint(cell): cell for cell in [load("lstm"), load("gru"), *links, *beside, *others]}
    before = [load("gru"), *links]
    children = {
        fingerprint(before[k]): (fingerprint(links[k]), fingerprint(beside[k])) for k in range(LENGTH)
    }
    children[SEEDS["lstm"]] = children[SEEDS["gru"]]
    children |= {
        fingerprint(a): (fingerprint(b),) for a, b in zip([beside[0], *others], others, strict=False)
    }
    quality = {fingerprint(link): 0.8 + 0.01 * k for k, link in enumerate(links, 1)}
    quality |= dict.fromkeys(SEEDS.values(), 0.8)
    outcomes: dict[tuple[str, str], dict[str, Outcome]] = {}
    for mark in cells:
        outcomes[mark, "filter"] = {KEYS[0]: Outcome(KEYS[0], "done", 0.99, 0.1, 1, 8, 100)}
        passing = ("arithmetic", "xml") if mark in quality else ("arithmetic",)
        for task in passing:
            settings = KEYS if mark in SEEDS.values() else KEYS[:4]
            accuracy = quality.get(mark, 0.6)
            outcomes[mark, task] = {k: Outcome(k, "done", accuracy, 0.1, 3, 8, 100) for k in settings}
    seeds = [
        Seed(name, mark, functional_fingerprint(cells[mark]), show(cells[mark]))
        for name, mark in SEEDS.items()
    ]
    own = set(SEEDS.values())
    return replay.Table(
        cells, seeds, children, outcomes, FLOORS, DIGESTS, 1.0, [mark for mark in cells if mark not in own]
    )


def test_repeats_are_not_replayed_and_their_cost_is_that_of_their_trials(tmp_path: Path) -> None:
    space = space_of(settings=4, refine=0.3, repeats=2)
    store = searched(tmp_path, noisy(), space, one_of(30), trials=14)
    study, count = Study(store, records.facts(store), space), queries.counts(store).repeats
    found = replay.table(study)
    assert count and {stage for _, stage in found.outcomes} == {"filter", "arithmetic", "xml"}
    whole = curve(store, space, 1, AMOUNTS)
    assert sum(point.kind == "repeat" and point.cost > 0 for point in whole.points) == count
    played = replay.replay(study, AMOUNTS, ["jozefowicz2015"], [1])
    assert {point.kind for point in played.curves["jozefowicz2015"][0].points} == {"propose", "refine"}


def test_who_follows_the_better_cell_wins(recorded: Study) -> None:
    table, best = chain(), {}
    for name in ("jozefowicz2015", "random"):
        space = space_of(name=name, list=1, refine=0, walk="[1,1]")
        curves = [replay.play(recorded, table, AMOUNTS, space, seed, float("inf"), 20) for seed in (1, 2, 3)]
        best[name] = [curve.points[-1].best or 0.0 for curve in curves]
    assert min(best["jozefowicz2015"]) > 1 + 0.0125 * (LENGTH - 2)
    assert mean(best["jozefowicz2015"]) > mean(best["random"])


def test_a_replay_ends_with_its_trials(recorded: Study) -> None:
    found = replay.replay(recorded, AMOUNTS, ["random"], [1], trials=5).curves["random"][0]
    assert len(found.points) == 5


def test_what_can_not_be_replayed(tmp_path: Path, recorded: Study) -> None:
    space = space_of()
    store = new_study(tmp_path, space)
    unfinished = Study(store, records.facts(store), space)
    with pytest.raises(RunError, match="the baseline of 's' is not done"):
        replay.replay(unfinished, AMOUNTS)
    (tmp_path / "none").mkdir()
    nothing = searched(tmp_path / "none", Scripted(), space, one_of(30), trials=0)
    with pytest.raises(RunError, match="'s' has no trial yet"):
        replay.replay(Study(nothing, records.facts(nothing), space), AMOUNTS)
    with pytest.raises(RunError, match="can change only the strategy"):
        replay.replay(recorded, AMOUNTS, overrides=["filter.accuracy=0.5"])
    with pytest.raises(RunError, match=r"strategy\.threshold decided what was recorded"):
        replay.replay(recorded, AMOUNTS, overrides=["strategy.threshold=0.5"])


def test_nothing_is_trained(tmp_path: Path) -> None:
    """In a process of its own, for other tests load torch."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.analysis.test_replay_of_searches import AMOUNTS, replay, space_of, study_of\n"
        f"played = replay.replay(study_of(Path({str(tmp_path)!r}), space_of()), AMOUNTS, seeds=[1])\n"
        "assert len(played.curves) == 3\n"
        "assert 'torch' not in {name.partition('.')[0] for name in sys.modules}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
