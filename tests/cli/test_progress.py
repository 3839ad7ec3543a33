"""What a running search shows: the screen of a terminal, the lines of a log, and how it says good-bye."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Group

from cellsearch.cli.actions.search import _ending
from cellsearch.cli.actions.watcher import Watcher
from cellsearch.cli.terminal import open_terminal
from cellsearch.report import formatting
from cellsearch.report.searches import progress as report
from cellsearch.study.leaderboard.board import Row, TaskResult
from cellsearch.study.leaderboard.progress import Progress
from cellsearch.study.manage import commands
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.study_facts import Target

COUNTS = Counts(
    seeds=2, told=2, pieces=8, baseline=8, trials=12, running=2, free=0, proposals=9, refinements=3, undecided=0,
    ranked=4, filtered=7, failed=1, settings=120, diverged=3, seconds=200.0,
)  # fmt: skip


def row(name: str, rank: int | None, score: float | None, seed: bool = False) -> Row:
    tasks = tuple(
        TaskResult(task, score, 0.5, 1.0, "learning_rate=0.5", 9_000, 20, 6, True)
        for task in ("arithmetic", "xml")
    )
    text = f"cell {name}(x; h)\nh' = tanh[x, h]\n"
    return Row(rank, name, "f" * 64, score, tasks, 9_000, 12, "seed" if seed else "ranked", "", 0, text)


def progress(**changes: Any) -> Progress:
    p = Progress(
        name="quick", workers=(("host:1", "trial 13: new cell m13 on xml: epoch 3, 3 of 3 settings"), ("host:2", "")),
        counts=COUNTS, target=Target(30), best=row("m7", 1, 1.042), seeds=(row("gru", 2, 1.0, True), row("lstm", 3, 0.98, True)),
        dropped=(), messages=(), elapsed=65.0, spent=70.0, per_hour=410.0, left=(170.0, 320.0),
    )  # fmt: skip
    return replace(p, **changes)


def test_the_screen_shows_what_a_watcher_asks_for() -> None:
    lines = [line.plain for line in report.screen(progress(), 80, 24, 46.0)]
    shown = "\n".join(lines)
    assert lines[0] == "quick  12 of 30 trials  1:10, about 3 to 5 min left"
    assert lines[1].count("━") == 32 and len(lines[1]) == 80
    assert [line.split()[1] for line in lines if line[:1].isdigit()][:3] == ["m7", "gru", "lstm"]
    assert "m7: h' = tanh[x, h]" in shown
    assert "worker 1  trial 13: new cell m13 on xml" in shown and "worker 2  starting" in shown
    assert (
        "9 proposals, 3 refinements; 4 ranked, 7 filtered, 1 failed; 120 settings trained, 3 diverged; "
        "46 settings/min, 6.8 trials/min" in " ".join(lines)
    )


@pytest.mark.parametrize(
    ("target", "said", "filled"),
    [
        (Target(None, 15), "9 of 15 proposals", 48),
        (Target(30, 15), "12 of 30 trials, 9 of 15 proposals", 48),  # the bar is that of the nearer one
        (Target(14, 90), "12 of 14 trials, 9 of 90 proposals", 68),
        (Target(12, 0), "12 of 12 trials, 9 of 0 proposals", 80),
    ],
)
def test_both_targets_are_shown(target: Target, said: str, filled: int) -> None:
    lines = [line.plain for line in report.screen(progress(target=target), 80, 24, None)]
    assert lines[0].startswith(f"quick  {said}  1:10")
    assert lines[1].count("━") == filled
    assert report.line(progress(target=target), None).startswith(f"   1:10  {said}; m7")


def test_during_the_baseline_its_parts_are_counted() -> None:
    p = progress(counts=replace(COUNTS, told=0, baseline=3, trials=0), best=None, per_hour=None, left=None)
    lines = [line.plain for line in report.screen(p, 80, 24, None)]
    assert lines[0] == "quick  baseline: 0 of 2 seeds, 3 of 8 parts  1:10"
    assert lines[1].count("━") == 30
    assert "ranked" in "".join(lines)
    fresh = report.screen(
        progress(counts=Counts(2, 0, 8, *[0] * 14), best=None, seeds=(), per_hour=None), 80, 24, None
    )
    assert fresh[-1].plain == "0 settings trained"


@pytest.mark.parametrize("width", [1, 10, 40, 80, 200])
@pytest.mark.parametrize("height", [1, 10, 24, 64])
def test_the_screen_fits_any_terminal(width: int, height: int) -> None:
    many = tuple((f"host{k % 3}:{k}", f"trial {k}: more settings of m{k}") for k in range(40))
    lines = report.screen(
        progress(workers=many, dropped=("xml: no use",) * 2, messages=("a",) * 9), width, height, 9.5
    )
    if width >= 40:
        assert all(line.cell_len <= width for line in lines)
        assert len(lines) <= max(height, 24)
        assert any(line.plain.startswith("and ") for line in lines) == (height < 64)


def test_names_of_others_are_no_markup_and_no_escapes() -> None:
    p = progress(
        workers=(("[red]host\x1b[31m:1", "[bold]x\x1b]0;t\x07"),),
        messages=("[link=x]\x1b[2J",),
        dropped=("\x00",),
    )
    shown = "\n".join(line.plain for line in report.screen(p, 200, 40, None))
    assert "[bold]x\\x1b]0;t\\x07" in shown and "[link=x]\\x1b[2J" in shown and "\x1b" not in shown


def test_the_best_mutant_is_shown_by_its_difference_from_its_parent() -> None:
    best = replace(row("m7", 1, 1.042), parent_name="gru", changes=("n: tanh -> relu", "without rh"))
    shown = [line.plain for line in report.screen(progress(best=best), 80, 24, None)]
    assert "m7: gru with n: tanh -> relu; without rh" in shown


def test_a_clock_that_has_no_room_gets_a_line_of_its_own() -> None:
    lines = [line.plain for line in report.screen(progress(), 40, 24, None)]
    assert lines[:2] == ["quick  12 of 30 trials", "1:10, about 3 to 5 min left"]


def test_the_clock_goes_on_between_looks_and_from_earlier_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr("cellsearch.cli.actions.watcher.time.monotonic", lambda: now[0])
    watcher = Watcher(open_terminal(), "quick")
    now[0] += 12
    assert str(watcher._shown()) == "quick: preparing the data  0:12"
    watcher(progress(elapsed=0.5, spent=600.5))
    now[0] += 5

    def head() -> str:
        shown = watcher._shown()
        assert isinstance(shown, Group)
        return str(shown.renderables[0])

    assert "  10:06" in head()
    now[0] += 60
    assert "  11:06" in head()


def test_a_log_line_says_it_all() -> None:
    assert report.line(progress(), 46.0) == (
        "   1:10  12 of 30 trials; m7 1.042, gru 1.000, lstm 0.980; 9 proposals, 3 refinements; "
        "4 ranked, 7 filtered, 1 failed; 120 settings trained, 3 diverged; 46 settings/min, 6.8 trials/min; about 3 to 5 min left"
    )


def test_a_log_has_a_line_every_so_often_and_for_what_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    with Watcher(open_terminal(), "quick") as watcher:
        for k in range(120):  # two looks a second for a minute
            messages = ("a worker ended; another one takes over",) if k >= 50 else ()
            watcher(
                progress(
                    elapsed=k / 2,
                    spent=k / 2,
                    messages=messages,
                    best=row("m7", 1, 1.042) if k >= 70 else None,
                )
            )
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert said.out == "" and "\x1b" not in said.err
    assert lines[0] == "quick: preparing the data"
    assert sum("another one takes over" in line for line in lines) == 1
    assert sum("m7 1.042" in line for line in lines) == 2  # at once, and 15 s later
    assert 5 <= len(lines) <= 9


def test_the_end_tells_how_to_go_on() -> None:
    args = ["search", "quick", "--trials", "30", "--data", "a b"]
    watcher = Watcher(open_terminal(), "quick")
    assert _ending(args, watcher, halted=False) == []
    done = replace(COUNTS, trials=30, proposals=21, refinements=9)
    watcher(progress())
    watcher(progress(counts=done))
    assert _ending(args, watcher, halted=False) == [
        "30 of 30 trials (21 proposals, 9 refinements) in 1:10; to continue:\n  cellsearch search quick --data 'a b' --trials 60"
    ]
    assert _ending(args, watcher, halted=True) == _ending(args, watcher, halted=False)
    watcher(progress())
    assert _ending(args, watcher, halted=True) == [
        "time limit reached after 1:10: 12 of 30 trials (9 proposals, 3 refinements); to continue:\n  cellsearch search quick --trials 30 --data 'a b' --time 140s"
    ]
    again = Watcher(open_terminal(), "quick")
    again(progress(counts=done))
    again(progress(counts=done))
    assert _ending(args, again, halted=False)[0].startswith("already finished: 30 of 30 trials (")


@pytest.mark.parametrize(
    ("words", "target", "further"),
    [
        (["--proposals", "15"], Target(None, 15), "--proposals 30"),
        (["--proposals=15", "--trials", "30"], Target(30, 15), "--trials 60 --proposals 30"),
        (["--workers", "3"], Target(None, 4), "--workers 3 --proposals 10"),
        ([], Target(30), "--trials 60"),
    ],
)
def test_the_end_raises_every_target(words: list[str], target: Target, further: str) -> None:
    args = ["search", "quick", *words]
    watcher = Watcher(open_terminal(), "quick")
    watcher(progress(target=target))
    watcher(progress(target=target, counts=replace(COUNTS, trials=30, proposals=target.proposals or 0)))
    told = _ending(args, watcher, halted=False)[0]
    assert told.splitlines()[-1] == f"  cellsearch search quick {further}"
    assert target.proposals is None or f"{target.proposals} of {target.proposals} proposals" in told


def test_the_end_of_a_plateau_raises_the_patience() -> None:
    watcher = Watcher(open_terminal(), "quick")
    watcher(progress())
    ended = progress(counts=replace(COUNTS, stale=6), patience=5)
    watcher(ended)
    assert _ending(["search", "quick"], watcher, halted=False) == [
        "6 proposals in a row without a better score (budget.patience: 5): 12 of 30 trials (9 proposals, 3 "
        "refinements) in 1:10; to continue:\n  cellsearch search quick --set budget.patience=12"
    ]
    watcher(replace(ended, patience=7))
    assert "budget.patience" not in _ending(["search", "quick"], watcher, halted=False)[0]


def test_times_and_counts_read_well() -> None:
    assert [formatting.duration(s) for s in (0, 7.4, 760, 11_100, 200_000)] == [
        "0:00",
        "0:07",
        "12:40",
        "3:05:00",
        "2d 7h",
    ]
    assert [formatting.about(s) for s in (1, 44, 100, 4_000, 10_000, 500_000)] == [
        "10 s", "40 s", "2 min", "67 min", "3 h", "6 d",
    ]  # fmt: skip
    assert [formatting.between(*pair) for pair in ((1, 9), (44, 100), (130, 320), (3_000, 9_000))] == [
        "10 s", "40 s to 2 min", "2 to 5 min", "50 min to 2 h",
    ]  # fmt: skip
    assert [formatting.read_duration(t) for t in ("90s", "15m", "2h", "1h30m", "0.5h", "1d")] == [
        90, 900, 7_200, 5_400, 1_800, 86_400,
    ]  # fmt: skip
    assert [commands.duration_option(s) for s in (0.2, 140, 900, 7_300)] == ["1s", "140s", "15m", "2h"]
    assert [formatting.large(n) for n in (850, 9_999, 12_345, 3.4e6, 1.2e9, 6e12)] == [
        "850", "9,999", "12 thousand", "3.4 million", "1.2 billion", "6.0 trillion",
    ]  # fmt: skip
    assert (
        formatting.plural(1, "trial") == "1 trial"
        and formatting.plural(1200, "matrix", "matrices") == "1,200 matrices"
    )
