"""The table of a leaderboard: what it takes as it grows, and that it stays a table."""

import gc
import time
from dataclasses import replace

import pytest

from cellsearch.dsl import zoo
from cellsearch.report.searches import board_columns, leaderboard
from cellsearch.study.leaderboard.board import Row, TaskResult
from cellsearch.study.leaderboard.rows import Repeated

TEXTS = tuple(str(zoo.load(name)) for name in ("lstm", "gru", "mut1"))


def rows(count: int) -> list[Row]:
    """A leaderboard of `count` cells, half of them ranked."""
    return [
        Row(
            rank=k + 1 if k < count // 2 else None,
            name=f"mutant_{k}",
            fingerprint=f"{k:064x}",
            score=1.1 - k / 1e5,
            tasks=tuple(
                TaskResult(t, 1.1 - k / 1e5, 0.8 - k / 1e5, 0.3, "rate=3", 20_000, 99, 20, True)
                for t in ("xml", "music")
            ),
            parameters=20_000 + k,
            settings=60,
            status="ranked" if k < count // 2 else "filtered at filter",
            parent="p" * 64,
            trial=k,
            text=TEXTS[k % 3],
        )
        for k in range(count)
    ]


def seconds(some: list[Row], width: int) -> float:
    """CPU time of the table of `some` rows."""
    gc.collect()
    gc.disable()  # what the collector takes depends on what other tests have left
    try:
        begun = time.process_time()
        lines = leaderboard.lines(some, width)
        spent = time.process_time() - begun
    finally:
        gc.enable()
    assert len(lines) >= len(some)
    return spent


@pytest.mark.long
@pytest.mark.parametrize("width", [80, 200])
def test_work_grows_with_rows_not_with_their_square(width: int) -> None:
    """Eight times the rows; the square would be 64 times the work. A ratio, since a busy machine is slower."""
    few, many = rows(2_500), rows(20_000)
    ratios = [seconds(many, width) / seconds(few, width) for _ in range(3)]
    assert min(ratios) < 16, ratios


@pytest.mark.parametrize("width", range(40, 220, 9))
def test_lines_fit_and_columns_align(width: int) -> None:
    some = rows(12)
    lines = [line.plain for line in leaderboard.lines(some, width)]
    assert all(len(line) <= width and line == line.rstrip() for line in lines)
    beside = "equations" in lines[0]
    table = [lines[0], *(line for line in lines[1:] if line[:6].strip()[:1].isdigit() or "mutant_" in line)]
    assert beside or len(lines) <= 1 + len(some) * (1 + leaderboard.LINES)
    at = lines[0].index("score") + len("score")
    for row, line in zip(some, table[1:], strict=True):
        assert row.name in line and line[:at].endswith(f" {row.score:.3f}")
        assert not beside or line[lines[0].index("equations") - 1 :].startswith(" ")


def test_a_column_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that is wide enough, CSV, Markdown and JSON show it; a narrow one leaves it out first."""
    own = board_columns.Field("later copies", lambda row: len(row.equivalents) + row.trial)
    monkeypatch.setattr(board_columns, "FIELDS", (*board_columns.FIELDS, own))
    wide = [line.plain for line in leaderboard.lines(rows(4), 140, equations=False)]
    assert wide[0].endswith("later copies") and [line.split()[-1] for line in wide[1:]] == list("0123")
    narrow = leaderboard.lines(rows(4), 76, equations=False)[0].plain
    assert "later copies" not in narrow and "xml" in narrow and "status" in narrow
    for every in (True, False):
        columns = leaderboard.columns(rows(4), every)
        assert [c.values for c in columns if c.title == "later copies"] == [[0, 1, 2, 3]]
    assert [row["later_copies"] for row in leaderboard.as_json(rows(4))] == [0, 1, 2, 3]


def test_repeats_are_a_mean_and_their_number() -> None:
    """In a column of their own that is there once there are some."""
    first, second, third, *_ = rows(8)
    some = [
        replace(first, repeated=Repeated(2, 0.98765, 0)),
        replace(second, repeated=Repeated(3, 0.9, 1)),
        replace(third, repeated=Repeated(1, None, 2)),
        *rows(4)[3:],
    ]
    shown = [line.plain for line in leaderboard.lines(some, 160, equations=False)]
    at = shown[0].index("repeated")
    assert [line[at:].partition("  ")[0].strip() for line in shown[1:]] == [
        "0.988 (2)",
        "0.900 (3, 1 diverged)",
        "– (1, 2 diverged)",  # noqa: RUF001
        "",
    ]
    assert "repeated" not in leaderboard.lines(rows(4), 160, equations=False)[0].plain
    told = leaderboard.as_json(some)
    assert told[1]["repeated"] == {"count": 3, "ratio": 0.9, "diverged": 1} and told[3]["repeated"] is None
    table = {column.title: column.values for column in leaderboard.columns(some, True)}
    assert (table["repeated"], table["repeats"]) == ([0.98765, 0.9, None, None], [2, 3, 1, None])
    assert table["repeats diverged"] == [0, 1, 2, None]
    said = " ".join(line.plain for line in leaderboard.trusted(None, some, "gru", 400))
    assert said.startswith("repeated: mean of further trainings with fresh seeds")
    assert not leaderboard.trusted(None, rows(4), "gru", 400)
