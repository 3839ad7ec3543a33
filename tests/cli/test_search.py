"""`cellsearch search` and `worker` as processes, on a space so small that real training takes seconds."""

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPACE = """\
name: tiny
about: For tests.
seeds: [rnn, gru]
baseline: gru
strategy: {list: 5, refine: 0.3, settings: 1, threshold: 0.1, margin: 0, failures: 1000}
filter: {task: memorize, options: {symbols: 1, alphabet: 2, train: 200, valid: 100, test: 100}, accuracy: 0.1}
tasks:
  - {name: memorize, options: {symbols: 2, alphabet: 3, train: 4000, valid: 600, test: 600}}
grid: {init_scale: [1], learning_rate: [0.5, 1], max_norm: [5], layers: [1], parameters: [1500]}
training: {max_epochs: 3}
budget: {trials: 2}
"""


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The command as a process; its terminal is no terminal."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "cellsearch", *words], cwd=folder, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start(folder, *words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a space and a finished search of it."""
    folder = tmp_path_factory.mktemp("searching")
    (folder / "tiny.yaml").write_text(SPACE)
    code, out, err = run(folder, "search", "tiny.yaml", "--workers", "1")
    assert code == 0, err
    assert re.search(r"^1 +rnn|^1 +gru|^1 +m\d", out, re.MULTILINE) and "cellsearch export tiny:1" in out
    with sqlite3.connect(f"file:{folder}/results/tiny/study.db?immutable=1", uri=True) as file:
        query = "SELECT count(*) FROM trials WHERE state = 'COMPLETE' OR state = 'PRUNED'"
        assert file.execute(query).fetchone() == (4,)  # two seeds too, in the file itself and not in its log
    file.close()
    assert "tiny: preparing the data" in err and "2 of 2 trials (" in err
    assert "cellsearch search tiny --workers 1 --trials 10" in err
    return folder


def trials(folder: Path) -> dict[str, int]:
    """The counts of the search."""
    return trials_of(folder, "tiny")


def trials_of(folder: Path, name: str) -> dict[str, int]:
    _, out, _ = run(folder, "status", name, "--json")
    counts: dict[str, int] = json.loads(out)["counts"]
    return counts


@pytest.mark.long
def test_a_finished_search_shows_its_board_and_how_to_extend_it(folder: Path) -> None:
    before = trials(folder)
    code, out, err = run(folder, "search", "tiny.yaml", "--workers", "1")
    assert code == 0 and "gru" in out and "rnn" in out
    assert "; to continue:\n  cellsearch search tiny --workers 1 --trials 10" in err
    assert "already finished: 2 of 2 trials (" in err
    assert trials(folder) == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_search_with_a_line_on_how_to_go_on(folder: Path, number: int, code: int) -> None:
    process = start(folder, "search", "tiny.yaml", "--workers", "1", "--trials", "100000")
    assert process.stderr is not None
    while "trials" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert err.endswith(
        "stopped; all results are saved. To continue:\n  cellsearch search tiny --workers 1 --trials 100000\n"
    )
    assert "Traceback" not in err and out == ""
    assert trials(folder)["running"] == 0
    command = "cellsearch search tiny --workers 1 --trials 100000"
    assert re.search(rf"^continue +{command}$", run(folder, "status", "tiny")[1], re.MULTILINE)
    told = json.loads(run(folder, "status", "tiny", "--json")[1])
    assert told["command"] == command and told["given"][:2] == ["search", "tiny.yaml"]


@pytest.mark.long
@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_search_whose_terminal_is_gone_ends_in_order(folder: Path, term: str) -> None:
    leader, follower = pty.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TERM": term,
    }
    words = ["search", "tiny.yaml", "--name", f"lost-{term}", "--workers", "1", "--trials", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cellsearch", *words],
        cwd=folder, env=environment, stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    said = b""
    while b"100,000 trials" not in said:
        said += os.read(leader, 4_096)
    os.close(leader)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 129
    told = json.loads(run(folder, "status", f"lost-{term}", "--json")[1])
    assert told["state"] == "not running" and told["workers"] == [] and told["counts"]["running"] == 0
    assert told["command"] == f"cellsearch search lost-{term} --workers 1 --trials 100000"


@pytest.mark.long
def test_a_search_goes_on_by_its_name(folder: Path) -> None:
    words = ("--name", "named", "--workers", "1", "--set", "training.max_epochs=2")
    assert run(folder, "search", "tiny.yaml", *words)[0] == 0
    code, out, err = run(folder, "search", "named", "--workers", "1", "--trials", "3")
    assert code == 0 and "3 of 3 trials" in out, err
    assert "cellsearch search named --workers 1 --trials 10" in err
    told = json.loads(run(folder, "status", "named", "--json")[1])
    assert told["counts"]["trials"] == 3 and told["given"][:2] == ["search", "named"]
    code, out, err = run(folder, "search", "named", "--set", "training.max_epochs=4")
    assert code == 1 and "training.max_epochs: 2 before, 4 now" in err
    code, out, err = run(folder, "search", "--name", "nosuch")
    assert code == 1 and "there is no search 'nosuch'" in err and "named" in err
    assert run(folder, "search")[0] == 2


@pytest.mark.long
def test_a_plateau_ends_a_search_with_its_reason(folder: Path) -> None:
    words = ("--workers", "1", "--trials", "500", "--set", "budget.patience=2")
    code, _, err = run(folder, "search", "tiny.yaml", "--name", "flat", *words)
    assert code == 0, err
    found = re.search(r"(\d+) proposals in a row without a better score \(budget.patience: 2\): ", err)
    assert found and int(found[1]) >= 2
    more = f"cellsearch search flat --workers 1 --trials 500 --set budget.patience={2 * int(found[1])}"
    assert err.splitlines()[-1] == f"  {more}"
    told = json.loads(run(folder, "status", "flat", "--json")[1])
    assert told["state"] == "finished" and told["counts"]["trials"] < 500
    assert told["plateau"] == {"proposals": int(found[1]), "patience": 2, "reached": True}
    assert re.search(r"^plateau +\d+ proposals in a row", run(folder, "status", "flat")[1], re.MULTILINE)
    assert "already" not in err
    before = trials_of(folder, "flat")
    assert run(folder, "search", "flat", "--workers", "1", "--trials", "500")[0] == 0
    assert trials_of(folder, "flat") == before


@pytest.mark.long
def test_more_workers_than_cores_can_use_are_told(folder: Path) -> None:
    code, _, err = run(folder, "search", "tiny.yaml", "--workers", "1000", "--dry-run")
    assert code == 0
    assert "--workers 1,000: starting " in err and "the maximum for " in err
    assert "--workers" not in run(folder, "search", "tiny.yaml", "--workers", "2", "--dry-run")[2]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "words", "target"),
    [
        ("alone", ["--proposals", "3"], (None, 3)),
        ("more-trials", ["--proposals", "3", "--trials", "90"], (90, 3)),
        ("fewer-trials", ["--proposals", "90", "--trials", "3"], (3, 90)),
        ("by-set", ["--set", "budget.proposals=3", "--set", "budget.trials=null"], (None, 3)),
    ],
)
def test_a_search_ends_at_the_first_total(
    folder: Path, name: str, words: list[str], target: tuple[int | None, int]
) -> None:
    code, out, err = run(folder, "search", "tiny.yaml", "--name", name, "--workers", "1", *words)
    assert code == 0, err
    told = json.loads(run(folder, "status", name, "--json")[1])
    assert (told["target"]["trials"], told["target"]["proposals"]) == target
    c = told["counts"]
    assert told["state"] == "finished" and c["told"] == c["seeds"] == 2
    assert c["trials"] == c["proposals"] + c["refinements"]
    assert c["trials"] == 3 if target[0] == 3 else c["proposals"] == 3
    if target[1] == 3:
        assert "3 of 3 proposals" in out and "3 of 3 proposals" in err and "--proposals 10" in err
        assert "3 of 3 proposals" in run(folder, "status", name)[1]
    else:
        assert "3 of 3 trials" in out and "--trials 10 --proposals 180" in err


@pytest.mark.long
def test_a_dry_run_counts_proposals(folder: Path) -> None:
    for words in (["--proposals", "70"], ["--set", "budget.proposals=70", "--set", "budget.trials=null"]):
        code, out, err = run(folder, "search", "tiny.yaml", "--name", "dry", "--dry-run", *words)
        assert code == 0, err
        told = " ".join(out.split())
        assert "70 proposals, about 30 refinements" in told
    told = json.loads(
        run(folder, "search", "tiny.yaml", "--name", "dry", "--dry-run", "--json", "--proposals", "70")[1]
    )
    assert told["target"] == {"trials": None, "proposals": 70} and told["trials"] == 100
    assert not (folder / "results" / "dry").exists()


@pytest.mark.long
def test_python_takes_proposals(folder: Path) -> None:
    code = """
import cellsearch as cs
seen = []
rows = cs.search("tiny.yaml", "python", proposals=2, trials=50, progress=seen.append)
assert seen[-1].counts.proposals == 2 and seen[-1].target.proposals == 2 and seen[-1].target.trials == 50
assert rows == cs.leaderboard("python") and {row.name for row in rows if row.seed} == {"rnn", "gru"}
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_other_conditions_are_refused_with_the_difference(folder: Path) -> None:
    code, out, err = run(folder, "search", "tiny.yaml", "--set", "training.max_epochs=4")
    assert code == 1 and out == ""
    assert "training.max_epochs: 3 before, 4 now" in err and "--name" in err


@pytest.mark.long
def test_a_time_limit_ends_a_search_with_a_longer_one(folder: Path) -> None:
    code, _, err = run(folder, "search", "tiny.yaml", "--workers", "1", "--trials", "100000", "--time", "1s")
    assert code == 0
    assert "time limit reached after" in err and "--time" in err.splitlines()[-1]


def on_a_terminal(folder: Path, term: str, **more: str) -> str:
    """What a finished search writes to a stderr that is a terminal."""
    leader, follower = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": term}
    process = subprocess.Popen(
        [sys.executable, "-m", "cellsearch", "search", "tiny.yaml", "--workers", "1"],
        cwd=folder, env=environment | more, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    said = b""
    try:
        while piece := os.read(leader, 65_536):
            said += piece
    except OSError:  # how Linux says that nobody writes any more
        pass
    finally:
        os.close(leader)
    assert process.wait(60) == 0
    return said.decode()


@pytest.mark.long
def test_the_display_is_redrawn_on_a_terminal_that_can(folder: Path) -> None:
    assert run(folder, "search", "tiny.yaml", "--workers", "1")[0] == 0  # a test before may have left a trial
    said = on_a_terminal(folder, "xterm-256color")
    assert "\x1b[2K" in said and "━" in said and "\x1b[32m" in said
    assert "already finished: " in said.rpartition("\x1b[2K")[2]
    plain = on_a_terminal(folder, "xterm-256color", NO_COLOR="1")
    assert "\x1b[2K" in plain and "━" in plain and "\x1b[32m" not in plain
    dumb = on_a_terminal(folder, "dumb")
    assert "\x1b" not in dumb and re.search(
        r"\b[2-9]\d* of 2 trials", dumb
    )  # a test before may have added some


@pytest.mark.long
def test_a_worker_joins_and_ends_when_nothing_is_left(folder: Path) -> None:
    code, out, err = run(folder, "worker", "nosuch")
    assert code == 1 and "there is no search 'nosuch'" in err
    assert run(folder, "search", "tiny.yaml", "--workers", "1", "--trials", "0")[0] == 0
    code, out, err = run(folder, "worker", "tiny")
    assert code == 0 and out == "" and "nothing is left to do" in err
