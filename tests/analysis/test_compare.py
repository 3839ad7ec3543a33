"""A comparison that really trains: equal to single trainings, resumed after an end at any population."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path
from xml.etree import ElementTree

import pytest

import cellsearch as cs
from cellsearch.analysis.compare import facts, outcomes, work
from cellsearch.analysis.compare.draws import WIDE, Interval, drawn, ranges
from cellsearch.analysis.compare.run import Asked, Plan, Step, compare, plan, works
from cellsearch.analysis.compare.work import Place, Trained, Work
from cellsearch.errors import CellsearchError, RunError, UsageError
from cellsearch.report.comparison import boxes
from cellsearch.report.comparison.page import page, sentences
from cellsearch.report.comparison.write import compared
from cellsearch.study.lookup import find_cell
from cellsearch.train.settings import Grid

pytestmark = pytest.mark.long

SPACE = """\
tasks:
  - {name: memorize, options: {symbols: 1, alphabet: 4, train: 2000, valid: 400, test: 400}}
  - {name: other, task: memorize, options: {symbols: 2, alphabet: 3, train: 2000, valid: 400, test: 400}}
grid: {init_scale: [1.0], learning_rate: [0.2, 4.0], max_norm: [1.0, 5.0], layers: [1, 2], parameters: [500]}
training: {max_epochs: 2, batch: 10, steps: 20}
"""
CELLS = ("gru", "lstm", "rnn")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("space") / "a.yaml"
    file.write_text(SPACE)
    return str(file)


def planned(space: str, settings: int = 6, tasks: tuple[str, ...] = ("memorize",), **more: object) -> Plan:
    asked = Asked(tasks, settings=settings, share=0.5, space=space, **more)  # type: ignore[arg-type]
    return plan([find_cell(name) for name in CELLS], asked, Place(1))


@pytest.fixture(scope="module")
def whole(space: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "deep" / "out"
    compared(planned(space), folder)
    return folder


def test_settings_are_drawn_as_documented() -> None:
    grid = Grid((0.5, 1.0, 2.0), (0.1, 10.0), (1.0,), (1, 2), (500,))
    known = ranges(grid, True)
    assert known == {
        "init_scale": Interval(0.5, 2.0), "learning_rate": Interval(0.1, 10.0), "max_norm": (1.0,),
        "layers": (1, 2), "parameters": (500,),
    }  # fmt: skip
    some = [drawn(known, 1, "xml", k) for k in range(400)]
    assert some[:7] == [drawn(known, 1, "xml", k) for k in range(7)]
    assert some[0] != drawn(known, 2, "xml", 0) and some[0] != drawn(known, 1, "text", 0)
    assert all(0.1 <= one.learning_rate <= 10 and one.layers in (1, 2) for one in some)
    # log-uniform: the mean of the logarithm is that of the middle, with a standard error of 4.6 / sqrt(12 * 400)
    assert sum(log(one.learning_rate) for one in some) / 400 == pytest.approx(0.0, abs=0.27)
    assert 140 < sum(one.layers == 1 for one in some) < 260
    changed = ranges(grid, True, ["learning_rate=1e-3..2", "layers=3"])
    assert changed["learning_rate"] == Interval(0.001, 2.0) and changed["layers"] == (3,)
    again = [drawn(changed, 1, "xml", k) for k in range(400)]
    assert [one.init_scale for one in again] == [one.init_scale for one in some]
    assert {**ranges(grid, False)} == {**known, **WIDE}
    with pytest.raises(RunError, match="--draw learning_rate"):
        ranges(Grid((1.0,), (0.5,), (1.0,)), True)


@pytest.mark.parametrize(
    "word, told",
    [
        ("learning_rat=0.1..5", "did you mean 'learning_rate'?"),
        ("learning_rate", "is not a range of a hyperparameter"),
        ("learning_rate=5..0.1", "the lower end before the higher one"),
        ("learning_rate=-1..2", "a number from 1e-9 to 1,000"),
        ("learning_rate=fast", "numbers with commas between them, or two ends"),
        ("learning_rate=nan..2", "learning_rate cannot be 'nan..2'"),
        ("layers=1..3", "layers cannot be '1..3'"),
        ("layers=1.5", "a whole number from 1 to 64"),
        ("parameters=", "numbers with commas between them"),
    ],
)
def test_ranges_that_are_none(word: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        ranges(Grid(), True, [word])
    assert told in str(caught.value)


def test_a_member_is_the_training_that_train_makes(whole: Path, space: str, tmp_path: Path) -> None:
    values = json.loads((whole / "compare.json").read_text())
    (task,) = values["tasks"]
    assert len(task["settings"]) == 6 and {one["layers"] for one in task["settings"]} == {1, 2}
    for name, k in (("gru", 0), ("lstm", 5), ("rnn", 3)):
        row = next(row for row in task["rows"] if row["cell"] == name)["outcomes"][k]
        words = ",".join(f"{key}={value!r}" for key, value in task["settings"][k].items())
        model = cs.train(
            name, "memorize", space=space, setting=words, seeds=1, seed=1, out=tmp_path / f"{name}-{k}"
        )
        (seed,) = model.facts["seeds"]
        assert seed["valid"] == {"accuracy": row["accuracy"], "loss": row["loss"]}
        assert seed["test"] == {"accuracy": row["test_accuracy"], "loss": row["test_loss"]}
        assert model.facts["model"]["hidden"] == row["hidden"]


def test_every_cell_has_the_same_settings_in_a_population_of_each_shape(space: str) -> None:
    made = planned(space, tasks=("memorize", "other"))
    for on in made.tasks:
        for cell in made.cells:
            some = works(made, on, cell)
            assert sorted(place for one in some for place in one.places) == list(range(6))
            assert len({(one.hidden, one.settings[0].layers) for one in some}) == len(some) == 2
            assert all(pickle.loads(pickle.dumps(one)) == one for one in some)
    marks = [
        key for on in made.tasks for cell in made.cells for one in works(made, on, cell) for key in one.keys
    ]
    assert len(set(marks)) == 2 * 3 * 6
    assert planned(space, settings=4).tasks[0].settings == made.tasks[0].settings[:4]


def stopping(after: int) -> Callable[[Place, Work], list[Trained]]:
    """Training that is interrupted in a population."""
    done: list[Work] = []

    def train(place: Place, one: Work) -> list[Trained]:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(one)
        return work.train(place, one)

    return train


def test_an_interrupted_comparison_goes_on(whole: Path, space: str, tmp_path: Path) -> None:
    """It loses the population in training, trains nothing twice, and comes to the same."""
    made = planned(space)
    for after in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            compare(made, tmp_path, train=stopping(after))
    assert len({one.cell for one in outcomes.read(tmp_path).values()}) == 1  # both shapes of the first cell
    steps: list[Step] = []
    compared(made, tmp_path, tell=steps.append)
    assert [(step.done, step.of) for step in steps] == [(k, 4) for k in range(5)]
    assert json.loads((tmp_path / "compare.json").read_text()) == json.loads(
        (whole / "compare.json").read_text()
    )
    for name in ("README.md", "compare.svg"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()
    steps.clear()
    more = compared(planned(space, settings=8, baseline="lstm"), tmp_path, tell=steps.append)
    assert sum(step.members for step in steps) == 2 * 3  # the two new settings of three cells
    first = facts.as_json(more)["tasks"][0]["rows"][1]["outcomes"]
    assert first[:6] == json.loads((whole / "compare.json").read_text())["tasks"][0]["rows"][1]["outcomes"]


def test_a_damaged_record_is_told(whole: Path, space: str, tmp_path: Path) -> None:
    lines = (whole / "outcomes.jsonl").read_text().splitlines()
    for damage in (
        "{",
        "[]",
        lines[0].replace('"hidden": ', '"hidden": "x', 1),
        lines[0].replace('"cell"', '"c"'),
    ):
        (tmp_path / "outcomes.jsonl").write_text("\n".join([*lines[:3], damage, *lines[3:]]))
        with pytest.raises(RunError, match=r"outcomes.jsonl:4: not a training"):
            compare(planned(space), tmp_path)


def test_page_and_figure_say_what_the_values_say(whole: Path) -> None:
    values = json.loads((whole / "compare.json").read_text())
    said = (whole / "README.md").read_text()
    assert page(values, "compare.svg") == said and "learning_rate log-uniform from 0.2 to 4" in said
    for row in values["tasks"][0]["rows"]:
        assert f"| `{row['cell']}` | {row['mean']:.4f} |" in said
    figure = ElementTree.fromstring((whole / "compare.svg").read_text())
    dots = [one for one in figure.iter() if one.tag.endswith("circle")]
    assert len(dots) == 3 * values["best"] == 9
    words = {one.text for one in figure.iter() if one.tag.endswith("text")}
    assert {*CELLS, "memorize: test accuracy of the best settings", "hurts", "cannot be told"} <= words
    (task,) = values["tasks"]
    assert f"sees the current symbol alone: {task['memoryless']:.4f}" in said
    assert ("says little about cells" in said) == (task["rows"][0]["mean"] < 1.02 * task["memoryless"])
    low = {**values, "tasks": [{**task, "memoryless": task["rows"][0]["mean"] / 1.01}]}
    assert "says little about cells" in page(low, "") and "says little" not in page(
        {**values, "tasks": [{**task, "memoryless": 0.1}]}, ""
    )
    told = {row["cell"]: row["statement"] for row in values["tasks"][0]["rows"]}
    assert told["gru"] == "baseline"
    assert all(f"`{name}` (memorize)" in " ".join(sentences(values)) for name in told if name != "gru")


def test_boxes() -> None:
    assert (
        boxes.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0) and boxes.quartiles([0.5]) == (0.5,) * 3
    )
    low, high, step = boxes.axis(0.512, 0.587)
    assert low <= 0.512 and high >= 0.587 and step == pytest.approx(0.02) and boxes.decimals(step) == 2
    low, high, _ = boxes.axis(1.0, 1.0)
    assert low <= 1.0 < high


def test_what_cannot_be_compared_is_told(space: str) -> None:
    for words, more, told in (
        (["gru"], {}, "at least two cells"),
        (["gru", "lstm", "greff_np"], {}, "lstm and greff_np are the same cell"),
        (["gru"], {}, "at least two cells"),
        ([], {}, "at least two cells"),
        (["gru", "lstm"], {"settings": 1}, "give at least 2 settings"),
        (["gru", "lstm"], {"share": 1.5}, "a share of 1.5"),
        (["gru", "lstm"], {"baseline": "lst"}, "did you mean 'lstm'?"),
        (["gru", "lstm"], {"tasks": ("memorise",)}, "did you mean 'memorize'?"),
        (["gru", "lstm"], {"tasks": (), "space": None}, "--task is required"),
        (["gru", "lstm"], {"overrides": ("options.trian=5",)}, "unknown option"),
    ):
        asked = replace(Asked(("memorize",), space=space), **more)  # type: ignore[arg-type]
        with pytest.raises(CellsearchError) as caught:
            plan([find_cell(word) for word in words], asked, Place(1))
        assert told in str(caught.value)


def test_cells_of_one_name_are_told_apart(space: str) -> None:
    mine = cs.parse("cell gru(x; h)\nh' = tanh[x, h]\n")
    found = [find_cell("gru"), replace(find_cell("gru"), cell=mine)]
    made = plan(found, Asked(("memorize",), space=space), Place(1))
    assert [cell.name for cell in made.cells] == ["gru", "gru_2"]
