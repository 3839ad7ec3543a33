"""The importance of hyperparameters: what decides an accuracy is found, whatever else differs."""

import json
from math import log
from pathlib import Path
from random import Random

import pytest

from cellsearch.cli.main import main
from cellsearch.study.leaderboard.importance import LEAST, importances, of_drawn
from tests.study.scripted import KEYS, Scripted, new_study, one_of, searched, space_of, uniform

SPACE = space_of(settings=6)


def by(word: str) -> Scripted:
    """Accuracies that one hyperparameter decides; cells differ much more than settings do."""

    def accuracy(mark: str, task: str, setting: int) -> float:
        if task == "filter":
            return 1.0
        value = float(dict(part.split("=") for part in KEYS[setting].split())[word])
        return (0.4 + 0.5 * uniform(mark)) * (1 - 0.05 * value) + 1e-4 * uniform(mark, task, setting)

    return Scripted(accuracy)


@pytest.mark.long
@pytest.mark.parametrize("word", ["learning_rate", "max_norm", "init_scale"])
def test_the_hyperparameter_that_decides_is_the_first(word: str, tmp_path: Path) -> None:
    store = searched(tmp_path, by(word), SPACE, one_of(200), trials=25)
    found = importances(store, SPACE)
    assert set(found) == {"arithmetic", "xml"}
    for shares in found.values():
        assert next(iter(shares)) == word
        assert set(shares) == {"learning_rate", "max_norm", "init_scale"}  # the others have one value each
        assert sum(shares.values()) == pytest.approx(1)


def test_little_says_nothing(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    assert importances(store, SPACE) == {}
    assert LEAST > 12  # one seed on its whole grid is too little


@pytest.mark.long
def test_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    searched(tmp_path / "results" / "s", by("max_norm"), SPACE, one_of(200), trials=25).engine.dispose()
    assert main(["status", "s", "--settings"]) == 0
    first, *rows = capsys.readouterr().out.splitlines()[:4]
    assert first.split() == ["hyperparameter", "arithmetic", "xml"]
    assert {row.split()[0] for row in rows} == {"max_norm", "learning_rate", "init_scale"}
    assert rows[0].split()[0] == "max_norm"
    assert main(["status", "--settings", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "s" and set(found["importance"]) == {"arithmetic", "xml"}


def test_of_settings_that_were_drawn_from_intervals() -> None:
    """What decides is found, on a logarithmic scale; what has one value has no share."""
    rng = Random(1)
    outcomes: list[tuple[dict[str, float | int], float]] = []
    for _ in range(200):
        setting = {
            "learning_rate": 0.01 * 1000 ** rng.random(), "init_scale": 0.1 * 100 ** rng.random(),
            "layers": rng.choice((1, 2)), "parameters": 500,
        }  # fmt: skip
        outcomes.append((setting, -abs(log(setting["learning_rate"] / 0.1)) + 0.01 * rng.random()))
    intervals = {"learning_rate": (0.01, 10.0), "init_scale": (0.1, 10.0)}
    found = of_drawn(intervals, {"layers": (1, 2), "parameters": (500,)}, outcomes)
    assert set(found) == {"learning_rate", "init_scale", "layers"}
    assert next(iter(found)) == "learning_rate" and found["learning_rate"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert of_drawn({}, {"parameters": (500,)}, outcomes) == {}
