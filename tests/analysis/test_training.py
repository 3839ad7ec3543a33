"""From a search to a model that is kept: the recorded number again, a folder that runs without this program,
and going on after a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

import cellsearch as cs
from cellsearch.analysis.intervals import mean
from cellsearch.analysis.training import facts
from cellsearch.analysis.training.plan import SETTING, Record, Wanted, plan, read_setting
from cellsearch.errors import RunError, UsageError
from cellsearch.study.lookup import find_cell
from cellsearch.study.space import parse_space
from cellsearch.study.storage.create import create
from cellsearch.study.tables.study_facts import NUMERICS, Identity, Target
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.study.workers.run import default_url, seeds_of
from cellsearch.train.final import safetensors
from cellsearch.train.final.fit import fit
from tests.study.scripted import one_of, work

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SPACE = """\
name: tiny
seeds: [lstm, gru]
baseline: gru
strategy: {settings: 2}
tasks:
  - {name: memorize, options: {symbols: 2, alphabet: 5, train: 4000, valid: 800, test: 800}}
  - {name: short, task: memorize, options: {symbols: 1, alphabet: 4, train: 2000, valid: 400, test: 400}}
grid: {init_scale: [1.0], learning_rate: [1.0, 2.0], max_norm: [1.0], layers: [1], parameters: [1000]}
training: {max_epochs: 5, batch: 10, steps: 20, patience: 1, halvings: 2}
budget: {trials: 0}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a search that has really trained its seeds, and nothing else."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "tiny").mkdir()
    space = parse_space(SPACE)
    evaluator = TorchEvaluator(space, 1)
    identity = Identity(space.text, 1, dict(evaluator.digests()))
    store = create(
        default_url(folder, "tiny"), "tiny", space, identity, "test", Target(0), seeds_of(space)
    )  # fmt: skip
    work(store, space, evaluator, one_of(1))
    store.engine.dispose()
    yield folder


def test_the_recorded_number_is_reproduced_bit_for_bit(results: Path, tmp_path: Path) -> None:
    rows = {row.name: row for row in cs.leaderboard("tiny", results=results)}
    gru = rows["gru"]
    assert gru.cell == cs.load("gru")
    model = cs.train("tiny:gru", "memorize", seeds=2, results=results)
    assert model.folder == results / "tiny" / "models" / "gru-memorize"
    best = gru.tasks[0]
    recorded = model.facts["recorded"]
    assert recorded["same"] and recorded["now"] == best.accuracy
    assert model.facts["seeds"][0]["valid"] == {"accuracy": best.accuracy, "loss": best.loss}
    assert model.facts["setting"] == best.values
    assert "reproduced it bit for bit" in (model.folder / "README.md").read_text()
    assert {path.name for path in model.folder.iterdir()} == {
        "model.py", "model.safetensors", "config.json", "README.md", "test.safetensors",
    }  # fmt: skip
    assert json.loads((model.folder / "config.json").read_text()) == model.facts
    assert [path.name for path in model.folder.parent.iterdir()] == ["gru-memorize"]  # nothing hidden is left
    again = cs.train("tiny:gru", "memorize", seeds=2, results=results)
    assert not again.new and again.facts == model.facts
    with pytest.raises(RunError, match=r"holds another model[\s\S]*--force"):
        cs.train("tiny:gru", "memorize", seeds=1, results=results)
    one = cs.train("tiny:gru", "memorize", seeds=1, results=results, overwrite=True)
    assert one.new and one.facts["test"]["mean"]["low"] is None


def test_a_larger_one_trains_the_recorded_one_first(results: Path, tmp_path: Path) -> None:
    labels: list[str] = []
    model = cs.train(
        "tiny:lstm", "short", seeds=1, hidden=11, layers=2, epochs=2, results=results, out=tmp_path / "big",
        progress=lambda label, *_: labels.append(label),
    )  # fmt: skip
    assert list(dict.fromkeys(labels)) == ["as recorded", "lstm"]
    assert model.facts["recorded"]["same"]
    assert (model.facts["model"]["hidden"], model.facts["model"]["layers"]) == (11, 2)
    assert model.facts["seeds"][0]["trained"] == 2
    found = find_cell("tiny:lstm", results=results)
    made = plan(found, Wanted("short", hidden=11, layers=2, epochs=2))
    assert made.folder == Path("results/tiny/models/lstm-short-h11-l2-e2")
    assert plan(found, Wanted("short", epochs=50)).record.job is None  # type: ignore[union-attr]
    assert plan(found, Wanted("short", epochs=1)).record.job is not None  # type: ignore[union-attr]
    assert plan(found, Wanted("short", seed=2)).record.job is not None  # type: ignore[union-attr]
    changed = plan(found, Wanted("short", overrides=("options.train=3000",)))
    assert changed.record.job is not None and changed.job.dataset.train.inputs.size == 3000  # type: ignore[union-attr]


FRESH = """\
import sys
for name in ("cellsearch", "safetensors"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
from model import load, read, score
model = load()
import torch
test = read(sys.argv[1] + "/test.safetensors")
batch = read(sys.argv[2])["symbols"]
with torch.no_grad():
    logits, states = model(batch)
    first, states = model(batch[:3])
    later, states = model(batch[3:], states)
torch.testing.assert_close(torch.cat((first, later)), logits)
print(repr([score(model, test["inputs"], test["targets"]), logits.flatten().tolist()]))
"""


@pytest.mark.parametrize("name", ["gru", "clockwork"])
def test_the_folder_runs_without_this_program(name: str, results: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPACE)
    out = tmp_path / "m"
    model = cs.train(
        name, "memorize", seeds=1, layers=2, epochs=2, space=str(tmp_path / "tiny.yaml"), out=out
    )  # fmt: skip
    symbols = torch.randint(0, model.facts["model"]["vocabulary"], (7, 3))
    (tmp_path / "batch").write_bytes(safetensors.encode({"symbols": symbols}, {}))
    words = [sys.executable, "-I", "-W", "ignore", "-c", FRESH, str(out), str(tmp_path / "batch")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (accuracy, loss), logits = eval(done.stdout)
    assert accuracy == pytest.approx(model.test_accuracy, abs=1e-6)
    assert loss == pytest.approx(model.facts["test"]["loss"], rel=1e-5)
    weights, about = safetensors.decode((out / "model.safetensors").read_bytes(), "x")
    assert about["format"] == "pt"
    hidden = model.facts["model"]["hidden"]
    rnn = cs.Recurrent(cs.load(name), hidden, hidden, 2)
    inner = {key.removeprefix("recurrent."): v for key, v in weights.items() if key.startswith("recurrent.")}
    rnn.load_state_dict(inner)
    with torch.no_grad():
        seen, _ = rnn(weights["embedding.weight"][symbols])
        wanted = seen @ weights["output.weight"].T + weights["output.bias"]
    torch.testing.assert_close(torch.tensor(logits), wanted.flatten(), rtol=1e-4, atol=1e-5)
    ran = subprocess.run(
        [sys.executable, str(out / "model.py")], capture_output=True, text=True, check=False, timeout=120
    )
    assert f"test accuracy {model.test_accuracy:.4f}" in ran.stdout, ran.stderr


ALONE = """\
import importlib.util, runpy, sys
sys.path.append(sys.argv[1])
for name in ("cellsearch", "numpy", "safetensors", "optuna", "site"):
    assert name not in sys.modules and (name == "site" or importlib.util.find_spec(name) is None), name
sys.path.insert(0, sys.argv[2])
from model import load
model = load()
logits, states = model(__import__("torch").zeros(7, 3, dtype=__import__("torch").long))
assert logits.shape[:2] == (7, 3)
runpy.run_path(sys.argv[2] + "/model.py", run_name="__main__")
"""


def torch_alone(folder: Path) -> Path:
    """A folder of packages that has torch and what it requires, and nothing else."""
    folder.mkdir()
    wanted, seen = ["torch"], set[str]()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another platform
            continue
        wanted += [re.split(r"[^\w.-]", need)[0] for need in found.requires or () if "extra ==" not in need]
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(found.locate_file(top))))
    return folder


def test_a_found_cell_runs_where_nothing_but_torch_is_installed(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    model = cs.train("tiny:lstm", "memorize", seeds=2, results=results, out=out)
    words = [
        sys.executable,
        "-I",
        "-S",
        "-W",
        "ignore",
        "-c",
        ALONE,
        str(torch_alone(tmp_path / "site")),
        str(out),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert f"test accuracy {model.test_accuracy:.4f}" in done.stdout, done.stderr


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cellsearch", "train", "gru", "--task", "memorize", *words]


def test_a_kill_in_the_middle_changes_no_bit(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPACE.replace("max_epochs: 5", "max_epochs: 60, factor: 0.9").replace(
        "halvings: 2", "halvings: 60"
    ))  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = ("--space", "tiny.yaml", "--seeds", "2")

    def start(out: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command(*words, "--out", out), cwd=tmp_path, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    assert start("whole").wait(200) == 0
    killed = 0
    for _ in range(20):
        process = start("killed")
        checkpoint = tmp_path / ".killed.training" / "model-0.safetensors"
        before = checkpoint.read_bytes() if checkpoint.exists() else b""
        while process.poll() is None:
            if checkpoint.exists() and checkpoint.read_bytes() != before and killed < 2:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                break
            time.sleep(0.002)
        assert (tmp_path / "killed").exists() == (process.returncode == 0)
        if process.returncode == 0:
            break
    assert killed == 2 and not (tmp_path / ".killed.training").exists()
    for name in ("model.safetensors", "config.json", "README.md", "model.py", "test.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_other_numbers_are_told_with_their_spread(results: Path) -> None:
    made = plan(find_cell("tiny:gru", results=results), Wanted("memorize", seeds=2, epochs=5))
    assert made.record is not None
    found = fit(made.job)

    def told(**changes: Any) -> dict[str, Any]:
        record: Record = replace(made.record, **changes)  # type: ignore[type-var]
        return facts.reproduced(record, found.scores[0], found, made.job.dataset)

    near = told(accuracy=made.record.accuracy + 0.001)
    assert not near["same"] and near["within"] and "another kind of machine" in near["says"]
    older = told(accuracy=made.record.accuracy + 0.001, numerics=NUMERICS - 1)
    assert f"its numbers are those of version {NUMERICS - 1}" in older["says"]
    far = told(accuracy=made.record.accuracy - 0.3)
    assert not far["within"] and "beyond 2 standard deviations" in far["says"]


@pytest.mark.parametrize(
    "text, told",
    [
        ("learning_rat=1", "did you mean 'learning_rate'?"),
        ("0.5", "is not part of a setting"),
        ("learning_rate=x", "learning_rate cannot be 'x'"),
        ("learning_rate=nan", "allowed: a number from"),
        ("layers=1.5", "allowed: a whole number from 1 to 64"),
        ("parameters=1e999", "parameters cannot be '1e999'"),
    ],
)
def test_what_is_no_setting_is_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("?", r"\?")):
        read_setting(text, SETTING)


def test_a_setting_is_read() -> None:
    found = read_setting("learning_rate=2 layers=3,parameters=1e4", SETTING)
    assert found == replace(SETTING, learning_rate=2.0, layers=3, parameters=10_000)
    assert isinstance(found.parameters, int)


def test_intervals() -> None:
    found = mean([1.0, 2.0, 3.0, 4.0])
    assert (found.mean, found.count) == (2.5, 4)
    # three degrees of freedom: 3.18244630528 in the table of t (Abramowitz & Stegun 26.10 has 3.182)
    assert found.high == pytest.approx(2.5 + 3.18244630528 * (5 / 3) ** 0.5 / 2, rel=1e-10)
    assert mean([0.1, 0.9], 0, 1).low == 0 and mean([0.1, 0.9], 0, 1).high == 1
    assert mean([3.0]).low is None
    many = mean([float(k) for k in range(60)]).high  # 59 degrees: 2.0009953780, where the normal has 1.96
    assert many == pytest.approx(29.5 + 2.0009953780 * 305**0.5 / 60**0.5, rel=1e-8)
