"""The search of Jozefowicz, Zaremba and Sutskever (2015) rule by rule, as `jozefowicz2015.yaml` runs it.

`RULES` goes through the paper's sections 3.1 to 3.7 and names the tests of each rule. Those that are here
read the records of a search of that very space, with its lists, grids and numbers of settings, in a
laboratory that looks results up; a rule that has a test of its own elsewhere is named and not tested twice.
"""

import ast
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, select

from cellsearch.dsl import zoo
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.study.leaderboard import board
from cellsearch.study.mutation.paper import PAPER
from cellsearch.study.mutation.table import MUTATIONS
from cellsearch.study.space import grids, load_space
from cellsearch.study.storage.create import create
from cellsearch.study.tables import cellrecords, records, schema, transactions
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.evaluator import real_propose
from cellsearch.study.workers.run import seeds_of
from cellsearch.train.settings import Setting, Training, keys
from tests.study.scripted import DIGESTS, Scripted, uniform, work

pytestmark = pytest.mark.long

TESTS = Path(__file__).parents[1]
HERE = "study/test_rules"
WORKER, RANKING = "study/workers/test_worker", "study/scoring/test_ranking"
MUTATE, EDITS = "study/mutation/test_mutate", "study/mutation/test_paper"

# section of the paper, rule, file of tests, test
# fmt: off
RULES = [
    ("3.1", "a list of the 100 best",                           HERE, "test_the_list_holds_the_hundred_best"),
    ("3.1", "parents and what is refined come from the list",   WORKER, "test_the_list_is_what_parents_come_from"),
    ("3.1", "quality is that of the best setting so far",       HERE, "test_scores_are_equation_one"),
    ("3.1", "the list begins with LSTM and GRU alone",          HERE, "test_it_begins_with_lstm_and_gru_on_every_setting"),
    ("3.1", "they run on every allowed setting, first",         WORKER, "test_the_seeds_run_on_the_whole_grid_before_anything_else"),
    ("3.1", "refine: 20 settings for each of the tasks",        HERE, "test_a_refinement_runs_twenty_fresh_settings_on_each_of_three_tasks"),
    ("3.1", "the 20 of each task are independent",              HERE, "test_the_twenty_of_a_task_are_its_own"),
    ("3.1", "no setting is run twice",                          WORKER, "test_no_cell_runs_a_setting_twice_even_when_all_is_run"),
    ("3.1", "score: least ratio to the GRU's best accuracy",    RANKING, "test_scores_are_those_of_the_paper"),
    ("3.1", "propose: the memorisation filter, one setting",    HERE, "test_the_filter_is_one_setting_and_ninety_five_per_cent"),
    ("3.1", "5 symbols of 26, reproduced in order",             "tasks/test_memorize", "test_every_example_is_read_and_then_reproduced"),
    ("3.1", "exactly 95% passes",                               WORKER, "test_exactly_the_asked_accuracy_passes_the_filter"),
    ("3.1", "a discarded cell may come again, settings fresh",  WORKER, "test_a_discarded_cell_may_come_again_but_with_another_setting"),
    ("3.1", "then 20 settings of a task, on above 90%",         HERE, "test_each_task_comes_after_more_than_nine_tenths_of_the_gru"),
    ("3.1", "exactly 90% does not pass",                        WORKER, "test_stages_follow_only_above_nine_tenths_of_the_unit"),
    ("3.1", "who passed memorisation skips it later",           WORKER, "test_a_cell_that_passed_skips_the_filter_when_it_comes_again"),
    ("3.1", "what is not listed keeps its evaluated settings",  WORKER, "test_no_cell_runs_a_setting_twice_even_when_all_is_run"),
    ("3.1", "refine or propose: not said how often",            "study/strategies/test_strategies", "test_refining_comes_as_often_as_the_space_says"),
    ("3.1", "duplicates: not said",                             "study/tables/test_equivalents", "test_one_of_a_group_is_trained_and_none_of_its_settings_twice"),
    ("3.2", "six transformations",                              EDITS, "test_the_table_has_the_six_transformations_of_the_paper"),
    ("3.2", "their vocabulary, and even odds",                  HERE, "test_mutations_have_the_vocabulary_of_the_paper"),
    ("3.2", "each node with probability p",                     MUTATE, "test_strength_is_the_probability_of_each_node"),
    ("3.2", "p is uniform",                                     MUTATE, "test_strength_is_drawn_uniformly"),
    ("3.2", "or one to three transformations",                  MUTATE, "test_the_number_of_edits_is_uniform"),
    ("3.2", "1: another activation",                            EDITS, "test_swap_activation_gives_each_other_one_alike"),
    ("3.2", "1: Linear(a) brings a matrix, a on its diagonal",  EDITS, "test_templates_are_rows_of_the_op_table_or_linear"),
    ("3.2", "2: another elementwise operation",                 EDITS, "test_swap_operation_gives_a_different_one"),
    ("3.2", "3: insert an activation before a node",            EDITS, "test_insert_activation_comes_between_a_node_and_one_of_its_parents"),
    ("3.2", "4: remove a node with one input and one output",   EDITS, "test_remove_node_applies_to_one_input_and_one_output"),
    ("3.2", "5: an ancestor in its place",                      EDITS, "test_use_ancestor_takes_any_ancestor"),
    ("3.2", "6: two ancestors joined in its place",             EDITS, "test_combine_ancestors_takes_any_two_and_any_operation"),
    ("3.2", "again until a mutant is accepted",                 MUTATE, "test_each_condition_refuses_what_it_names"),
    ("3.3", "above 420: 80% from the parent's best 100",        HERE, "test_of_a_well_known_parent_sixteen_settings_are_of_its_best_hundred"),
    ("3.3", "else thirds: seeds' best 100, parent's, random",   HERE, "test_else_a_third_is_of_the_seeds_best_and_a_third_of_what_the_parent_tried"),
    ("3.3", "the rest is random",                               HERE, "test_the_rest_is_from_the_whole_grid"),
    ("3.3", "exactly 420 is not more than 420",                 "study/strategies/test_strategies", "test_else_a_third_comes_from_the_seeds_and_a_third_from_what_the_parent_tried"),
    ("3.4", "10,000 cells; the filter's runs count",            HERE, "test_settings_are_counted_with_those_of_the_filter"),
    ("3.5", "arithmetic: 40 symbols",                           "tasks/test_arithmetic", "test_the_symbols_are_the_forty_of_the_paper"),
    ("3.5", "arithmetic: up to 8 digits, distractors",          "tasks/test_arithmetic", "test_examples_keep_to_the_options"),
    ("3.5", "XML: closing with even odds or after 50",          "tasks/test_xml", "test_the_loop_has_the_probabilities_of_the_paper"),
    ("3.5", "PTB: 10,000 words",                                "tasks/test_ptb", "test_the_real_one_has_the_published_counts"),
    ("3.6", "halved after 3 stale epochs, 4 times, then ends",  "train/test_schedule", "test_three_stale_epochs_then_four_halvings_then_stop"),
    ("3.6", "with these numbers, on every task",                HERE, "test_training_is_that_of_the_paper"),
    ("3.7", "the grid: 840 settings for each size",             HERE, "test_grids_are_those_of_the_paper"),
    ("3.7", "first weights within s / sqrt(units)",             "train/test_model", "test_first_values_lie_within_their_bound_and_biases_at_what_the_cell_says"),
    ("3.7", "the width follows from the number of parameters",  "train/test_cost", "test_width_is_the_largest_that_fits"),
    ("3.7", "the gradient is divided by the minibatch",         "train/test_model", "test_loss_and_gradient_agree_with_autograd"),
]
# fmt: on


@pytest.mark.parametrize(("section", "rule", "file", "test"), RULES, ids=lambda value: str(value)[:50])
def test_each_rule_has_a_test(section: str, rule: str, file: str, test: str) -> None:
    tree = ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8"))
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, rule
    assert section <= "3.7"


SPACE = load_space("jozefowicz2015")
TASKS = ("arithmetic", "xml", "ptb")
SEEDS = {name: fingerprint(zoo.load(name)) for name in ("lstm", "gru")}
GRU = SEEDS["gru"]
TRIALS = 90


def places(task: str) -> Mapping[str, int]:
    """The key of each setting of a stage, and its place in the grid."""
    return keys(grids(SPACE)[task])


def accuracy(mark: str, task: str, setting: int) -> float | None:
    """A tenth diverges, two thirds pass the filter, three quarters a task."""
    if uniform("diverged", mark, task, setting) < 0.1:
        return None
    if task == "filter":
        return 0.96 if uniform(mark, task, setting) < 0.7 else 0.94
    quality = 0.9 if mark in SEEDS.values() else 0.75 + 0.25 * uniform(mark, task)
    return quality * (0.6 + 0.4 * uniform(mark, task, setting))


@dataclass
class Trial:
    """A proposal or refinement, with what was known when it was decided."""

    row: Any
    chosen: dict[str, list[int]]  # stage -> settings, in the order in which they were drawn
    before: dict[tuple[str, str], dict[int, float | None]]  # of cell and stage; trials that had ended


@dataclass
class Ran:
    """A search that has ended."""

    store: Store
    lab: Scripted
    trials: list[Trial] = field(default_factory=list)

    @property
    def units(self) -> dict[str, float]:
        return records.facts(self.store).units


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The space of the paper with a few trials."""
    folder = tmp_path_factory.mktemp("rules")
    data = dict.fromkeys(("filter", *TASKS), "d" * 64)
    lab = Scripted(accuracy, dict.fromkeys(TASKS, 0.1), data, places=places)
    url = URL.create("sqlite", database=str(folder / "study.db")).render_as_string()
    identity = Identity(SPACE.text, 6, DIGESTS | data)
    pieces = replace(SPACE, strategy=replace(SPACE.strategy, settings=840))  # large ones, which is quicker
    store = create(url, "s", pieces, identity, "test", Target(TRIALS), seeds_of(SPACE))
    work(store, SPACE, lab, real_propose(SPACE))
    found = Ran(store, lab)
    items, claims = schema.items, schema.claims
    with transactions.reading(store.engine, store.url) as connection:
        rows = connection.execute(select(items).order_by(items.c.trial, items.c.piece)).all()
        claimed = connection.execute(select(claims).order_by(claims.c.place)).all()
    chosen: dict[tuple[int, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for claim in claimed:
        chosen[claim.trial, claim.piece][claim.task].append(places(claim.task)[claim.setting])
    known: dict[tuple[str, str], dict[int, float | None]] = defaultdict(dict)
    for row in rows:
        mine = chosen[row.trial, row.piece]
        if row.kind in ("propose", "refine"):
            before = {key: dict(results) for key, results in known.items()}
            found.trials.append(Trial(row, dict(mine), before))
        for task, settings in mine.items():
            known[row.fingerprint, task].update({s: accuracy(row.fingerprint, task, s) for s in settings})
    return found


def best(results: dict[int, float | None]) -> float:
    return max(a for a in results.values() if a is not None)


def hundred(*results: dict[int, float | None]) -> set[int]:
    """The settings of the 100 best of all of these, each once."""
    pairs = [(a, s) for one in results for s, a in one.items() if a is not None]
    return set(list(dict.fromkeys(s for _, s in sorted(pairs, reverse=True)))[:100])


def test_it_begins_with_lstm_and_gru_on_every_setting(ran: Ran) -> None:
    assert SPACE.seeds == ("lstm", "gru")
    assert {cell.name for cell in cellrecords.recorded_cells(ran.store, seeds=True)} == set(SPACE.seeds)
    whole = {
        (mark, task.name, s) for mark in SEEDS.values() for task in SPACE.tasks for s in range(len(task.grid))
    }
    assert len(whole) == 2 * (1680 + 1680 + 840)
    assert set(ran.lab.runs[: len(whole)]) == whole
    assert len(set(ran.lab.runs)) == len(ran.lab.runs)  # and nothing twice


def test_the_list_holds_the_hundred_best() -> None:
    assert SPACE.strategy.name == "jozefowicz2015"
    assert SPACE.strategy.list == 100
    assert (SPACE.strategy.rank, SPACE.strategy.sampler) == ("score", "chance")


def test_scores_are_equation_one(ran: Ran) -> None:
    rows = [row for row in board.leaderboard(ran.store, SPACE) if row.rank is not None]
    assert len(rows) > 10
    last = ran.trials[-1]
    for row in rows:
        ratios = []
        for task in TASKS:
            mine = dict(last.before[row.fingerprint, task])
            if last.row.fingerprint == row.fingerprint:
                mine |= {s: accuracy(row.fingerprint, task, s) for s in last.chosen.get(task, ())}
            ratios.append(best(mine) / best(last.before[GRU, task]))
        assert row.score == min(ratios)
    assert {row.score for row in rows if row.name == "gru"} == {1.0}


def test_a_refinement_runs_twenty_fresh_settings_on_each_of_three_tasks(ran: Ran) -> None:
    refined = [trial for trial in ran.trials if trial.row.kind == "refine"]
    assert len(refined) > 15
    for trial in refined:
        assert {task: len(settings) for task, settings in trial.chosen.items()} == dict.fromkeys(TASKS, 20)
        for task in TASKS:
            assert not set(trial.chosen[task]) & set(trial.before[trial.row.fingerprint, task])


def test_the_twenty_of_a_task_are_its_own(ran: Ran) -> None:
    for trial in ran.trials:
        if set(TASKS) <= set(trial.chosen):
            assert len({frozenset(trial.chosen[task]) for task in TASKS}) == 3


def test_the_filter_is_one_setting_and_ninety_five_per_cent(ran: Ran) -> None:
    assert SPACE.filter is not None
    assert (SPACE.filter.task, SPACE.filter.grid.parameters) == ("memorize", (25_000,))
    assert (SPACE.filter.options["symbols"], SPACE.filter.options["alphabet"]) == (5, 26)
    proposed = [trial for trial in ran.trials if trial.row.kind == "propose" and "filter" in trial.chosen]
    passed = 0
    for trial in proposed:
        (setting,) = trial.chosen["filter"]
        reached = accuracy(trial.row.fingerprint, "filter", setting)
        passed += reached is not None and reached >= 0.95
        assert (reached is not None and reached >= 0.95) == (set(trial.chosen) > {"filter"})
    assert 10 < passed < len(proposed) - 5


def test_each_task_comes_after_more_than_nine_tenths_of_the_gru(ran: Ran) -> None:
    ends = set()
    for trial in ran.trials:
        if trial.row.kind != "propose" or "arithmetic" not in trial.chosen:
            continue
        stages = [task for task in TASKS if task in trial.chosen]
        assert stages == list(TASKS[: len(stages)])
        assert all(len(trial.chosen[task]) == 20 for task in stages)
        good = []
        for task in stages:
            results = dict(trial.before.get((trial.row.fingerprint, task), {}))
            results |= {s: accuracy(trial.row.fingerprint, task, s) for s in trial.chosen[task]}
            good.append(best(results) > 0.9 * ran.units[task])
        assert all(good[:-1])
        assert good[-1] == (trial.row.outcome == "ranked")
        assert good[-1] <= (len(stages) == 3)
        ends.add((len(stages), trial.row.outcome))
    assert ends >= {(1, "filtered"), (2, "filtered"), (3, "ranked")}


def test_mutations_have_the_vocabulary_of_the_paper() -> None:
    mutation = SPACE.mutation
    assert len(PAPER) == 6
    assert mutation.weights == {m.name: float(m in PAPER) for m in MUTATIONS}
    assert set(mutation.activations) == {
        "tanh", "sigmoid", "relu", "linear(0)", "linear(1)", "linear(0.9)", "linear(1.1)",
    }  # fmt: skip
    assert set(mutation.operations) == {"mul", "add", "sub"}
    assert (mutation.size, mutation.edits) == ("strength", (1, 3))


def children(ran: Ran) -> list[tuple[Trial, str, bool]]:
    """The tasks of proposals, and whether their parent was tried on more than 420 settings."""
    return [
        (trial, task, len(trial.before[trial.row.parent, task]) > 420)
        for trial in ran.trials
        for task in TASKS
        if trial.row.kind == "propose" and task in trial.chosen
    ]


def test_of_a_well_known_parent_sixteen_settings_are_of_its_best_hundred(ran: Ran) -> None:
    found = [(trial, task) for trial, task, well in children(ran) if well]
    assert len(found) > 10
    for trial, task in found:
        best_of_parent = hundred(trial.before[trial.row.parent, task])
        assert len(best_of_parent) == 100
        assert set(trial.chosen[task][:16]) <= best_of_parent


def test_else_a_third_is_of_the_seeds_best_and_a_third_of_what_the_parent_tried(ran: Ran) -> None:
    found = [(trial, task) for trial, task, well in children(ran) if not well]
    assert len(found) > 10
    for trial, task in found:
        of_seeds = hundred(*(trial.before[mark, task] for mark in SEEDS.values()))
        assert len(of_seeds) == 100
        assert set(trial.chosen[task][:6]) <= of_seeds
        assert set(trial.chosen[task][6:12]) <= set(trial.before[trial.row.parent, task])


def test_the_rest_is_from_the_whole_grid(ran: Ran) -> None:
    sizes = {task.name: len(task.grid) for task in SPACE.tasks}
    places = [
        setting / sizes[task]
        for trial, task, well in children(ran)
        for setting in trial.chosen[task][16 if well else 12 :]
    ]
    assert len(places) > 150
    tenths = [sum(k <= 10 * place < k + 1 for place in places) / len(places) for k in range(10)]
    assert all(0.03 < share < 0.2 for share in tenths)


def test_settings_are_counted_with_those_of_the_filter(ran: Ran) -> None:
    assert (SPACE.budget.proposals, SPACE.budget.trials) == (10_000, None)
    counts = board.status(ran.store, SPACE).counts
    assert counts.trials == TRIALS == counts.proposals + counts.refinements
    assert counts.settings == len(ran.lab.runs)
    assert sum(task == "filter" for _, task, _ in ran.lab.runs) > 20
    diverged = sum(accuracy(*run) is None for run in ran.lab.runs)
    assert counts.diverged == diverged


def test_training_is_that_of_the_paper() -> None:
    paper = Training(batch=20, steps=35, patience=3, halvings=4, factor=0.5, max_epochs=None)
    assert [task.training for task in SPACE.tasks] == [paper] * 3
    assert SPACE.filter is not None
    assert SPACE.filter.training == replace(paper, gradient="mean", halvings=10, max_epochs=200)
    assert SPACE.training.rungs == ()  # every setting to its end


def test_grids_are_those_of_the_paper() -> None:
    grid = SPACE.tasks[0].grid
    assert grid.init_scale == (0.3, 0.7, 1, 1.4, 2, 2.8)
    assert grid.learning_rate == (0.1, 0.2, 0.3, 0.5, 1, 2, 5)
    assert grid.max_norm == (1, 2.5, 5, 10, 20)
    assert grid.layers == (1, 2, 3, 4)
    sizes = {task.name: task.grid.parameters for task in SPACE.tasks}
    assert sizes == {"arithmetic": (250_000, 1_000_000), "xml": (250_000, 1_000_000), "ptb": (5_000_000,)}
    assert [len(task.grid) for task in SPACE.tasks] == [1680, 1680, 840]
    every = {grid[k] for k in range(len(grid))}
    assert len(every) == 1680
    assert Setting(2.8, 0.1, 20, 3, 250_000) in every


def test_a_child_is_recorded_with_the_p_that_was_drawn(ran: Ran) -> None:
    cells = [cell for cell in cellrecords.recorded_cells(ran.store) if not cell.seed]
    drawn = [float(json.loads(cell.edits)[0]["detail"]) for cell in cells]
    assert all(0 <= p <= 1 for p in drawn)
    assert min(drawn) < 0.3 < 0.6 < max(drawn)
