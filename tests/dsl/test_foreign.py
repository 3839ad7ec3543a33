"""Recipes of NAS-Bench-NLP: what they become, and that it computes what the recipe says."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from foreign import ACTIVATIONS, Recipe, differences, needed, recipe_parameters, recipe_step, recipes
from hypothesis import assume, given, settings

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.importers import read, read_each
from cellsearch.dsl.importers.recipe import ARITY
from cellsearch.dsl.rewriting.reach import dead_states
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import count
from cellsearch.errors import ForeignError

TOLERANCE = 1e-10
XH = ["x", "h_prev_0"]


def node(op: str, *inputs: str) -> dict[str, Any]:
    return {"op": op, "input": list(inputs)}


RNN = {"f": node("linear", *XH), "h_new_0": node("activation_tanh", "f")}
LSTM = {
    "h_new_0": node("elementwise_prod", "c_act", "o_act"),
    "i": node("linear", *XH), "i_act": node("activation_tanh", "i"),
    "j": node("linear", *XH), "j_act": node("activation_sigm", "j"),
    "f": node("linear", *XH), "f_act": node("activation_sigm", "f"),
    "o": node("linear", *XH), "o_act": node("activation_tanh", "o"),
    "kept": node("elementwise_prod", "f_act", "h_prev_1"),
    "fresh": node("elementwise_prod", "i_act", "j_act"),
    "h_new_1": node("elementwise_sum", "kept", "fresh"),
    "c_act": node("activation_tanh", "h_new_1"),
}  # fmt: skip
GRU = {
    "r": node("linear", *XH), "r_act": node("activation_sigm", "r"),
    "z": node("linear", *XH), "z_act": node("activation_sigm", "z"),
    "rh": node("elementwise_prod", "r_act", "h_prev_0"),
    "n": node("linear", "x", "rh"), "n_act": node("activation_tanh", "n"),
    "h_new_0": node("blend", "z_act", "h_prev_0", "n_act"),
}  # fmt: skip
ALL_OPS = {
    "a": node("linear", "x", "h_prev_0", "h_prev_1", "h_prev_2"),
    "b": node("activation_leaky_relu", "a"),
    "twice": node("linear", "b", "x", "b", "b", "h_new_1"),
    "h_new_0": node("elementwise_sum", "twice", "b", "h_prev_0", "twice", "a"),
    "h_new_1": node("elementwise_prod", "a", "b", "h_prev_1"),
    "h_new_2": node("blend", "a", "a", "h_new_1"),
}


def write(folder: Path, value: object, name: str = "recipes.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def imported(folder: Path, recipe: Recipe) -> Cell:
    (cell,) = read(write(folder, recipe))
    assert parse(show(cell)) == cell
    return cell


def agrees(cell: Cell, recipe: Recipe) -> None:
    found = differences(cell, recipe_step(recipe))
    assert found and all(difference < TOLERANCE for difference in found.values()), found
    assert count(cell, 5, 4) == recipe_parameters(recipe, 5, 4)
    assert len(cell.states) == len(needed(recipe)[1])


@pytest.mark.parametrize(("recipe", "name"), [(RNN, "rnn"), (LSTM, "lstm_2015"), (GRU, "gru")])
def test_known_recipes_are_the_cells_of_the_zoo(tmp_path: Path, recipe: Recipe, name: str) -> None:
    cell = imported(tmp_path, recipe)
    assert fingerprint(cell) == fingerprint(zoo.load(name))
    agrees(cell, recipe)


def test_every_op_with_any_number_of_inputs(tmp_path: Path) -> None:
    cell = imported(tmp_path, ALL_OPS)
    used = {step["op"] for recipe in (ALL_OPS, GRU) for step in recipe.values()}
    assert used == {"linear", "blend", "elementwise_prod", "elementwise_sum", *ACTIVATIONS} == set(ARITY)
    agrees(cell, ALL_OPS)
    assert show(cell).splitlines()[1:] == [
        "cell recipes(x; h_0, h_1, h_2)",
        "a = [x, h_0, h_1, h_2]",
        "b = leaky_relu(a)",
        "h_1' = a * b * h_1",
        "twice = [b, x, h_1'] + [b, bias=none] + [b, bias=none]",
        "h_0' = twice + b + h_0 + twice + a",
        "h_2' = a * a + (1 - a) * h_1'",
    ]


@pytest.mark.long
@settings(max_examples=30)
@given(recipe=recipes())
def test_random_recipes(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> None:
    cell = imported(tmp_path_factory.getbasetemp(), recipe)
    assert not dead_states(cell)
    found = differences(cell, recipe_step(Renamed(cell, recipe).recipe), steps=3)
    assume(all(difference == difference for difference in found.values()))
    assert all(difference < TOLERANCE for difference in found.values()), (show(cell), found)
    assert count(cell, 5, 4) == recipe_parameters(recipe, 5, 4)


class Renamed:
    """A recipe with the names that its nodes got, as the description of the cell tells them."""

    def __init__(self, cell: Cell, recipe: Recipe) -> None:
        told = next((line for line in cell.description.split("\n") if line.startswith("Renamed: ")), "")
        pairs = told.removeprefix("Renamed: ").removesuffix(".").split(", ") if told else []
        new = dict(pair.split(" to ") for pair in pairs)
        self.recipe = {
            new.get(key, key): {"op": step["op"], "input": [new.get(name, name) for name in step["input"]]}
            for key, step in recipe.items()
        }


@pytest.fixture
def examples() -> Path:
    """The ten example recipes, under CELLSEARCH_DATA."""
    named = os.environ.get("CELLSEARCH_DATA")
    if not named:
        pytest.skip("CELLSEARCH_DATA does not name a directory with nas_bench_nlp/recepies_example.json")
    path = Path(named) / "nas_bench_nlp" / "recepies_example.json"
    if not path.is_file():
        pytest.skip(f"no nas_bench_nlp/recepies_example.json in CELLSEARCH_DATA={named}")
    return path


def test_the_published_examples(examples: Path) -> None:
    given = json.loads(examples.read_text())
    found = read(examples)
    assert [cell.name for cell in found] == [f"recepies_example_{k}" for k in range(10)]
    for cell, recipe in zip(found, given, strict=True):
        agrees(cell, recipe)
        assert "Omitted" not in cell.description and "Renamed" not in cell.description
    same = [fingerprint(zoo.load(name)) for name in ("rnn", "lstm_2015", "gru", "rnn")]
    assert [fingerprint(cell) for cell in found[:4]] == same


def test_the_order_of_keys_says_nothing(tmp_path: Path) -> None:
    backwards = dict(reversed(LSTM.items()))
    assert fingerprint(imported(tmp_path, backwards)) == fingerprint(imported(tmp_path, LSTM))
    agrees(imported(tmp_path, backwards), backwards)


def test_the_log_of_a_run(tmp_path: Path) -> None:
    log = {
        "recepie_id": 7,
        "val_losses": [5.1, float("nan"), float("inf")],
        "recepie": json.dumps(GRU),
        "status": "OK",
    }
    (cell,) = read(write(tmp_path, log, "log_stats_model_7.json"))
    assert cell.name == "log_stats_model_7" and fingerprint(cell) == fingerprint(zoo.load("gru"))


def test_what_nothing_depends_on_is_left_out_and_said(tmp_path: Path) -> None:
    recipe = {**RNN, "dead": node("linear", "x", "f"), "end": node("activation_sigm", "dead")}
    cell = imported(tmp_path, recipe)
    assert "Omitted, since no new value depends on it: dead, end." in cell.description
    assert fingerprint(cell) == fingerprint(zoo.load("rnn"))
    agrees(cell, recipe)


def test_states_that_the_output_does_not_depend_on_are_left_out_and_said(tmp_path: Path) -> None:
    lost = {"l": node("linear", "x", "h_prev_1"), "h_new_1": node("activation_tanh", "l")}
    cell = imported(tmp_path, {**RNN, **lost})
    assert "Omitted, since the output does not depend on it: state h_1, l." in cell.description
    assert fingerprint(cell) == fingerprint(zoo.load("rnn"))
    agrees(cell, {**RNN, **lost})
    read_on = {
        "h_new_0": node("elementwise_sum", "h_new_1", "f"), **lost, "l": node("linear", "x", "h_prev_0"),
        "h_1_1": node("linear", "x"), "f": node("elementwise_prod", "h_1_1", "h_prev_0"),
        "h_new_1": node("linear", "l", "l"),
    }  # fmt: skip
    cell = imported(tmp_path, read_on)  # brackets of h_1 would be h_1_1 and h_1_2
    assert [s.name for s in cell.states] == ["h_0"] and "h_1_ = [l] + [l, bias=none]" in show(cell)
    assert "Omitted, since the output does not depend on it: state h_1." in cell.description


def test_one_recipe_that_is_refused_leaves_the_others(tmp_path: Path) -> None:
    wrong = {"h_new_0": node("activation_tahn", "x")}
    found = read_each(write(tmp_path, [RNN, wrong, GRU, 3]))
    assert [cell.name for cell in found.cells] == ["recipes_0", "recipes_2"]
    first, second = found.refused
    path = tmp_path / "recipes.json"
    assert first.message == f"{path}: recipe 1 → node 'h_new_0' → op: unknown op 'activation_tahn'"
    assert first.remedy.startswith("did you mean 'activation_tanh'?")
    assert second.message.startswith(f"{path}: recipe 3: expected an object of nodes, found a number")
    with pytest.raises(ForeignError, match="recipe 1"):
        read(tmp_path / "recipes.json")


@pytest.mark.long
def test_many_recipes_that_are_refused_take_little(tmp_path: Path) -> None:
    found = read_each(write(tmp_path, [{"h_new_0": node("tahn", "x")}] * 20_000))
    assert (len(found.cells), len(found.refused)) == (0, 20_000)
    text = "; ".join(["Genotype([('tahn', 0)], [1])"] * 5_000)  # of its one line no error keeps all
    refused = read_each(write(tmp_path, text, "genotypes.py")).refused
    assert len(refused) == 5_000 and all(e.place and len(e.place.text) <= 1_000 for e in refused)


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("tanh", "tanh_"), ("clock", "clock_"), ("h", "h_"), ("project", "project_"), ("reverse", "reverse_"),
        ("h_new", "h_new_"), ("2nd", "node_2nd"), ("", "node"), ("___", "node"), ("a b", "a_b"), ("é", "node"),
        ("a\u202eb", "a_b"), ("x;import os", "x_import_os"), ("\ud800", "node"), ("q" * 200, "q" * 64),
        ("class", "class"), ("self", "self"), ("__init__", "__init__"), ("node_0", "node_0"),
    ],
)  # fmt: skip
def test_names_become_legal(tmp_path: Path, key: str, label: str) -> None:
    recipe = {key: node("linear", *XH), "h_new_0": node("activation_tanh", key)}
    cell = imported(tmp_path, recipe)
    assert cell.labels[-2] == label
    assert ("Renamed: " in cell.description) == (key != label)
    assert fingerprint(cell) == fingerprint(zoo.load("rnn"))


def test_names_stay_apart(tmp_path: Path) -> None:
    recipe = {
        "a b": node("linear", "x"), "a_b": node("linear", "x"), "a\tb": node("linear", "x", "h_prev_0", "x"),
        "t_1": node("linear", "h_prev_0"), "t": node("linear", "t_1", "x", "t_1", "h_new_1"), "h_1_new": node("linear", "x"),
        "h_new_0": node("elementwise_sum", "a b", "a_b", "a\tb", "t", "h_1_new", "h_0"), "h_0": node("linear", "h_prev_1"),
        "h_new_1": node("linear", "x", "h_prev_1", "x"),
    }  # fmt: skip
    cell = imported(tmp_path, recipe)
    assert count(cell, 5, 4) == recipe_parameters(recipe, 5, 4)
    assert "Renamed: a b to a_b_" in cell.description and "a_b to" not in cell.description
    agrees(cell, Renamed(cell, json.loads(json.dumps(recipe).replace("\\t", "\\\\t"))).recipe)


def test_cells_are_named_after_the_file(tmp_path: Path) -> None:
    for name, expected in (
        ("My recipes (1).json", "my_recipes__1_"),
        ("7.json", "cell_7"),
        (f"{'x' * 90}.json", "x" * 40),
    ):
        found = read(write(tmp_path, [RNN, GRU], name))
        assert [cell.name for cell in found] == [f"{expected}_0", f"{expected}_1"]
    assert read(write(tmp_path, RNN, "tanh"))[0].name == "tanh_"


def test_many_recipes(tmp_path: Path) -> None:
    found = read(write(tmp_path, [RNN] * 500))
    assert len({cell.name for cell in found}) == 500
