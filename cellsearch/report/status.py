"""How a search stands, as `cellsearch status` tells it. In: an open study. Out: lines, or values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report import leaderboard
from cellsearch.report.columns import Column, cut, facts, table, text
from cellsearch.report.words import duration, plural
from cellsearch.search import board, liveness, processes
from cellsearch.search.board import Row, Status
from cellsearch.search.studies import Study


@dataclass(frozen=True, slots=True)
class Standing:
    """A search, and who is at work on it."""

    status: Status
    workers: Sequence[tuple[str, str]]  # living ones: where, what it does

    @property
    def state(self) -> str:
        """In a word."""
        s = self.status
        if s.finished:
            return "finished"
        if self.workers:
            return "running"
        if s.stopped:
            return "failed"
        return "time is up" if s.halted else "not running"


def standing(study: Study) -> Standing:
    """How a search stands now. Dead workers of this machine are left out; of others it is not known."""
    here = processes.machine()
    found = [
        w
        for w in liveness.listed(study.store)
        if w.kind == "worker" and (w.host != here or liveness.alive(w))
    ]
    workers = [(f"{w.host.partition('#')[0]}:{w.pid}", w.doing) for w in found]
    return Standing(board.status(study.store, study.space), workers)


def as_json(standing: Standing) -> dict[str, Any]:
    """The status as plain values."""
    s = standing.status
    return {
        "name": s.name,
        "state": standing.state,
        "seed": s.seed,
        "trials": s.trials,
        "counts": asdict(s.counts),
        "seconds": s.seconds,
        "settings_per_minute": _per_minute(s),
        "dropped": list(s.dropped),
        "stopped": s.stopped,
        "workers": [{"name": name, "doing": doing} for name, doing in standing.workers],
        "best": leaderboard.as_json(s.best),
    }


def lines(standing: Standing, width: int) -> list[Text]:
    """One search in `width` columns."""
    s, c = standing.status, standing.status.counts
    head = text(s.name, "bold").append(f"  {standing.state}", "yellow" if s.stopped else "green")
    ended = f"{c.ranked:,} ranked, {c.filtered:,} filtered, {c.failed:,} failed"
    diverged = f", {c.diverged:,} of them diverged" if c.diverged else ""
    quick = _per_minute(s)
    rate = f"; {quick:,.1f} settings/min" if quick else ""
    pairs = [
        ("baseline", f"{c.baseline} of {plural(c.baseline_slots, 'part')} done"),
        ("trials", f"{c.trials:,} of {s.trials:,}: {ended}" if c.trials else f"none of {s.trials:,} yet"),
        ("settings", f"{c.settings:,} trained{diverged}"),
        ("time", f"{duration(s.seconds)} of searching{rate}"),
    ]
    pairs += [("not used", printable(line, 1_000)) for line in s.dropped]
    pairs += [("stopped", printable(line, 1_000)) for line in s.stopped.splitlines()[:1]]
    for k, (name, doing) in enumerate(standing.workers):
        pairs.append(("workers" if k == 0 else "", f"{printable(name, 40)}  {printable(doing, 200)}"))
    shown = [cut(head, width), *facts(pairs, width)]
    if s.best:
        shown += [text(""), *leaderboard.lines(s.best, width, equations=False)]
    return shown


def _per_minute(s: Status) -> float | None:
    """Settings a minute of searching, over all."""
    return 60 * s.counts.settings / s.seconds if s.seconds > 0 and s.counts.settings else None


def several(standings: Sequence[Standing], width: int) -> list[Text]:
    """Many searches, a line each."""
    columns = [
        Column("search", [text(s.status.name, "bold") for s in standings]),
        Column("state", [text(s.state) for s in standings]),
        Column(
            "trials", [text(f"{s.status.counts.trials:,}/{s.status.trials:,}") for s in standings], right=True
        ),
        Column("best", [text(_first(s.status.best)) for s in standings]),
        Column("time", [text(duration(s.status.seconds), "dim") for s in standings], right=True),
    ]
    return table(columns, width)


def _first(rows: Sequence[Row]) -> str:
    first = next((row for row in rows if row.rank == 1), None)
    return f"{printable(first.name)} {first.score:.3f}" if first and first.score is not None else "not yet"
