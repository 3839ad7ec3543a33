"""How long a search still takes, estimated from histories whose ends are known."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from cellsearch.study.leaderboard import eta
from cellsearch.study.leaderboard.eta import History, Tally, estimate
from cellsearch.study.space import Space, parse_space
from tests.study.scripted import TEXT, Scripted, new_study, one_of, searched, space_of

SEEDS, TASKS = ("lstm", "gru"), {"arithmetic": 60.0, "xml": 90.0, "ptb": 400.0}  # seconds of a stage


@dataclass(frozen=True, slots=True)
class World:
    """How a made-up search goes: how long items take, and how many proposals pass the filter."""

    trials: int
    workers: int
    parts: int = 6  # items of the baseline for each seed and task
    passing: float = 0.2
    noise: float = 0.4  # of the logarithm of what an item takes
    filter: float = 4.0
    refine: float = 0.5
    least: float = 0.9  # of the looks at which the truth is to lie in the estimate


def played(world: World, seed: int) -> Iterator[tuple[float, float, History]]:
    """After every item that ends: seconds so far, seconds that are left, the records by then."""
    rng = np.random.default_rng(seed)

    def takes(mean: float) -> float:
        return float(mean * rng.lognormal(0.0, world.noise))

    queue = [("baseline", (s, t), takes(TASKS[t])) for s in SEEDS for t in TASKS for _ in range(world.parts)]
    trials: list[tuple[str, tuple[str, str], float]] = []
    for _ in range(world.trials):
        if rng.random() < world.refine:
            trials.append(("refined", ("", ""), sum(takes(mean) for mean in TASKS.values())))
        elif rng.random() < world.passing:  # a third of those at each task
            count = 1 + int(rng.integers(3))
            trials.append(("passed", ("", ""), sum(takes(mean) for mean in list(TASKS.values())[:count])))
        else:
            trials.append(("stopped", ("", ""), takes(world.filter)))
    ends: list[tuple[float, int, str, tuple[str, str], float]] = []
    at = 0.0
    for jobs in (queue, trials):  # nobody is judged before the baseline is done
        free = [at] * world.workers
        for k, (kind, key, seconds) in enumerate(jobs):
            start = heapq.heappop(free)
            ends.append((start + seconds, k, kind, key, seconds))
            heapq.heappush(free, start + seconds)
        at = max(end for end, *_ in ends)
    starts = sorted((end - seconds, kind) for end, _, kind, _, seconds in ends)
    left = {(s, t): world.parts for s in SEEDS for t in TASKS}
    tallies: dict[str, Tally] = {"stopped": Tally(), "passed": Tally(), "refined": Tally()}
    baseline = dict.fromkeys(left, Tally())
    for end, _, kind, key, seconds in sorted(ends):
        one = Tally(1, seconds, seconds**2)
        if kind == "baseline":
            baseline[key] += one
            left[key] -= 1
        else:
            tallies[kind] += one
        begun = dict.fromkeys(("baseline", "refine", "propose"), 0)
        for start, kind_ in starts:
            if start <= end:
                begun[{"baseline": kind_, "refined": "refine"}.get(kind_, "propose")] += 1
        begun["baseline"] -= sum(t.count for t in baseline.values())
        begun["refine"] -= tallies["refined"].count
        begun["propose"] -= tallies["stopped"].count + tallies["passed"].count
        yield end, at - end, History(dict(baseline), dict(left), begun, **tallies)


def space(world: World) -> Space:
    """Its sizes tell roughly how much more the third task takes than the others."""
    found = parse_space(
        TEXT.replace("  - {name: xml}", "  - {name: xml}\n  - {name: ptb, parameters: [600]}")
    )
    return replace(found, strategy=replace(found.strategy, refine=world.refine))


WORLDS = (
    World(60, 1), World(60, 4), World(200, 8, passing=0.1, least=0.85), World(40, 2, refine=0.0, passing=0.05, least=0.75),
    World(40, 2, passing=0.9), World(100, 3, noise=1.0, least=0.65),
)  # fmt: skip


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_the_truth_lies_within_the_estimate_nearly_always(world: World) -> None:
    """Over ten histories. In the fourth a few proposals that pass decide how long it takes, and in the last one
    item in a hundred takes ten times as long as most. Else the middle of the range is off by little."""
    inside, off, its = [], [], space(world)
    for seed in range(10):
        for _, left, known in played(world, seed):
            found = estimate(known, world.trials, world.workers, its)
            assert found is not None
            low, high = found
            assert 0 <= low <= high
            if left < 30.0:  # of hours
                continue
            inside.append(0.9 * low <= left <= 1.1 * high)
            if world.trials / 10 <= known.trials <= 0.9 * world.trials:
                off.append(abs((low + high) / 2 / left - 1))
    assert sum(inside) / len(inside) > world.least
    assert median(off) < 0.35 or world.refine == 0


def test_it_is_better_than_taking_all_items_for_alike() -> None:
    """What was done before: during the baseline a trial counts as much as a part of the baseline."""
    world = World(200, 4, passing=0.1, refine=0.1)
    ours, plain, its = [], [], space(world)
    for seed in range(5):
        for _, left, known in played(world, seed):
            if known.trials or left < 60:
                continue
            found = estimate(known, world.trials, world.workers, its)
            assert found is not None
            ended = sum(t.count for t in known.baseline.values())
            per_item = sum(t.seconds for t in known.baseline.values()) / ended / world.workers
            naive = per_item * (sum(known.left.values()) + world.trials)
            ours.append(abs(np.log((found[0] + found[1]) / 2 / left)))
            plain.append(abs(np.log(naive / left)))
    assert median(ours) < 0.7 * median(plain)


def test_nothing_is_said_before_anything_has_ended_and_zero_at_the_end() -> None:
    key = ("gru", "xml")
    assert estimate(History({key: Tally()}, {key: 4}), 10, 2, space_of()) is None
    done = History({key: Tally(4, 40.0, 400.0)}, {key: 0}, refined=Tally(10, 100.0, 1000.0))
    assert estimate(done, 10, 2, space_of()) == (0.0, 0.0)
    assert estimate(done, 5, 2, space_of()) == (0.0, 0.0)


def test_twice_the_workers_take_half_as_long_but_for_the_last_items() -> None:
    key = ("gru", "xml")
    known = History({key: Tally(8, 80.0, 800.0)}, {key: 0}, refined=Tally(10, 100.0, 1000.0))
    one, two, many = (estimate(known, 1010, n, space_of()) for n in (1, 2, 1000))
    assert one is not None and two is not None and many is not None
    assert one[1] / 2 < two[1] < 0.6 * one[1]
    assert 5 <= many[1] < 60  # no less than half an item


def test_a_filter_that_nobody_passed_yet_does_not_mean_that_nobody_will() -> None:
    baseline = {(s, t): Tally(6, 6 * m, 6 * m * m) for s in SEEDS for t, m in TASKS.items()}
    left = dict.fromkeys(baseline, 0)
    only = space(World(1, 1, refine=0.0))
    few, many = (
        estimate(History(baseline, left, stopped=Tally(n, 4.0 * n, 16.0 * n)), n + 100, 1, only)
        for n in (3, 300)
    )
    assert few is not None and many is not None
    assert few[0] <= 400 <= few[1]  # all of the hundred stopped by the filter
    assert few[1] > 10 * 385  # a tenth of them get through
    assert many[1] < few[1] / 4


def test_tasks_that_were_dropped_take_no_time() -> None:
    baseline = {("gru", t): Tally(6, 6 * m, 6 * m * m) for t, m in TASKS.items()}
    known = History(baseline, dict.fromkeys(baseline, 0))
    every = estimate(known, 50, 1, space_of())
    less = estimate(replace(known, kept=frozenset({"arithmetic"})), 50, 1, space_of())
    assert every is not None and less is not None
    assert less[1] < every[1] / 5


@pytest.mark.long
def test_the_history_of_a_study_is_what_its_items_took(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    begun = eta.history(new_study(tmp_path / "new", space_of()), space_of(), ())
    assert (
        len(begun.baseline) == 4 and sum(begun.left.values()) == 12
    )  # two seeds, two tasks, 12 settings by fours
    assert estimate(begun, 12, 2, space_of()) is None
    store = searched(tmp_path / "done", Scripted(), space_of(), one_of(9))
    known = eta.history(store, space_of(), ("arithmetic",))
    assert sum(known.left.values()) == 0
    assert sum(tally.count for tally in known.baseline.values()) == 12
    assert not any(known.begun.values())
    assert known.trials == 12
    assert known.kept == {"arithmetic"}
    assert min(known.refined.count, known.passed.count, known.stopped.count) > 0
    assert estimate(known, 12, 2, space_of()) == (0.0, 0.0)
    further = estimate(known, 24, 2, space_of())
    assert further is not None and further[1] > 0
