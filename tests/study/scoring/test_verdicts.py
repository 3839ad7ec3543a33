"""Verdicts on scripted repeats: what is called, how often wrongly, and with how many repeats rightly."""

from collections.abc import Sequence

import numpy as np
import pytest

from cellsearch.study.scoring import verdicts as judging
from cellsearch.study.scoring.sequential import LOOKS, levels
from cellsearch.study.scoring.verdicts import Call, Difference, difference, plan, planned, verdicts

TASKS = {"arithmetic": 0.56, "xml": 0.63, "text": 0.35}
SPREAD = 0.02  # of an accuracy, as measured of the GRU on small tasks


def rounds(
    rng: np.random.Generator,
    looks: int,
    better: Sequence[float] = (0.0, 0.0, 0.0),
    base: bool = False,
    data: Sequence[float] = (0.0,) * len(LOOKS),
) -> dict[str, list[list[float | None]]]:
    """Repeats of a cell that is better by these shares on the tasks; `data` makes a round better for all."""
    return {
        task: [
            list(mean * (1 + more + data[look]) * (1 + rng.normal(0, SPREAD, planned(look, base))))
            for look in range(looks)
        ]
        for (task, mean), more in zip(TASKS.items(), better, strict=True)
    }


def judged(better: Sequence[float], looks: int, seed: int = 1) -> judging.Verdict:
    rng = np.random.default_rng(seed)
    base = rounds(rng, looks, base=True)
    return verdicts({"a": rounds(rng, looks, better)}, base)["a"]


def test_a_cell_that_is_better_on_every_task_is_above() -> None:
    found = judged((0.08, 0.1, 0.12), 2)
    assert found.call == Call.ABOVE and 1 < found.low < found.ratio < found.high
    assert found.ratio == min(task.ratio for task in found.tasks) and found.more == 0


def test_a_cell_that_is_better_on_two_tasks_is_not() -> None:
    found = judged((0.1, 0.0, 0.1), 3)
    assert found.call == Call.LEVEL and found.low < 1 < found.high
    assert [task.ratio > 1.05 for task in found.tasks] == [True, False, True]


def test_a_cell_that_is_worse_on_one_task_is_below() -> None:
    found = judged((0.1, -0.1, 0.1), 2)
    assert found.call == Call.BELOW and found.high < 1


def test_a_decided_cell_keeps_the_look_that_decided() -> None:
    rng = np.random.default_rng(2)
    base = rounds(rng, 4, base=True)
    known = verdicts({"a": rounds(rng, 1, (0.3, 0.3, 0.3)), "b": rounds(rng, 4)}, base)
    assert known["a"].call == Call.ABOVE and known["a"].repeats == 4
    assert known["b"].call == Call.LEVEL and known["b"].repeats == 32


def test_a_round_that_is_not_whole_does_not_count() -> None:
    rng = np.random.default_rng(3)
    base, cell = rounds(rng, 2, base=True), rounds(rng, 2)
    cell["xml"][1].pop()
    assert verdicts({"a": cell}, base)["a"].repeats == 4
    cell["xml"] = []
    assert verdicts({"a": cell}, base) == {}
    assert verdicts({"a": rounds(rng, 1)}, {}) == {}


def test_what_the_data_do_to_both_drops_out() -> None:
    rng = np.random.default_rng(5)
    data = (0.5, -0.3, 0.2)
    base, cell = rounds(rng, 3, base=True, data=data), rounds(rng, 3, data=data)
    for task in TASKS:
        found = difference(cell[task], base[task], 3)
        assert abs(found.estimate) < 5 * found.error and found.error < SPREAD


def test_a_cell_that_diverges_is_never_above() -> None:
    rng = np.random.default_rng(6)
    base, cell = rounds(rng, 2, base=True), rounds(rng, 2, (0.1, 0.1, 0.1))
    assert verdicts({"a": cell}, base)["a"].call == Call.ABOVE
    cell["text"][0][2] = None
    found = verdicts({"a": cell}, base)["a"]
    assert (found.call, found.diverged, found.more) == (Call.LEVEL, 1, None)
    cell["text"] = [[None] * len(some) for some in cell["text"]]
    assert verdicts({"a": cell}, base)["a"].call == Call.BELOW


def test_equal_accuracies_without_any_spread_are_level() -> None:
    def flat(base: bool, value: float) -> dict[str, list[list[float | None]]]:
        return {task: [[value] * planned(look, base) for look in range(2)] for task in TASKS}

    found = verdicts({"a": flat(False, 1.0), "b": flat(False, 0.9)}, flat(True, 1.0))
    assert (found["a"].call, found["a"].ratio) == (Call.LEVEL, 1.0)
    assert found["b"].call == Call.BELOW


def test_the_part_of_a_decided_cell_goes_to_the_others() -> None:
    """Holm: with five cells a p value between the levels of a fifth and a quarter of the error is called only
    beside one that is called without it."""
    between = (levels(0.04 / 5)[1] + levels(0.04 / 4)[1]) / 2
    for first, expected in ((1.0, {}), (1e-9, {"a": Call.ABOVE, "b": Call.ABOVE})):
        calls: dict[str, Call] = {}
        judging._decide({"a": first, "b": between}, 5, calls, Call.ABOVE, 1, 0.04)
        assert calls == expected


@pytest.mark.long
def test_a_family_of_equal_cells_is_rarely_called() -> None:
    """150 boards, five cells each, all looks: 5% is at most 8; more than 16 come once in a thousand."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(150):
        base = rounds(rng, len(LOOKS), base=True)
        cells = {str(k): rounds(rng, len(LOOKS)) for k in range(5)}
        wrong += any(found.call != Call.LEVEL for found in verdicts(cells, base).values())
    assert wrong <= 16


def test_as_many_repeats_as_are_planned_show_three_per_cent() -> None:
    """60 boards: 48 are expected at least; fewer than 38 come once in a thousand."""
    rng = np.random.default_rng(8)
    looks = LOOKS.index(plan([(SPREAD, 1000)] * 3, 5) or 0) + 1
    right = 0
    for _ in range(60):
        base = rounds(rng, looks, base=True)
        cells = {str(k): rounds(rng, looks, (0.03,) * 3 if k == 0 else (0.0,) * 3) for k in range(5)}
        right += verdicts(cells, base)["0"].call == Call.ABOVE
    assert right >= 38


def test_plans_grow_with_noise_and_end() -> None:
    found = [plan([(spread, 14)] * 3, 5) for spread in (0.001, 0.01, 0.02, 0.04, 0.5)]
    assert found[0] == LOOKS[0] and found[-1] is None
    assert [n or 999 for n in found] == sorted(n or 999 for n in found)


def test_more_repeats_are_those_of_the_look_that_would_decide() -> None:
    def even(base: bool, better: float) -> dict[str, list[list[float | None]]]:
        signs = [1 if k % 2 else -1 for k in range(planned(0, base))]
        return {task: [[mean * (1 + better + SPREAD * s) for s in signs]] for task, mean in TASKS.items()}

    found = verdicts({"a": even(False, 0.02), "b": even(False, 0.0001)}, even(True, 0.0))
    assert found["a"].call == Call.LEVEL and found["a"].more in {n - LOOKS[0] for n in LOOKS[1:]}
    assert found["b"].more is None
    assert Difference(0.0, 0.0, 1.0, 0.0, 0.0).t == 0
