"""Scores and their order, against the paper's table and against brute force."""

from hypothesis import given
from hypothesis import strategies as st

from cellsearch.study.scoring import ranking
from cellsearch.study.scoring.ranking import Best, Origin, Stage
from tests.study.scripted import KEYS

GRU = {"arithmetic": 0.89565, "xml": 0.45963, "ptb": 0.09069}
TABLE = {  # Jozefowicz et al. 2015, table 1, and equation (1) recomputed
    "tanh": ((0.29493, 0.32050, 0.08782), 0.3293),
    "lstm": ((0.89228, 0.42470, 0.08912), 0.9240),
    "lstm-b": ((0.90163, 0.44434, 0.08952), 0.9667),
    "mut1": ((0.92135, 0.47483, 0.08968), 0.9889),
    "mut2": ((0.89735, 0.47324, 0.09036), 0.9964),
    "mut3": ((0.90728, 0.46478, 0.09161), 1.0101),
}


def found(accuracies: tuple[float, ...], parameters: int = 100) -> dict[str, Best]:
    return {
        task: Best(20, 20, a, 1.0, KEYS[0], parameters, 8) for task, a in zip(GRU, accuracies, strict=True)
    }


def test_scores_are_those_of_the_paper() -> None:
    for accuracies, expected in TABLE.values():
        score = ranking.score(found(accuracies), GRU)
        assert score is not None
        assert abs(score - expected) < 6e-5


def test_the_list_is_in_the_order_of_the_paper_without_what_failed_a_stage() -> None:
    cells = {name: found(accuracies) for name, (accuracies, _) in TABLE.items()}
    origins = {name: Origin(trial, False) for trial, name in enumerate(cells)}
    order = [standing.fingerprint for standing in ranking.ranked(cells, origins, GRU, 0.9)]
    assert order == ["mut3", "mut2", "mut1", "lstm-b", "lstm"]
    assert ranking.stand("tanh", cells["tanh"], origins["tanh"], GRU, 0.9).place == "arithmetic"


def test_a_seed_is_listed_whatever_its_score() -> None:
    standing = ranking.stand("tanh", found(TABLE["tanh"][0]), Origin(0, True), GRU, 0.9)
    assert standing.place == ""


def test_a_cell_without_an_accuracy_on_a_task_is_not_ranked() -> None:
    cell = found((0.9, 0.46, 0.09)) | {"ptb": Best(20, 0)}
    for seed in (False, True):
        assert ranking.stand("x", cell, Origin(0, seed), GRU, 0.9).place == "ptb"
    assert ranking.score(cell, GRU) is not None


def test_ties_go_to_fewer_parameters_then_to_the_earlier_cell() -> None:
    same = (0.9, 0.46, 0.09)
    cells = {"late": found(same), "early": found(same), "small": found(same, 90)}
    origins = {"late": Origin(9, False), "early": Origin(2, False), "small": Origin(30, False)}
    order = [standing.fingerprint for standing in ranking.ranked(cells, origins, GRU, 0.9)]
    assert order == ["small", "early", "late"]


def test_nothing_is_ranked_before_the_units_are_settled() -> None:
    assert ranking.ranked({"x": found((0.9, 0.4, 0.1))}, {"x": Origin(0, True)}, {}, 0.9) == []


def test_live_units_never_fall() -> None:
    baseline = {"arithmetic": Best(1, 1, 0.95), "xml": Best(1, 1, 0.1)}
    assert ranking.live_units(GRU, baseline) == GRU | {"arithmetic": 0.95}


accuracies = st.none() | st.sampled_from([0.1, 0.2, 0.3])
records = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), accuracies, st.integers(0, 5)))


@given(records)
def test_bests_are_the_best_of_all_stages_in_any_order(
    rows: list[tuple[str, str, float | None, int]],
) -> None:
    stages = [
        Stage(trial, 0, task, cell, 2, a is not None, a, a, None if a is None else KEYS[setting], None, None)
        for trial, (cell, task, a, setting) in enumerate(rows)
    ]
    both = ranking.bests(stages)
    assert both == ranking.bests(reversed(stages))
    for cell in "ab":
        for task in "xy":
            mine = [s for s in stages if (s.fingerprint, s.task) == (cell, task)]
            if not mine:
                assert task not in both.get(cell, {})
                continue
            best = both[cell][task]
            trained = [(-s.accuracy, s.trial, s.setting) for s in mine if s.accuracy is not None]
            assert best.settings == 2 * len(mine)
            assert best.trained == len(trained)
            assert (best.accuracy, best.setting) == (
                (-min(trained)[0], min(trained)[2]) if trained else (None, None)
            )
