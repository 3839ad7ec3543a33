"""F8, F19, F25, F26: a study that is opened with another space, seed, program or data, or by another Optuna."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cellsearch.errors import DataError, RunError
from cellsearch.study.space import parse_space
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.study.workers.run import Options, start
from tests.faults.processes import Search, end, until
from tests.faults.witness import Witness, accounts, board, undisturbed
from tests.study.scripted import DIGESTS, TEXT, new_study, space_of

pytestmark = pytest.mark.long

OTHERWISE = {  # a change of the space -> the difference that is shown
    ("seeds: [lstm, gru]", "seeds: [rnn, gru]"): "seeds",
    ("threshold: 0.9", "threshold: 0.95"): "strategy.threshold: 0.9 before, 0.95 now",
    ("settings: 4", "settings: 5"): "strategy.settings: 4 before, 5 now",
    ("accuracy: 0.95", "accuracy: 0.9"): "filter.accuracy: 0.95 before, 0.9 now",
    ("{name: xml}", "{name: memorize}"): "tasks",
    ("max_norm: [1, 5]", "max_norm: [1, 10]"): "grid.max_norm",
    ("\nbudget", "\ntraining: {batch: 10}\nbudget"): "training.batch: 20 before, 10 now",
    ("about:", "mutation: {weights: {use_ancestor: 2}}\nabout:"): "mutation.weights.use_ancestor",
}


@pytest.mark.parametrize(("old", "new"), OTHERWISE)
def test_another_space_is_refused_with_the_difference(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "s").mkdir()
    start(parse_space(TEXT), "s", lambda _: DIGESTS, Options(results=tmp_path), None).engine.dispose()
    try:
        other = parse_space(TEXT.replace(old, new))
    except Exception as error:
        pytest.fail(f"the change is no space: {error}")
    with pytest.raises(RunError) as caught:
        start(other, "s", lambda _: DIGESTS, Options(results=tmp_path), None)
    assert OTHERWISE[old, new] in str(caught.value)
    assert "results of both must not be mixed: choose another --name" in str(caught.value)
    assert str(caught.value).endswith("to continue it with its own space: cellsearch search --name s")


def test_everything_that_differs_is_listed(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    options = Options(results=tmp_path)
    start(parse_space(TEXT), "s", lambda _: DIGESTS, options, None).engine.dispose()
    with sqlite3.connect(tmp_path / "s" / "study.db") as connection:
        connection.execute("UPDATE cellsearch_study SET numerics = 1")
    connection.close()
    other, data = parse_space(TEXT.replace("list: 100", "list: 50")), DIGESTS | {"xml": "c" * 64}
    with pytest.raises(RunError) as caught:
        start(other, "s", lambda _: data, options, 7)
    lines = str(caught.value).splitlines()
    assert [line.strip().split(":")[0] for line in lines[1:-1]] == [
        "strategy.list",
        "numerics",
        "seed",
        "data of xml",
    ]


def test_a_worker_of_another_program_is_refused(tmp_path: Path) -> None:
    """It would add numbers to the study that this program does not give."""
    store = new_study(tmp_path, space_of())
    store.engine.dispose()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE cellsearch_study SET numerics = 1, program = '0.0.9'")
    connection.close()
    search = Search(tmp_path, {"storage": store.url})
    code, said = end(search.join())
    assert code == 1
    assert re.search(r"different results \(numerics 1, this one has \d+\)\ninstall cellsearch 0.0.9", said)


@pytest.mark.soak
def test_data_that_changes_while_a_search_runs_is_refused_by_the_next_worker(folder: Path) -> None:
    """Who has read it goes on with what it has read; nobody mixes."""
    data = folder / "data.txt"
    data.write_text("as it was")
    search = Search(folder, {"trials": 8, "wrong": {"seconds": 0.1, "data": str(data)}})
    witness = Witness(search.url)
    process = search.start()
    until(lambda: search.settings() >= 12, process)
    data.write_text("as it is now")
    before = search.settings()
    until(lambda: search.settings() > before, process)
    witness.look()
    (worker,) = search.workers()
    os.kill(worker.pid, signal.SIGKILL)
    code, said = end(process)
    assert code == 1 and "the data of xml on this machine differs from the data of the study 's'" in said
    code, said = search.run()
    assert code == 1 and "data of xml: the study has" in said and "choose another --name" in said
    data.write_text("as it was")
    assert search.run() == (0, "")
    witness.look()
    accounts(search.url, 8)
    assert board(search.url)["rows"] == undisturbed(folder, 8)["rows"]


def test_the_digest_is_that_of_what_is_trained_on(tmp_path: Path) -> None:
    text = TEXT.replace(
        "{name: arithmetic}", "{name: words, task: text, options: {path: text.txt, level: word}}"
    )
    space = parse_space(text)
    file = tmp_path / "text.txt"
    file.write_text("to be or not to be that is the question\n" * 200)
    lab = TorchEvaluator(space, 1, tmp_path)
    digest = lab.digests()["words"]
    symbols = lab.dataset("words").train.inputs.copy()
    file.write_text("to see or not to see that is another question\n" * 200)
    assert lab.digests()["words"] == digest and (lab.dataset("words").train.inputs == symbols).all()
    assert TorchEvaluator(space, 1, tmp_path).digests()["words"] != digest
    file.write_text("to be or not to be that is the question\n" * 199)  # cut off
    assert TorchEvaluator(space, 1, tmp_path).digests()["words"] != digest
    file.unlink()
    with pytest.raises(DataError, match=r"text\.txt"):
        TorchEvaluator(space, 1, tmp_path).digests()


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["4.9.0", "4.0.0", "3.6.2"])
def test_earlier_versions_of_optuna_open_the_study_and_the_search_goes_on(
    tmp_path: Path, version: str
) -> None:
    other = tmp_path / "optuna"
    made = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(other), f"optuna=={version}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"Optuna {version} cannot be installed here")
    old = {"PYTHONPATH": f"{other}:{Path(__file__).parents[2]}"}
    code = (
        "import sys, optuna\n"
        f"assert optuna.__version__ == '{version}'\n"
        "study = optuna.load_study(study_name='s', storage=sys.argv[1])\n"
        "print(len(study.trials), study.best_value)\n"
    )
    search = Search(tmp_path / "mine", {"trials": 10})
    for trials in (10, 14):
        assert search.run(trials=trials) == (0, "")
        accounts(search.url, trials)
        found = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, search.url],
            env=os.environ | old, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        best = max(row["score"] for row in board(search.url)["rows"] if row["rank"] is not None)
        assert found == [str(2 + trials), str(best)]


def test_tables_of_an_unknown_version_of_optuna_are_refused_until_they_are_known(folder: Path) -> None:
    """Nothing is written to tables whose meaning is not known; nothing recorded is lost by it."""
    search = Search(folder, {"trials": 3})
    assert search.run() == (0, "")
    witness = Witness(search.url)
    witness.look()

    def stamp(library: str, schema: int, revision: str) -> None:
        with sqlite3.connect(folder / "s" / "study.db") as connection:
            connection.execute(
                "UPDATE version_info SET library_version = ?, schema_version = ?", (library, schema)
            )
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()

    with sqlite3.connect(folder / "s" / "study.db") as connection:
        known = connection.execute("SELECT library_version, schema_version FROM version_info").fetchone()
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    stamp("99.0.0", 99, "v99.0.0.a")
    code, said = search.run(trials=6)
    assert code == 1 and "Traceback" not in said and "optuna" in said.lower()
    witness.look()
    stamp(*known, revision)
    assert search.run(trials=6) == (0, "")
    witness.look()
    accounts(search.url, 6)
