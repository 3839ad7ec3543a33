"""Search spaces: what is read, what is refused and where, overrides, what a study remembers and is shipped."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.errors import SpaceError
from cellsearch.options import admitted, choices, fields_of, option
from cellsearch.report.searches.space import as_json
from cellsearch.study.mutation.table import MUTATIONS
from cellsearch.study.space import (
    MAY_CHANGE,
    Budget,
    Limits,
    MutationSpec,
    Space,
    Strategy,
    check_seeds,
    difference,
    keys,
    load_space,
    names,
    parse_space,
    source_of,
)
from cellsearch.study.space import sections as space_sections
from cellsearch.study.space.keys import sections
from cellsearch.study.space.yaml_text import parse
from cellsearch.train.settings import Grid, Training

SMALL = """\
name: small
tasks:
  - name: xml
    options: {train: 1000, valid: 1000, test: 1000}
grid: {init_scale: [1], learning_rate: [0.5, 1e-3], max_norm: [5], layers: [1, 2], parameters: [1e4]}
"""


def with_line(line: str) -> str:
    return SMALL + line


# fmt: off
# What is said; the text; the line and column it is said of.
BAD = [
    ("'tasks' is missing in the search space",    "", 1, 1),
    ("the search space is 'a b', not a mapping",  "a b", 1, 1),
    ("the search space is a list, not a mapping", "[1]", 1, 1),
    ("'tasks' is missing in the search space",    "name: a\n", 1, 1),
    ("unknown key 'tusks'",                       with_line("tusks: 1\n"), 6, 1),
    ("'1 2' is not a valid name",                    SMALL.replace("name: small", "name: 1 2"), 1, 7),
    ("'../up' is not a valid name",                  SMALL.replace("name: small", "name: ../up"), 1, 7),
    ("'name' is 7, not text",                     SMALL.replace("name: small", "name: 7"), 1, 7),
    ("'about' is a list, not text",               with_line("about: [a]\n"), 6, 8),
    ("'about' holds U+001B",                      with_line('about: "\\e[31m"\n'), 6, 8),
    ("'about' has more than 10,000 characters",   with_line(f"about: {'a' * 10_001}\n"), 6, 8),
    ("'tasks' is empty",                          SMALL.replace("\n  - name: xml\n    options: {train: 1000, valid: 1000, test: 1000}", " []"), 2, 8),
    ("'tasks' is nothing, not a list",            "name: a\ntasks:\ngrid: {init_scale: [1], learning_rate: [1], max_norm: [1], layers: [1], parameters: [1000]}", 2, 1),
    # tasks and their options
    ("'task' cannot be 'xlm'",                    SMALL.replace("name: xml", "name: xlm"), 3, 11),
    ("'task' cannot be 'arithmetics'",            SMALL.replace("name: xml", "name: a\n    task: arithmetics"), 4, 11),
    ("a task cannot have the name 'filter'",          SMALL.replace("name: xml", "name: filter\n    task: "
    "xml"), 3, 11),
    ("two tasks have the name 'xml'",                SMALL.replace("tasks:\n", "tasks:\n  - name: "
    "xml\n"), 4, 11),
    ("'name' is missing in 'tasks.0'",            SMALL.replace("name: xml", "parameters: [1000]"), 3, 5),
    ("unknown key 'opts'",                        SMALL.replace("options:", "opts:"), 4, 5),
    ("unknown option 'trian'",                    SMALL.replace("{train:", "{trian:"), 4, 15),
    ("option 'train' of task 'xml'",              SMALL.replace("train: 1000", "train: many"), 4, 22),
    ("option 'valid' of task 'xml' is 0",         SMALL.replace("valid: 1000", "valid: 0"), 4, 35),
    ("option 'valid' of task 'xml' must be",      SMALL.replace("valid: 1000", "valid: [1]"), 4, 35),
    ("the options of task 'xml' must be pairs",   SMALL.replace("{train: 1000, valid: 1000, test: 1000}", "[1]"), 4, 5),
    ("shortest is 5 and longest 3",               SMALL.replace("{train: 1000", "{shortest: 5, longest: 3"), 4, 5),
    ("task 'text' needs a text",                  SMALL.replace("name: xml", "name: text").replace("{train: 1000, valid: 1000, test: 1000}", ""), 4, 5),
    ("'tasks.0.parameters' is 'big', not a list", SMALL.replace("options:", "parameters: big\n    options:"), 4, 17),
    ("'tasks.0.training.batch' is 0",             SMALL.replace("options:", "training: {batch: 0}\n    options:"), 4, 23),
    # grid and training
    ("'grid.learning_rate' is 'fast', not a",     SMALL.replace("1e-3", "fast"), 5, 46),
    ("'grid.learning_rate' is true, not a",       SMALL.replace("1e-3", "true"), 5, 46),
    ("'grid.learning_rate' is -1",                SMALL.replace("1e-3", "-1"), 5, 46),
    ("0.5 appears twice in 'grid.learning_rate'",    SMALL.replace("1e-3", "0.50"), 5, 46),
    ("'grid.layers' is 1.5, not a whole number",  SMALL.replace("[1, 2]", "[1, 1.5]"), 5, 80),
    ("'grid' makes a grid of 16,000,000 settings", with_line("").replace("init_scale: [1], learning_rate: [0.5, 1e-3], max_norm: [5]", f"init_scale: {[*range(1, 401)]}, learning_rate: {[*range(1, 101)]}, max_norm: {[*range(1, 201)]}"), 5, 7),
    ("'tasks.0.parameters' makes a grid of 4,000,000", SMALL.replace("options:", f"parameters: {[*range(1000, 2000)]}\n    options:").replace("init_scale: [1]", f"init_scale: {[*range(1, 1001)]}"), 4, 17),
    ("'grid.layers' is empty",                    SMALL.replace("[1, 2]", "[]"), 5, 76),
    ("'grid.layers' has more than 1,000 items",   SMALL.replace("[1, 2]", str(list(range(1001)))), 5, 76),
    ("'training.dtype' cannot be 'float16'",      with_line("training: {dtype: float16}\n"), 6, 19),
    ("'training.max_epochs' is 0",                with_line("training: {max_epochs: 0}\n"), 6, 24),
    ("'training.batch' is nothing, not a whole", with_line("training: {batch: }\n"), 6, 12),
    ("unknown key 'patients'",                    with_line("training: {patients: 3}\n"), 6, 12),
    ("'training.rungs' is 2, not a list",         with_line("training: {rungs: 2}\n"), 6, 19),
    ("'training.rungs' is 0",                     with_line("training: {rungs: [0, 2]}\n"), 6, 20),
    ("2 appears twice in 'training.rungs'",        with_line("training: {rungs: [2, 2]}\n"), 6, 23),
    ("not in ascending order",                    with_line("training: {rungs: [4, 2]}\n"), 6, 19),
    ("the rung at epoch 4 has no effect",       with_line("training: {rungs: [2, 4], max_epochs: 4}\n"), 6, 19),
    ("'training.keep' is 1.5",                    with_line("training: {keep: 1.5}\n"), 6, 18),
    ("'training' is 3, not a mapping",            with_line("training: 3\n"), 6, 11),
    # seeds
    ("there is no cell 'gruu' in the zoo",        with_line("seeds: [lstm, gruu]\n"), 6, 15),
    ("'gru' appears twice in 'seeds'",             with_line("seeds: [gru, gru]\n"), 6, 14),
    ("two seeds have the name 'gru'",                with_line("seeds: [gru, a/gru.cell]\n"), 6, 8),
    ("the baseline 'gru' is not among the seeds", with_line("seeds: [lstm]\n"), 6, 8),
    ("the baseline 'rnn' is not among the seeds", with_line("baseline: rnn\n"), 6, 11),
    # strategy, mutation, limits, budget
    ("'strategy.refine' is 1.5",                  with_line("strategy: {refine: 1.5}\n"), 6, 20),
    ("'strategy.baseline' cannot be 'thawed'",    with_line("strategy: {baseline: thawed}\n"), 6, 22),
    ("'strategy.baseline' is true, not text",     with_line("strategy: {baseline: true}\n"), 6, 22),
    ("'strategy.name' cannot be 'evolutoin'",     with_line("strategy: {name: evolutoin}\n"), 6, 18),
    ("'strategy.population' is 0, out of range",  with_line("strategy: {name: evolution, population: 0}\n"), 6, 41),
    ("'strategy.sample' is 2.5, not a whole",     with_line("strategy: {sample: 2.5}\n"), 6, 20),
    ("'strategy.walk' is not a pair",         with_line("strategy: {walk: [8, 1]}\n"), 6, 18),
    ("'strategy.walk' is 0, out of range",        with_line("strategy: {walk: [0, 1]}\n"), 6, 19),
    ("'strategy.walk' is 3, not a list",          with_line("strategy: {walk: 3}\n"), 6, 18),
    ("'strategy.sampler' cannot be 'gp'",         with_line("strategy: {sampler: gp}\n"), 6, 21),
    ("'strategy.rank' cannot be 'front'",         with_line("strategy: {rank: front}\n"), 6, 18),
    ("'strategy.cost' cannot be 'parameter'",     with_line("strategy: {cost: parameter}\n"), 6, 18),
    ("'strategy.rank' is nothing, not text",      with_line("strategy: {rank: null}\n"), 6, 18),
    ("'mutation.size' cannot be 'edit'",          with_line("mutation: {size: edit}\n"), 6, 18),
    ("'mutation.edits' is not a pair",        with_line("mutation: {edits: [3, 1]}\n"), 6, 19),
    ("'mutation.edits' is not a pair",        with_line("mutation: {edits: [3]}\n"), 6, 19),
    ("'mutation.edits' is 0",                     with_line("mutation: {edits: [0, 1]}\n"), 6, 20),
    ("unknown key 'swap'",                        with_line("mutation: {weights: {swap: 1}}\n"), 6, 22),
    ("all weights are zero",                      with_line(f"mutation: {{weights: {{{', '.join(f'{m.name}: 0' for m in MUTATIONS)}}}}}\n"), 6, 21),
    ("'sigmod' is not an activation",             with_line("mutation: {activations: [sigmod]}\n"), 6, 26),
    ("'linear(a)' is not an activation",          with_line("mutation: {activations: [linear(a)]}\n"), 6, 26),
    ("'linear(1e999)' is not finite",             with_line("mutation: {activations: [linear(1e999)]}\n"), 6, 26),
    ("'add' is not an activation",                with_line("mutation: {activations: [add]}\n"), 6, 26),
    ("'linear(.9)' appears twice",                 with_line("mutation: {activations: [linear(0.9), linear(.9)]}\n"), 6, 39),
    ("'mutation.operations' cannot be 'tanh'",    with_line("mutation: {operations: [tanh]}\n"), 6, 25),
    ("'limits.nodes' is 5000",                    with_line("limits: {nodes: 5000}\n"), 6, 17),
    ("'limits.parameters' is 0, out of range",    with_line("limits: {parameters: 0}\n"), 6, 22),
    ("'limits.multiply_adds' is 'few', not a",    with_line("limits: {multiply_adds: few}\n"), 6, 25),
    ("'limits.depth' is 1.5, not a whole number", with_line("limits: {depth: 1.5}\n"), 6, 17),
    ("'limits.products' is -1, out of range",     with_line("limits: {products: -1}\n"), 6, 20),
    ("'limits.width' is nothing, not a whole",    with_line("limits: {width: null}\n"), 6, 17),
    ("'limits.nodes' is nothing, not a whole",    with_line("limits: {nodes: null}\n"), 6, 17),
    ("unknown key 'states'",                      with_line("limits: {states: 2}\n"), 6, 10),
    ("'budget.trials' is -1",                     with_line("budget: {trials: -1}\n"), 6, 18),
    # filter
    ("'task' cannot be 'memorise'",               with_line("filter: {task: memorise}\n"), 6, 16),
    ("'filter.accuracy' is 95",                   with_line("filter: {task: memorize, accuracy: 95}\n"), 6, 36),
    ("unknown option 'length'",                   with_line("filter: {task: memorize, options: {length: 3}}\n"), 6, 36),
    ("unknown key 'grid'",                        with_line("filter: {task: memorize, grid: {}}\n"), 6, 26),
    # overrides: the place is in the override
    ("unknown key 'buget'",                       ["buget.trials=1"], 1, 1),
    ("'budget.trials' is 'ten', not a whole",    ["budget.trials=ten"], 1, 15),
    ("'grid.layers' is 1.5, not a whole number",  ["grid.layers=[1, 1.5]"], 1, 17),
    ("option 'train' of task 'xml' is 0",         ["tasks.0.options.train=0"], 1, 23),
    ("unknown option 'trian'",                    ["tasks.0.options.trian=1000"], 1, 17),
    ("'tasks' is a list of 1",                    ["tasks.1.options.train=1000"], 1, 7),
    ("'tasks' is a list of 1",                    ["tasks.0000000000001=1"], 1, 7),
    ("'tasks' is a list of 1",                    ["tasks.xml.options.train=1000"], 1, 7),
    ("'name' is a single value and has no 'x'",   ["name.x=1"], 1, 6),
    ("'strategy.name' cannot be 'evolve'",        ["strategy.name=evolve"], 1, 15),
    ("'strategy.walk' is not a pair",         ["strategy.walk=[1]"], 1, 15),
    ("is not an override",                        ["budget.trials"], 1, 1),
    ("is not an override",                        ["budget.trials=1\nname=2"], 1, 1),
    ("a key is missing",                          ["budget..trials=1"], 1, 8),
    ("a key is missing",                          ["=1"], 1, 1),
    ("more than 64 keys",                         ["a." * 100 + "b=1"], 1, 1),
    ("tags are not allowed",                      ["name=!!str 1"], 1, 6),
    ("a number with a leading zero",              ["budget.trials=017"], 1, 15),
]
# fmt: on


@pytest.mark.parametrize(("message", "text", "line", "column"), BAD, ids=lambda value: str(value)[:40])
def test_what_is_refused(message: str, text: str | list[str], line: int, column: int) -> None:
    with pytest.raises(SpaceError) as caught:
        if isinstance(text, str):
            parse_space(text, "x.yaml")
        else:
            parse_space(SMALL, "x.yaml", text)
    place = caught.value.place
    assert message in caught.value.message
    assert place and (place.line, place.column) == (line, column), str(caught.value)
    assert place.file == ("x.yaml" if isinstance(text, str) else "--set")


def test_the_nearest_right_word_is_named() -> None:
    with pytest.raises(SpaceError) as caught:
        parse_space(with_line("strategy:\n  treshold: 0.8\n"), "s.yaml")
    first, line, caret, remedy = str(caught.value).split("\n")
    assert first == "s.yaml:7:3: unknown key 'treshold'"
    assert line == "    treshold: 0.8"
    assert caret == "    ^^^^^^^^"
    assert remedy.startswith("did you mean 'threshold'? (name, list, refine, ")


def test_all_errors_of_a_file_are_told_at_once_in_the_order_of_their_places() -> None:
    text = (
        "nam: a\n"
        "tasks:\n"
        "  - {name: xml, options: {trian: 5, valid: 0}, training: {batch: 0, stepps: 3}}\n"
        "  - {name: xlm}\n"
        "  - {task: ptb, name: filter}\n"
        "grid: {layers: [0, 1, 1.5], parameters: [1, 1000]}\n"
        "seeds: [gruu, lstm, lstm]\n"
        "strategy: {refine: 2}\n"
        "mutation: {weights: {swap: 1, remove_node: -1}, activations: [sigmod, tanh, tanhh]}\n"
        "budget: {trials: many}\n"
    )
    with pytest.raises(SpaceError) as caught:
        parse_space(text, "x.yaml", ["limits.nodes=0", "budget.proposal=3"])
    places = [(e.place.file, e.place.line, e.place.column) for e in caught.value.parts if e.place]
    assert places == sorted(places, key=lambda place: (place[0] == "--set", place[1:]))
    assert [place[1] for place in places if place[0] == "x.yaml"] == [
        1, 3, 3, 3, 3, 4, 5, 6, 6, 6, 7, 7, 8, 9, 9, 9, 9, 10,
    ]  # fmt: skip
    told = str(caught.value)
    assert told.endswith("20 errors") and told.count("^\n") == 20
    assert caught.value.message == "unknown key 'nam'"
    assert "did you mean 'name'?" in caught.value.remedy


def test_errors_of_the_text_itself_are_told_at_once_too() -> None:
    with pytest.raises(SpaceError) as caught:
        parse("a: 017\nb: &x 1\nb: .inf\nc: !!int 3\nd: *x\ne: ]\n")
    assert [(e.place.line, e.message.split(" ")[0]) for e in caught.value.parts if e.place] == [
        (1, "a"), (2, "anchors"), (3, "duplicate"), (3, ".inf"), (4, "tags"), (5, "aliases"), (6, "not"),
    ]  # fmt: skip


def test_a_file_needs_its_tasks_alone(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("a line of text\n" * 100)
    path = tmp_path / "my tasks.yaml"
    path.write_text("tasks: [{task: text, options: {path: log.txt}}]\n")
    space = load_space(path)
    (stage,) = space.tasks
    assert (space.name, stage.name) == ("my-tasks", "text")
    assert stage.options["path"] == str(tmp_path / "log.txt")
    quick = load_space("quick")
    assert space.grid == Grid() == quick.grid
    assert space == Space("my-tasks", space.tasks)
    assert parse_space(space.text) == space
    with_filter = parse_space("tasks: [{name: xml}]\nfilter: {accuracy: 0.5}\n", "é.yaml")
    assert with_filter.filter and with_filter.filter.task == "memorize"
    assert with_filter.name == "space"


def test_the_text_of_an_older_study_reads_as_it_was_run() -> None:
    """Its text names every value of that time, so that no default of today enters."""
    text = load_space("quick", ["strategy.refine=0.5"]).text
    assert "refine: 0.5" in text
    assert parse_space(text).strategy.refine == 0.5
    for key in sections()[1:]:
        given = parse(text).plain[key.name]  # type: ignore[index,call-overload]
        (given,) = given[:1] if isinstance(given, list) else (given,)
        assert set(given) == {option.name for option in key.keys}, key.name


def test_defaults_are_those_of_the_dataclasses() -> None:
    space = parse_space(SMALL)
    assert space == Space(
        name="small",
        tasks=space.tasks,
        grid=Grid((1.0,), (0.5, 0.001), (5.0,), (1, 2), (10_000,)),
        seeds=("lstm", "gru"),
        baseline="gru",
        strategy=Strategy(),
        mutation=MutationSpec(),
        limits=Limits(),
        training=Training(),
        budget=Budget(),
    )
    assert space.filter is None
    assert space.source == SMALL
    (stage,) = space.tasks
    assert (stage.name, stage.task, stage.grid, stage.training) == ("xml", "xml", space.grid, space.training)
    assert stage.options["train"] == 1000
    assert stage.options["longest"] == 10  # of the task's own defaults


def test_defaults_keep_the_rules() -> None:
    checked = 0
    for kind in (Strategy, MutationSpec, Limits, Budget, Grid, Training):
        hints = get_type_hints(kind)
        for key, field in fields_of(kind).items():
            value, hint = getattr(kind(), key), hints[key]
            if (field.metadata["low"] is None and not field.metadata["choices"]) or key == "weights":
                continue
            inner = get_args(hint)[0] if isinstance(value, tuple) else hint
            for one in value if isinstance(value, tuple) else (value,):
                assert admitted(one, inner, field.metadata) == one
                checked += 1
    assert checked > 40


def test_rungs_are_inherited_as_far_as_a_stage_goes() -> None:
    text = (
        SMALL.replace("options:", "training: {max_epochs: 3}\n    options:")
        + "training: {rungs: [2, 4], keep: 0.25, max_epochs: 9}\n"
        + "filter: {task: memorize, training: {rungs: []}}\n"
    )
    space = parse_space(text)
    assert space.training == Training(rungs=(2, 4), keep=0.25, max_epochs=9)
    assert space.tasks[0].training == Training(rungs=(2,), keep=0.25, max_epochs=3)
    assert space.filter is not None
    assert space.filter.training.rungs == ()
    assert parse_space(space.text) == space


def test_stages_carry_their_own_sizes_and_training() -> None:
    space = parse_space(
        SMALL.replace("options:", "parameters: [2e4, 3e4]\n    training: {steps: 10}\n    options:")
        + "training: {batch: 5, max_epochs: 7}\n"
        + "filter: {task: memorize, parameters: [5000], training: {max_epochs: null}}\n"
    )
    (stage,) = space.tasks
    assert space.filter
    assert space.grid.parameters == (10_000,)
    assert stage.grid == replace(space.grid, parameters=(20_000, 30_000))
    assert space.filter.grid == replace(space.grid, parameters=(5_000,))
    assert space.training == Training(batch=5, max_epochs=7)
    assert stage.training == Training(batch=5, max_epochs=7, steps=10)
    assert space.filter.training == Training(batch=5, max_epochs=None)
    assert (space.filter.settings, space.filter.accuracy) == (1, 0.95)


def test_one_task_in_two_stages() -> None:
    stages = "tasks:\n  - {name: short, task: xml, options: {iterations: 5}}\n  - {name: xml}\n"
    space = parse_space(f"name: a\n{stages}{SMALL.splitlines()[-1]}\n")
    assert [(stage.name, stage.task) for stage in space.tasks] == [("short", "xml"), ("xml", "xml")]
    assert [stage.options["iterations"] for stage in space.tasks] == [5, 50]


def test_mutation_is_read() -> None:
    line = "mutation: {size: edits, edits: [2, 2], weights: {remove_node: 0}, activations: [linear(0.90), exp]}\n"
    mutation = parse_space(with_line(line)).mutation
    assert (mutation.size, mutation.edits) == ("edits", (2, 2))
    assert mutation.activations == ("linear(0.9)", "exp")
    assert mutation.operations == ("mul", "add", "sub")
    assert mutation.weights == {m.name: m.weight * (m.name != "remove_node") for m in MUTATIONS}


def test_what_the_rows_of_the_language_draw_from_is_read_in_canonical_form() -> None:
    line = "mutation: {biases: [none, 1.0, 'uniform(-1, 1)'], structures: [rank(4), 'eye(1.0)'], clock: [1, 3]}\n"
    mutation = parse_space(with_line(line)).mutation
    assert mutation.biases == ("none", "1", "uniform(-1, 1)")
    assert (mutation.structures, mutation.clock) == (("rank(4)", "eye(1)"), (1, 3))
    assert parse_space(parse_space(with_line(line)).text).mutation == mutation
    for wrong in ("biases: [large]", "structures: [round]", "clock: [0]"):
        with pytest.raises(SpaceError, match=r"<text>:\d+:\d+: "):
            parse_space(with_line(f"mutation: {{{wrong}}}\n"))


def test_overrides() -> None:
    space = parse_space(
        SMALL,
        overrides=[
            "tasks.0.options.train=2000",
            "tasks.0.options={train: 3000}",
            "tasks.0.options.valid = 50",
            "budget.trials=7",
            "grid.layers=[3]",
            "mutation.weights.remove_node=1e-3",
            "filter.task=memorize",
            "baseline=lstm",
            "about='x # y'",
            "training.max_epochs=4",
            "training.max_epochs=null",
        ],
    )
    (stage,) = space.tasks
    assert (stage.options["train"], stage.options["valid"]) == (3000, 50)
    assert (space.budget.trials, space.grid.layers, space.baseline, space.about) == (7, (3,), "lstm", "x # y")
    assert stage.grid.layers == (3,)
    assert space.mutation.weights["remove_node"] == 0.001
    assert space.filter and space.filter.task == "memorize"
    assert space.training.max_epochs is None


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("strategy", choices(Strategy, "name"))
def test_any_space_takes_any_strategy_by_an_override(name: str, strategy: str) -> None:
    changed = load_space(name, [f"strategy.name={strategy}", "strategy.walk=[2, 3]", "limits.parameters=5e4"])
    assert changed.strategy.name == strategy
    assert changed.strategy.walk == (2, 3)
    assert (changed.limits.parameters, changed.limits.multiply_adds) == (50_000, None)
    assert parse_space(changed.text) == changed
    plain = load_space(name)
    keys = [line.partition(":")[0] for line in difference(plain, changed)]
    same = ["strategy.name"] if strategy != plain.strategy.name else []
    assert keys == [*same, "strategy.walk", "limits.parameters"]


@pytest.mark.parametrize("name", names())
def test_what_a_study_remembers_reads_back(name: str) -> None:
    space = load_space(name, ["budget.trials=3", "strategy.refine=0.1", "about=née 'x'"])
    again = parse_space(space.text)
    assert again == space
    assert again.text == space.text
    assert difference(space, again, ignore=()) == []


def test_differences_are_named_as_overrides_name_them() -> None:
    before = parse_space(SMALL)
    changes = [
        "tasks.0.options.train=2000",
        "grid.layers=[1]",
        "filter.task=memorize",
        "about=x",
        "budget.trials=9",
    ]
    now = parse_space(SMALL, overrides=changes)
    lines = difference(before, now)
    assert lines[:3] == [
        "filter: null before, nothing now",
        "tasks.0.options.train: 1000 before, 2000 now",
        "grid.layers: [1, 2] before, [1] now",
    ]
    assert lines[3] == "filter.task: nothing before, memorize now"
    assert all(line.startswith("filter.") for line in lines[3:])
    assert {line.split(".")[0].split(":")[0] for line in difference(before, now, ignore=())} == {
        "filter", "tasks", "grid", *(key.partition(".")[0] for key in MAY_CHANGE),
    }  # fmt: skip


def test_of_the_budget_only_what_no_result_depends_on_may_change() -> None:
    before = parse_space(SMALL)
    changes = ["budget.trials=9", "budget.patience=5", "budget.stage_hours=1", "budget.memory_gb=2"]
    lines = difference(before, parse_space(SMALL, overrides=changes))
    assert lines == ["budget.memory_gb: 16.0 before, 2.0 now"]


def test_a_key_of_the_budget_is_one_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its default, range and reason, whether it may change, `spaces --keys`, the YAML, `--set` and the JSON of
    `check` follow from it. The test of all keys: test_defaults_are_those_of_the_dataclasses."""

    @dataclass(frozen=True, slots=True)
    class Longer(Budget):
        watts: int = option(300, "watts of a machine", low=1, high=1_000)

    monkeypatch.setattr(space_sections, "Budget", Longer)
    monkeypatch.setitem(keys.KINDS, "budget", Longer)
    (budget,) = (section for section in sections() if section.name == "budget")
    assert [(key.default, key.about) for key in budget.keys if key.name == "watts"] == [
        (300, "watts of a machine")
    ]
    space = parse_space(SMALL + "budget: {watts: 200}\n")
    assert parse_space(space.text).budget == space.budget == Longer(watts=200)
    assert as_json(space)["watts"] == 200
    assert difference(space, parse_space(SMALL, overrides=["budget.watts=5", "budget.trials=9"])) == [
        "budget.watts: 200 before, 5 now"
    ]
    with pytest.raises(SpaceError, match="2000, out of range"):
        parse_space(SMALL + "budget: {watts: 2000}\n")
    with pytest.raises(SpaceError, match="did you mean 'watts'"):
        parse_space(SMALL + "budget: {wats: 2}\n")


def test_where_data_lies_is_no_difference() -> None:
    text = SMALL.replace("name: xml", "name: text").replace("{train: 1000", "{path: a.txt, train: 1000")
    assert difference(parse_space(text), parse_space(text, overrides=["tasks.0.options.path=b/a.txt"])) == []


def test_seeds_may_be_files(tmp_path: Path) -> None:
    (tmp_path / "mine.cell").write_text("cell mine(x; h)\nh' = tanh[x, h]\n")
    (tmp_path / "bad.cell").write_text("cell bad(x; h)\nh' = tan[x, h]\n")
    path = tmp_path / "s.yaml"
    path.write_text(with_line("seeds: [mine.cell, gru]\nbaseline: mine.cell\n"))
    space = load_space(path)
    assert space.seeds == (str(tmp_path / "mine.cell"), "gru")
    assert space.baseline == "mine"
    assert {name: cell.name for name, cell in check_seeds(space).items()} == {"mine": "mine", "gru": "gru"}
    assert load_space(str(path)) == space
    assert parse_space(space.text).baseline == "mine"

    path.write_text(with_line("seeds: [gru, bad.cell]\n"))
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    assert caught.value.place and (caught.value.place.line, caught.value.place.column) == (6, 14)
    assert "bad.cell:2:6: " in caught.value.message
    unread = parse_space(path.read_text(), folder=tmp_path)
    with pytest.raises(SpaceError, match=r"the seed .*bad\.cell. cannot be read"):
        check_seeds(unread)


def test_names_and_paths(tmp_path: Path) -> None:
    with pytest.raises(SpaceError) as caught:
        load_space("quik")
    assert "there is no search space 'quik'" in caught.value.message
    assert "did you mean 'quick'? (gates, jozefowicz2015, quick)" in caught.value.remedy
    with pytest.raises(SpaceError, match=r"there is no file .*quick\.yaml"):
        load_space(tmp_path / "quick.yaml")
    with pytest.raises(SpaceError, match="is a directory"):
        load_space(tmp_path)
    with pytest.raises(SpaceError, match="there is no file quick"):
        load_space("./quick")


def test_the_quick_space_says_what_it_is() -> None:
    space = load_space("quick")
    assert space.about.startswith("An example, not a finding")
    assert source_of("quick") == space.source
    assert len(space.tasks[0].grid) <= 12
    assert {stage.name for stage in space.tasks} == {"arithmetic", "xml", "text"}


def test_the_space_of_the_paper() -> None:
    space = load_space("jozefowicz2015")
    sizes = {stage.name: (len(stage.grid), stage.grid.parameters) for stage in space.tasks}
    assert sizes == {
        "arithmetic": (1680, (250_000, 1_000_000)),
        "xml": (1680, (250_000, 1_000_000)),
        "ptb": (840, (5_000_000,)),
    }
    assert space.filter
    assert (space.filter.options["symbols"], space.filter.options["alphabet"]) == (5, 26)
    assert (space.filter.settings, space.filter.accuracy, space.filter.grid.parameters) == (
        1,
        0.95,
        (25_000,),
    )
    assert space.training == Training()
    strategy = space.strategy
    assert (strategy.list, strategy.settings, strategy.threshold) == (100, 20, 0.9)
    assert (strategy.enough, strategy.best) == (420, 100)
    assert space.mutation == MutationSpec()


@pytest.mark.parametrize("name", names())
def test_shipped_spaces(name: str) -> None:
    space = load_space(name)
    assert space.name == name
    assert set(check_seeds(space)) == set(space.seeds)


@pytest.mark.long
@given(st.text(max_size=200), st.integers(0, len(SMALL)))
@settings(max_examples=300, deadline=2_000)
def test_any_damage_loads_or_is_refused(piece: str, at: int) -> None:
    for text in (SMALL[:at] + piece + SMALL[at:], SMALL[:at] + SMALL[at + len(piece) :]):
        try:
            space = parse_space(text)
        except SpaceError as error:
            assert str(error)
        else:
            assert parse_space(space.text) == space


@pytest.mark.long
@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=300, deadline=2_000)
def test_any_override_is_taken_or_refused(key: str, value: str) -> None:
    for change in (f"{key}={value}", f"budget.trials={value}", f"tasks.0.{key}={value}", key):
        try:
            parse_space(SMALL, overrides=[change])
        except SpaceError as error:
            assert str(error)


def test_texts_of_the_tree_and_the_space_agree() -> None:
    pairs = parse(load_space("quick").text).plain
    assert isinstance(pairs, dict)
    assert next(iter(pairs)) == "name"
    assert pairs["budget"] == {
        "trials": 40,
        "proposals": None,
        "patience": None,
        "stage_hours": 24.0,
        "memory_gb": 16.0,
        "cohort": None,
    }


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys, cellsearch.study.space.load as s; s.load_space('quick'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_baseline_that_is_not_printable_is_escaped() -> None:
    with pytest.raises(SpaceError) as error:
        parse_space(
            'seeds: [lstm, gru]\nbaseline: "gru\\u202e"\ntasks: [{name: text, options: {source: python-docs}}]\n'
        )
    assert str(error.value).replace("\n", "").isprintable()
    assert "the baseline 'gru\\u202e' is not among the seeds" in str(error.value)
