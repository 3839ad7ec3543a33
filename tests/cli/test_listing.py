"""`cellsearch cells`, `tasks`, `spaces` and `check`: what there is, and whether a file is right."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.dsl import zoo
from cellsearch.dsl.zoo.about import ABOUT
from cellsearch.study.space import load_space, names, source_of
from cellsearch.study.space.yaml_text import parse
from cellsearch.tasks import TASKS


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--gates", "3", "--year", "2015-", "peephole"], ["depth_gated_lstm_bottom", "depth_gated_lstm_code", "greff_np", "greff_v"]),
        (["--year", "-1990"], ["jordan_rnn", "rnn"]),
        (["--states", "3-", "--matrices=1-15"], ["rwkv4", "slstm"]),
        (["Greff's", "PEEPHOLES"], ["greff_cifg", "greff_nfg", "greff_np", "greff_v"]),
        (["zzz"], []),
    ],
)  # fmt: skip
def test_cells_filters_by_words_and_numbers(run: Run, filters: list[str], found: list[str]) -> None:
    done = run("cells", *filters, "--json")
    assert done.code == 0 and [cell["name"] for cell in done.json["cells"]] == found
    assert ("no cell matches, of 112" in done.err) == (not found)


@pytest.mark.parametrize("wrong", ["x", "-", "3-1", "1-2-3", "1.5"])
def test_an_interval_of_cells_that_is_none(run: Run, wrong: str) -> None:
    done = run("cells", f"--gates={wrong}")
    assert done.code == 2 and "argument --gates" in done.err


def test_each_cell_of_the_zoo_has_a_line_of_its_own() -> None:
    assert set(ABOUT) == set(zoo.names())
    assert len(set(ABOUT.values())) == len(ABOUT) and max(map(len, ABOUT.values())) <= 64


def test_cells_lists_the_zoo(run: Run) -> None:
    done = run("cells")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == zoo.names()
    assert [cell["name"] for cell in run("cells", "--json").json["cells"]] == zoo.names()


def test_tasks_lists_all_and_one_with_its_options(run: Run) -> None:
    every = run("tasks")
    assert all(f"\n{name}\n" in f"\n{every.out}" for name in TASKS)
    one = run("tasks", "xml")
    assert all(f"{option.name} = " in one.out for option in TASKS["xml"].listed)
    told = run("tasks", "xml", "--json").json["tasks"]
    assert [option["name"] for option in told[0]["options"]] == [
        option.name for option in TASKS["xml"].listed
    ]


def test_spaces_lists_all(run: Run) -> None:
    assert all(name in run("spaces").out for name in names())
    assert [space["name"] for space in run("spaces", "--json").json["spaces"]] == names()


@pytest.mark.parametrize("name", names())
def test_a_copy_of_a_bundled_space_is_a_commented_start(run: Run, tmp_path: Path, name: str) -> None:
    """It checks, its name is that of its own file, and so a search of it meets none of the bundled space."""
    yaml = run("spaces", name).out
    assert yaml.count("#") > 5
    (tmp_path / "my.yaml").write_text(yaml)
    done = run("check", "my.yaml")
    assert done.code == 0, done.err
    assert done.out.startswith("ok  my.yaml: a search space without errors\nmy\n")
    mine = load_space(tmp_path / "my.yaml")
    assert mine.name == "my" and mine == replace(load_space(name), name="my")


def test_keys_lists_every_key_with_its_default(run: Run) -> None:
    done = run("spaces", "--keys")
    assert done.code == 0
    assert "refine = 0.23   a number from 0 to 1\n      share of trials that refine" in done.out
    assert max(map(len, done.out.splitlines())) <= 100
    told = {section["section"]: section for section in run("spaces", "--keys", "--json").json["sections"]}
    assert all(key["about"] and key["allowed"] for section in told.values() for key in section["keys"])
    budget = {key["name"]: key["default"] for key in told["budget"]["keys"]}
    assert budget == parse(load_space("gates", ["budget.proposals=null"]).text).plain["budget"]  # type: ignore[index,call-overload]
    assert run("spaces", "quick", "--keys").code == 2


@pytest.mark.long
def test_a_space_is_checked_with_its_data(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "log.txt").write_text("GET /index 200\n" * 500)
    space = tmp_path / "in" / "my.yaml"
    space.write_text("tasks: [{name: text, options: {path: log.txt}}, {name: ptb}]\n")
    done = run("check", "in/my.yaml")
    assert done.code == 0, done.err
    assert (
        "data of text  5,980 train · 740 valid · 740 test symbols, 13 different ones, 7,500 bytes" in done.out
    )
    assert "data of ptb   skipped: its files are in a data directory (--data DIR)" in done.out
    told = run("check", "in/my.yaml", "--json").json["data"]
    assert told["text"]["symbols"] == {"train": 5980, "valid": 740, "test": 740}
    assert (told["text"]["vocabulary"], told["ptb"]["vocabulary"]) == (13, None)

    (tmp_path / "data").mkdir()
    space.write_text(
        "tasks:\n  - {name: text, options: {path: lag.txt}}\n  - {name: ptb}\n"
        "  - {name: short, task: memorize, options: {valid: 5}}\n"
    )
    done = run("check", "in/my.yaml", "--data", "data")
    assert done.code == 1 and done.out == ""
    assert [line for line in done.err.splitlines() if line.startswith("in/")] == [
        "in/my.yaml:2:34: data/lag.txt: the text of task 'text' does not exist. Check the path and --data "
        "DIR.",
        next(
            line
            for line in done.err.splitlines()
            if line.startswith("in/my.yaml:3:5: no ptb.train.txt in data")
        ),
        "in/my.yaml:4:35: option 'valid' of task 'memorize' is 5 symbols: too few for 20 rows. Increase it, "
        "or reduce the batch.",
    ]
    assert done.err.endswith("\n3 errors\n")

    many = "".join(f"  - {{name: t{k}, task: xml, options: {{train: 90000000}}}}\n" for k in range(100))
    space.write_text(f"tasks:\n{many}")
    begin = time.process_time()
    told = run("check", "in/my.yaml", "--json").json["data"]
    assert time.process_time() - begin < 10
    assert "a sample" in told["t0"]["note"] and "skipped" in told["t99"]["note"]


@pytest.mark.parametrize(
    "words", [("tasks", "xlm"), ("spaces", "quik"), ("check", "quik.yaml"), ("search", "quik")]
)
def test_typos_are_told(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.code == 1 and done.out == ""
    assert "did you mean" in done.err.lower() or "quik.yaml" in done.err


def test_check_compares_a_cell_with_the_plain_loop(run: Run) -> None:
    done = run("check", "gru")
    assert done.code == 0
    assert "6 matrices, 0 peepholes, 3 biases, 2 gates" in done.out
    assert "compiled cell and reference loop agree in float64" in done.out
    told = run("check", "clockwork", "--json").json
    assert told["ok"] and told["kind"] == "cell"
    assert max(told["differences"].values()) < 1e-10 and "gradient of layers.1.n.h" in told["differences"]


def test_check_tells_where_compiled_and_plain_loop_part(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cellsearch.compiler.agreement.agreement", lambda cell: {"outputs": 0.0, "gradient of x": 0.25}
    )
    done = run("check", "gru")
    assert done.code == 1
    assert "gradient of x: 2.5e-01" in done.out and "outputs: " not in done.out
    assert run("check", "gru", "--json").json["ok"] is False


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("cell a(x; h)\nh' = tanh[h]\n", "does not depend on the input"),
        ("cell a(x; h)\nh' = tanh[x]\n", "the cell has no memory"),
        ("cell a(x; h)\nclock 1, 2\nh' = tanh[x, h]\n", "the clock is unused"),
        ("cell a(x; h)\nh' = [x, h] / (h - h)\n", "non-finite on random values"),
        (
            "cell a(x; h, c)\nc' = tanh[x, c]\nh' = tanh[x, h]\n",
            "note: state c: the output does not depend on it (remove it and c')",
        ),
        (
            "cell a(x; h, c)\nc' = tanh[x, h]\nh' = tanh[x, h, c']\n",
            "note: state c: the output does not depend on it (remove it and rename c' to c)",
        ),
    ],
)
def test_check_notes_what_is_probably_not_meant(run: Run, tmp_path: Path, text: str, note: str) -> None:
    (tmp_path / "a.cell").write_text(text)
    done = run("check", "a.cell")
    assert done.code == 0, done.err
    assert note in done.out.replace("\n", " ")
    assert any(
        note.removeprefix("note: ") in warning
        for warning in run("check", "a.cell", "--json").json["warnings"]
    )
    assert run("check", "a.cell", "--json").json["dead_states"] == (["c"] if "state c" in note else [])


def test_check_sums_a_space_up(run: Run) -> None:
    done = run("check", "quick")
    assert done.code == 0
    space = load_space("quick")
    told = run("check", "quick", "--json").json
    assert [stage["name"] for stage in told["stages"]] == ["filter", *(task.name for task in space.tasks)]
    assert told["runs"]["baseline"] == len(space.seeds) * sum(len(task.grid) for task in space.tasks)
    assert f"{told['runs']['baseline']} training runs" in done.out


def test_check_tells_the_strategy_and_notes_seeds_beyond_the_limits(run: Run, tmp_path: Path) -> None:
    text = source_of("quick")
    for old, new in (
        (
            "strategy:\n",
            "strategy:\n  name: evolution\n  rank: pareto\n  cost: multiply_adds\n  sampler: tpe\n",
        ),
        ("limits: {nodes: 48, matrices: 16}", "limits: {matrices: 7, parameters: 70000}"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "my.yaml").write_text(text)
    done = run("check", "my.yaml", columns=200)
    assert done.code == 0
    assert "evolution: regularised" in done.out
    assert "ranked by Pareto fronts of score and multiply-adds; settings by tpe" in done.out
    assert done.out.count("note: ") == 2
    assert "the seed lstm is beyond limits.matrices (8, not 7)" in done.out
    assert "the seed lstm is beyond limits.parameters (80,400, not 70,000)" in done.out
    told = run("check", "my.yaml", "--json").json
    assert told["strategy"] == "evolution"
    assert len(told["warnings"]) == 2
    assert told["ok"]
    assert run("check", "quick", "--json").json["warnings"] == []
    assert "note: " not in run("check", "quick").out


def test_check_tells_the_place_of_an_error_in_a_space(run: Run, tmp_path: Path) -> None:
    text = run("spaces", "quick").out.replace("refine:", "refin:")
    (tmp_path / "my.yaml").write_text(text)
    done = run("check", "my.yaml")
    line = 1 + text[: text.index("refin:")].count("\n")
    assert done.code == 1
    assert (
        done.err.startswith(f"my.yaml:{line}:3: unknown key 'refin'") and "did you mean 'refine'?" in done.err
    )


def test_check_tells_when_a_search_would_end_early(run: Run, tmp_path: Path) -> None:
    text = run("spaces", "quick").out
    (tmp_path / "early.yaml").write_text(text.replace("{trials: 40}", "{trials: 40, patience: 12}"))
    out = " ".join(run("check", "early.yaml").out.split())
    assert "40 trials, or 12 proposals in a row without a better score; `cellsearch search" in out
    assert run("check", "early.yaml", "--json").json["patience"] == 12
    assert run("check", "quick", "--json").json["patience"] is None
