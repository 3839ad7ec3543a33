"""`cellsearch search --replay`: a search that was never trained, on real data, replayed in this process."""

from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.study.space import parse_space
from cellsearch.study.storage.create import create
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.study.workers.run import default_url, seeds_of
from cellsearch.train.settings import keys
from tests.study.scripted import Scripted, one_of, work

SPACE = """\
name: small
strategy: {list: 20, settings: 2, margin: -1}
filter: {task: memorize, options: {symbols: 1, alphabet: 2, train: 200, valid: 100, test: 100}}
tasks:
  - {name: memorize, options: {symbols: 2, alphabet: 3, train: 400, valid: 100, test: 100}}
grid: {init_scale: [1, 2], learning_rate: [0.5, 1], max_norm: [5], layers: [1], parameters: [1500]}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    space = parse_space(SPACE)
    digests = dict(TorchEvaluator(space, 1).digests())
    (tmp_path / "results" / "small").mkdir(parents=True)
    url = default_url(tmp_path / "results", "small")
    identity = Identity(space.text, 1, digests)
    store = create(url, "small", space, identity, "test", Target(20), seeds_of(space))
    places = keys(space.tasks[0].grid)
    assert len(places) == 4
    work(store, space, Scripted(data=digests, floors={"memorize": 0.1}, places=lambda _: places), one_of(30))
    store.engine.dispose()
    return tmp_path


@pytest.mark.long
def test_a_table_of_all_strategies(small: Path, run: Run) -> None:
    done = run("search", "--replay", "small", "--repeats", "2")
    assert done.code == 0, done.err
    first, *rows = done.out.splitlines()[:4]
    assert first.split("  ")[0] == "strategy" and "25% of the cost" in first
    assert [row.split()[0] for row in rows] == ["jozefowicz2015", "evolution", "random"]
    assert "the median of 2 repeats" in done.out and "not beyond it" in done.out
    assert "random: 2 of 2" in done.err
    assert max(map(len, done.out.splitlines())) <= 100


@pytest.mark.long
def test_as_json(small: Path, run: Run) -> None:
    words = ("search", "--replay", "small", "--repeats", "2", "--strategies", "random", "--json")
    found = run(*words).json
    assert set(found["strategies"]) == {"random"}
    whole = found["strategies"]["random"]["best"]
    assert whole["1"] == [found["best"]] * 2  # all of the table was seen
    assert all(a is None or a <= found["best"] for scores in whole.values() for a in scores)
    assert found["strategies"]["random"]["spent"] == [found["cost"]] * 2
    assert run(*words).json == found
    assert run(*words, "--seed", "5").json != found
    assert run(*words, "--trials", "3").json["strategies"]["random"]["trials"] == [3, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quick", "--replay", "small"], "a replay uses the space of the search"),
        (["--replay", "small", "--workers", "2"], "--workers does not apply to a replay"),
        (["--replay", "small", "--strategies", "evolutoin"], "did you mean 'evolution'?"),
        (["--replay", "small", "--strategies", ","], "name at least one of jozefowicz2015"),
        (["--json"], "required: SPACE, --name NAME or --replay NAME"),
        (["quick", "--json"], "--json requires a replay"),
        (["quick", "--strategies", "random"], "--strategies requires a replay"),
    ],
)
def test_wrong_words(words: list[str], said: str, run: Run) -> None:
    done = run("search", *words)
    assert done.code == 2 and said in done.err and not done.out


@pytest.mark.long
def test_other_data_is_refused(small: Path, run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchEvaluator, "digests", lambda self: {"filter": "0" * 64, "memorize": "1" * 64})
        done = run("search", "--replay", "small")
    assert done.code == 1 and "differs from the data of the study 'small'" in done.err
