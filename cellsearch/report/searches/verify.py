"""The result of a verification: a line per cell, and the repeats needed for further claims."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from cellsearch.analysis.verify.run import Step
from cellsearch.errors import printable
from cellsearch.report.columns import Column, column, table, text, wrapped
from cellsearch.report.formatting import plural
from cellsearch.report.searches.board_columns import verdict_json
from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.scoring.sequential import LOOKS
from cellsearch.study.scoring.verdicts import DIFFERENCE, POWER, Call
from cellsearch.study.studies import Study

STYLES = {Call.ABOVE: "bold green", Call.LEVEL: "", Call.BELOW: "red"}


@dataclass(frozen=True, slots=True)
class Verified:
    """The verified cells of a search."""

    name: str
    baseline: str
    rows: Sequence[Row]  # rows that have a verdict
    planned: (
        int | None
    )  # repeats needed to detect a difference of DIFFERENCE; None: more than the last look has


def gathered(study: Study, rows: Sequence[Row]) -> Verified:
    """The rows of a study that have a verdict, and the repeats needed at its noise."""
    known = [row for row in rows if row.verdict is not None]
    return Verified(study.facts.name, study.space.baseline, known, board.planned(study.store, study.space))


def step_line(step: Step) -> str:
    """A line of a running verification; "" where nothing is left of a round."""
    first = LOOKS[step.look - 1] if step.look else 0
    head = f"repeats {first + 1} to {LOOKS[step.look]}"
    if step.cell:
        ended = f"{printable(step.cell, 40)} on {printable(step.task, 40)}"
        return f"{head}: {step.done} of {step.of}, {ended}"
    return f"{head}: {plural(step.of, 'training')} of cells and baseline on a task" if step.of else ""


def as_json(found: Verified) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "name": found.name,
        "baseline": found.baseline,
        "planned": {"difference": DIFFERENCE, "power": POWER, "repeats": found.planned},
        "rows": [
            {
                "rank": row.rank, "name": row.name, "fingerprint": row.fingerprint, "score": row.score,
                "verdict": verdict_json(row.verdict),
            }
            for row in found.rows
        ],
    }  # fmt: skip


def columns(found: Verified) -> list[Column]:
    """The same for another program, one number per column."""
    rows, verdicts = found.rows, [row.verdict for row in found.rows if row.verdict is not None]
    shown = [
        column("rank", [row.rank for row in rows]),
        column("cell", [row.name for row in rows]),
        column("score", [row.score for row in rows], ".3f"),
        column("verdict", [v.call for v in verdicts]),
        column("ratio", [v.ratio for v in verdicts], ".3f"),
        column("low", [v.low for v in verdicts], ".3f"),
        column("high", [v.high for v in verdicts], ".3f"),
    ]
    for k, of in enumerate(verdicts[0].tasks if verdicts else ()):
        shown.append(column(f"{of.task} ratio", [v.tasks[k].ratio for v in verdicts], ".3f"))
    shown += [
        column("repeats", [v.repeats for v in verdicts]),
        column("diverged", [v.diverged for v in verdicts]),
        column("more", [v.more for v in verdicts]),
    ]
    return shown


def lines(found: Verified, width: int) -> list[Text]:
    """The same as lines of text."""
    if not found.rows:
        return [text("nothing is verified yet", "dim")]
    verdicts = [row.verdict for row in found.rows if row.verdict is not None]
    shown = [
        Column("#", [text(row.rank or "") for row in found.rows], right=True),
        Column("cell", [text(printable(row.name, 20), "bold") for row in found.rows]),
        Column("score", [text("" if row.score is None else f"{row.score:.3f}") for row in found.rows], True),
        Column("verified", [text(f"{v.call} {printable(found.baseline)}", STYLES[v.call]) for v in verdicts]),
        Column("ratio", [text(f"{v.ratio:.3f}", "bold") for v in verdicts], right=True),
        Column("interval", [text(f"{v.low:.3f}-{v.high:.3f}") for v in verdicts]),
    ]
    for k, of in enumerate(verdicts[0].tasks):
        shown.append(Column(of.task, [text(f"{v.tasks[k].ratio:.3f}") for v in verdicts], right=True))
    shown.append(Column("repeats", [text(v.repeats) for v in verdicts], right=True))
    lines = [*table(shown, width), text("")]
    about = (
        "score: of the search; ratio: mean accuracy on the test part divided by that of "
        f"{printable(found.baseline)}, the smallest over the tasks, with fresh seeds and data. The "
        f"probability of any wrong verdict above or below is at most 5%"
    )
    lines += wrapped(about, width, style="dim")
    if any(v.call == Call.BELOW for v in verdicts):
        lines += wrapped(
            "below: at the setting that the search found; another one may suit the cell better", width
        )
    lines += _further(found, width)
    return lines


def _further(found: Verified, width: int) -> list[Text]:
    """The number of further repeats that a claim would need."""
    shown: list[Text] = []
    share, odds = f"{DIFFERENCE:.0%}", f"{POWER:.0%}"
    if found.planned is None:
        shown += wrapped(f"a cell {share} better would need more than {LOOKS[-1]} repeats", width)
    else:
        shown += wrapped(
            f"a cell {share} better on every task is called above with probability {odds} after "
            f"{plural(found.planned, 'repeat')}", width,
        )  # fmt: skip
    most = 0
    for row in found.rows:
        v = row.verdict
        if v is None or v.call != Call.LEVEL:
            continue
        broken = f" ({plural(v.diverged, 'training')} diverged, so it cannot be above)" if v.diverged else ""
        if v.more is None:
            said = f"no claim within {LOOKS[-1]} repeats at these estimates"
        else:
            said = f"{v.more} more repeats would decide it if these estimates are true"
            most = max(most, v.repeats + v.more)
        shown += wrapped(f"{printable(row.name, 40)}: {said}{broken}", width)
    if found.planned is not None:
        last = max((v.repeats for row in found.rows if (v := row.verdict) is not None), default=0)
        most = max(most, found.planned if found.planned > last else 0)
    if most and any(row.verdict and row.verdict.call == Call.LEVEL for row in found.rows):
        line = text("continue: ", "dim")
        line.append(f"cellsearch verify {shlex.quote(found.name)} --repeats {most}", "bold")
        shown.append(line)
    return shown
