"""The bench: everyone does the same work, rows carry their conditions, and a cheat is found out."""

import json
from dataclasses import replace

import pytest
import torch

from cellsearch.analysis.bench import cells, limits, measure, mix, profile
from cellsearch.analysis.bench.contestants import Contestant, contestants, ours
from cellsearch.analysis.bench.rows import BY_SYMBOL, BYTES, CALLS
from cellsearch.analysis.bench.work import Sizes, make
from cellsearch.cli.main import main
from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl import zoo
from cellsearch.dsl.describe import describe
from cellsearch.errors import RunError
from cellsearch.study.space import load_space
from cellsearch.train.resources import cost

SIZE = Sizes(population=2, steps=5, batch=4, hidden=6, layers=2, vocabulary=7)
SMALL = Sizes(population=3, steps=5, batch=4, hidden=6, layers=2, vocabulary=7)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["lstm", "gru", "gru_torch", "mut1", "peephole_lstm", "depth_gated_lstm", *cells.MUTANTS]
)
def test_everyone_comes_to_the_same_losses_over_several_steps(name: str) -> None:
    cell = cells.load(name) if name in cells.MUTANTS else zoo.load(name)
    work = make(cell, SMALL, "cpu")
    engines = ["eager"] + ["native"] * (toolchain.compiler() is not None)
    losses = {}
    for contestant in contestants(name, engines, compiled=False):
        step = contestant.ready(work)
        losses[contestant.what] = torch.stack([step() for _ in range(4)])
    assert len(losses) == len(engines) + 2 + (name in ("lstm", "gru_torch")) + (name == "lstm")
    first = next(iter(losses.values()))
    assert bool((first[-1] < first[0]).all())  # it learns
    for what, found in losses.items():
        assert torch.allclose(found, first, rtol=1e-4), what


@pytest.mark.long
def test_rows_and_conditions() -> None:
    report = measure.bench([zoo.load("lstm")], [4, 6], [2], SMALL, rounds=3).as_json()
    rows = [row for row in report["rows"] if row["H"] == 6]
    assert rows[0]["ratio"] == 1.0
    for row in rows:
        assert row["members_per_s"] == pytest.approx(row["K"] / row["median_s"])
        assert row["ratio"] == pytest.approx(rows[0]["members_per_s"] / row["members_per_s"])
        assert (row["K"], row["T"], row["B"], row["layers"], row["device"]) == (2, 5, 4, 2, "cpu")
    work = {row["gflop_per_s"] * row["median_s"] for row in rows}  # the same for everyone
    assert max(work) == pytest.approx(min(work))
    assert {row["H"] for row in report["rows"]} == {4, 6}
    assert [row["what"] for row in rows if not row["trains"]] == [CALLS, BY_SYMBOL, BYTES]
    for row in rows:  # this program multiplies by symbol, a module of torch does not
        fewer = row["what"].startswith("cellsearch") or row["what"] == BY_SYMBOL
        flop = 0 if row["what"] == BYTES else limits.operations(make(zoo.load("lstm"), SIZE, "cpu"), fewer)
        assert row["own_gflop"] == flop / 1e9
        peak = report["conditions"].get("peak_gflop_per_s")
        share = flop / 1e9 / row["median_s"] / peak if peak and flop else None
        assert row["peak_share"] == pytest.approx(share)
    assert report["conditions"]["clock"] == "CPU time of the process"
    assert report["conditions"]["blas_gflop_per_s"] > 0
    assert report["conditions"]["torch"] == str(torch.__version__)
    assert report["conditions"]["threads"] == 1


def test_other_work_is_an_error() -> None:
    work = make(zoo.load("gru"), SMALL, "cpu")
    step = ours("eager").ready(work)
    right = [step(), step()]
    with pytest.raises(RunError, match="does other work"):
        measure._agree(Contestant("a cheat", lambda _: step), right, [right[0], right[1] * 1.01])
    with pytest.raises(RunError, match="does other work"):
        measure._agree(Contestant("a cheat", lambda _: step), right, [right[0], right[1] * torch.nan])


def test_the_count_of_operations_is_that_of_the_formula() -> None:
    """An LSTM has 4 gates from x and h; forward and both gradients are three products each."""
    work = make(zoo.load("lstm"), Sizes(2, 5, 4, 6, 1, 7), "cpu")
    assert limits.operations(work) == 2 * 3 * 2 * 5 * 4 * (8 * 6 * 6 + 6 * 7)
    by_symbol = 4 * 6 * 6 * 7 + 5 * 4 * (4 * 6 * 6 + 6 * 7)  # of x a row for each of 7 symbols
    assert limits.operations(work, by_symbol=True) == 2 * 3 * 2 * by_symbol
    assert limits.traffic(work) > 4 * work.rows.numel()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_device_is_one_clear_error() -> None:
    with pytest.raises(RunError, match="not available"):
        measure.bench([zoo.load("gru")], [4], [2], SMALL, device="cuda")


@pytest.mark.long
def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = "bench --cell gru --hidden 4 --population 2 --batch 2 --steps 3 --rounds 2 --vocabulary 5 --no-jax".split()
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"conditions", "rows"}
    assert {"what", "cell", "median_s", "spread_s", "members_per_s", "ratio"} <= set(found["rows"][0])
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "eager module, as exported" in out
    assert "ratio" in out
    assert main(["bench", "--cell", "grru"]) != 0


@pytest.mark.parametrize("name", cells.MUTANTS)
def test_a_mutant_has_as_many_nodes_as_its_name_says(name: str) -> None:
    cell = cells.load(name)
    assert (cell.name, describe(cell).nodes) == (name, int(name.removeprefix("mutant_")))
    assert name not in zoo.names()
    assert "seed" in cell.description


@pytest.mark.long
@pytest.mark.parametrize("name", ["lstm", "depth_gated_lstm"])
def test_the_parts_of_a_step_add_up_to_it(name: str) -> None:
    report = profile.profiled([zoo.load(name)], [6], [1, 3], SMALL, rounds=3).as_json()
    assert set(report) == {"conditions", "rows", "parts"}
    assert {row["K"] for row in report["rows"]} == {1, 3}
    for members in (1, 3):
        parts = [part for part in report["parts"] if part["K"] == members]
        step = next(row["median_s"] for row in report["rows"] if row["K"] == members)
        assert sum(part["seconds"] for part in parts) == pytest.approx(step)
        assert sum(part["share"] for part in parts) == pytest.approx(1)
        assert parts[-1]["part"] == profile.REST
        assert all(part["seconds"] > 0 for part in parts[:-1])
        assert {(part["T"], part["B"], part["layers"]) for part in parts} == {(5, 4, 2)}
    native = toolchain.compiler() is not None
    of_embedding = 2  # which is read as a table here, so that these parts are not there
    all_in_matrices = name == "lstm"  # no peepholes and no vectors
    expected = len(profile.ORDER) if native else len(profile.FUNCTIONS) + 1
    assert len(parts) == expected - of_embedding - all_in_matrices
    report = profile.profiled([zoo.load(name)], [6], [1], replace(SMALL, vocabulary=30), rounds=1).as_json()
    assert len(report["parts"]) == len(parts) + of_embedding


def test_a_mix_measures_every_setting_in_the_groups_of_a_search() -> None:
    grid = load_space("jozefowicz2015").grid
    found = mix.groups(zoo.load("lstm"), grid, SMALL)
    assert sum(size.population for size in found) == mix.SETTINGS
    assert len({(size.layers, size.hidden) for size in found}) == len(found) > 1
    widths = {(k, cost.width(zoo.load("lstm"), 7, k, p)) for k in grid.layers for p in grid.parameters}
    assert {(size.layers, size.hidden) for size in found} <= widths
    assert found == mix.groups(zoo.load("lstm"), grid, SMALL)


@pytest.mark.long
def test_the_totals_of_a_mix_are_those_of_its_groups() -> None:
    overrides = ["grid.layers=[1, 2]", "grid.parameters=[150, 300]"]
    space = load_space("quick", overrides)
    report = mix.mixed([zoo.load("lstm"), zoo.load("mut1")], space.grid, "quick", SMALL, rounds=1).as_json()
    for name in ("lstm", "mut1"):
        rows = [row for row in report["rows"] if row["cell"] == name]
        totals = [total for total in report["totals"] if total["cell"] == name]
        assert totals[0]["ratio"] == 1.0
        assert len({(row["layers"], row["H"]) for row in rows}) == totals[0]["groups"] > 1
        for total in totals:
            mine = [row for row in rows if row["what"] == total["what"]]
            assert total["settings"] == sum(row["K"] for row in mine) == 20
            assert total["median_s"] == pytest.approx(sum(row["median_s"] for row in mine))
            assert total["members_per_s"] == pytest.approx(20 / total["median_s"])
    assert any(total["what"] == "torch.nn.LSTM" for total in report["totals"])
    assert "quick" in report["conditions"]["mix"]


@pytest.mark.long
def test_profile_and_mix_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--hidden", "4", "--population", "1,2", "--steps", "3", "--batch", "2", "--rounds", "2"]
    assert main(["bench", "--cell", "mutant_12", "--profile", *small]) == 0
    out = capsys.readouterr().out
    assert out.count("profile (") == 2
    assert profile.REST in out
    assert main(["bench", "--cell", "gru", "--mix", "quick", "--rounds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"][0]["space"] == "quick"
    assert main(["bench", "--cell", "gru", "--mix", "quick", "--profile"]) == 2
    assert main(["bench", "--cell", "gru", "--mix", "quik"]) == 1
    assert "quick" in capsys.readouterr().err
