"""The one command for a GPU, on a CPU and small: every section runs, and a section that fails stops none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cellsearch.analysis.bench import campaign, gpu, rounding
from cellsearch.analysis.bench.cohorts import pace
from cellsearch.analysis.bench.contestants import ours
from cellsearch.analysis.bench.recorded import recorded
from cellsearch.analysis.bench.work import Sizes, make
from cellsearch.dsl import zoo
from cellsearch.study.space.load import load_space

pytestmark = pytest.mark.long

SMALL = "--device cpu --population 3 --hidden 4 --batch 2 --steps 3 --rounds 2 --cells 2".split()


def test_every_section_runs_and_the_file_says_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "mutants", lambda count, seed=0: [zoo.load("gru")] * min(count, 2))
    file = tmp_path / "found.json"
    assert gpu.main([str(file), *SMALL]) == 0
    found = json.loads(file.read_text())
    assert set(found) == {"conditions", "seconds", *gpu.SECTIONS}
    assert found["conditions"]["torch"] == str(torch.__version__)
    whats = [row["what"] for row in found["step"]]
    assert "torch.nn.LSTM" in whats and "bare products, as BLAS calls" in whats
    assert [(row["cells"], row["members"]) for row in found["cohort"]] == [(2, 4), *[(1, 8)] * 3]
    search = found["search"]
    assert [row["stage"] for row in search["stages"]] == ["filter", "arithmetic", "xml", "ptb"]
    assert search["hours_230000_settings"] > search["hours_10000_cells_filter"] > 0
    assert found["compiling"]["ahead"]["cells"] == 2
    (after,) = (value for name, value in found["rounding"].items() if name.startswith("after"))
    assert after["float32"]["loss"] != after["rounded as bfloat16"]["loss"]
    assert after["float32"]["loss"] == pytest.approx(after["rounded as TF32"]["loss"], rel=1e-2)


def test_a_section_that_fails_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(plan: gpu.Plan) -> None:
        raise RuntimeError("CUDA error: something")

    monkeypatch.setitem(gpu.SECTIONS, "cohort", broken)
    file = tmp_path / "found.json"
    assert gpu.main([str(file), *SMALL, "--only", "cohort", "kernels"]) == 1
    found = json.loads(file.read_text())
    assert found["cohort"] == {"failed": "RuntimeError: CUDA error: something"}
    assert found["kernels"]
    assert gpu.main([str(file), *SMALL, "--only", "kernels", "--minutes", "-1"]) == 0
    assert "skipped" in json.loads(file.read_text())["kernels"]


def test_the_mutants_of_a_cohort_differ() -> None:
    cells = gpu.mutants(12)
    assert len(set(cells)) == 12
    assert gpu.mutants(12) == cells


def test_a_recorded_step_does_the_same_work() -> None:
    work = make(zoo.load("peephole_lstm"), Sizes(3, 5, 4, 6, 2, 7), "cpu")
    theirs, mine = ours("eager").ready(work), recorded("eager").ready(work)
    for _ in range(3):
        assert torch.equal(mine(), theirs())


def test_pace_counts_members_and_windows() -> None:
    found = pace(
        "two", [zoo.load("gru"), zoo.load("rnn")], 3, Sizes(hidden=4, steps=3, batch=2), "cpu", windows=5
    )
    assert found.members_per_s == pytest.approx(2 * 3 * 5 / found.seconds)


def test_rounding_is_put_back() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    with rounding.tf32(True):
        assert torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_numbers_are_rounded_to_the_nearest() -> None:
    x = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-12, 0.0, 1e30])
    assert torch.equal(
        rounding.rounded(x, rounding.TF32)[:6],
        torch.tensor([1.0, 1 + 2**-10, 1.0, 1 + 2**-9, -1.0, 0.0]),
    )
    assert torch.equal(rounding.rounded(x, rounding.BFLOAT16), x.bfloat16().float())
    a, b = torch.randn(2, 2, 3, 3)
    with rounding.Rounded(rounding.BFLOAT16):
        found, added = torch.bmm(a, b), torch.baddbmm(a, a, b)
    exact = torch.bmm(a.bfloat16().float(), b.bfloat16().float())
    assert torch.allclose(found, exact) and torch.allclose(added, a + exact)


def test_hours_follow_from_the_seconds_of_windows() -> None:
    """The filter: 100,000 symbols to train on and 20,000 to score, in windows of 700."""
    space = load_space("jozefowicz2015")
    space = replace(space, tasks=space.tasks[:1], strategy=replace(space.strategy, settings=1))
    found = campaign.campaign(space, [zoo.load("rnn"), zoo.load("gru")], "cpu", windows=2, share=0.001)
    row, task = found["stages"]
    epoch = (row["train_s"] * 100_000 + row["score_s"] * 20_000) / 700
    assert row["cell_s"] == pytest.approx(campaign.EPOCHS["filter"] * epoch / 2)
    assert row["cells_per_hour"] == pytest.approx(3600 / row["cell_s"])
    assert found["hours_10000_cells_filter"] == pytest.approx(10_000 * row["cell_s"] / 3600)
    assert found["all_stages_cells_per_hour"] == pytest.approx(3600 / (row["cell_s"] + task["cell_s"]))
