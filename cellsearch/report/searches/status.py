"""The progress of a search as `cellsearch status` shows it: lines, or values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report.columns import Column, column, cut, facts, table, text
from cellsearch.report.formatting import between, duration, plural
from cellsearch.report.searches import leaderboard, totals
from cellsearch.report.searches.filter import shares, unfair
from cellsearch.study.leaderboard import board, diagnostics, eta, filter_share
from cellsearch.study.leaderboard.board import Row, Status
from cellsearch.study.leaderboard.diagnostics import Sieve
from cellsearch.study.leaderboard.eta import Range
from cellsearch.study.leaderboard.filter_share import Passed
from cellsearch.study.manage import commands
from cellsearch.study.space.model import FILTER
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.strategies import refining
from cellsearch.study.studies import RESULTS, Study
from cellsearch.study.tables import database, records

FEW = 10  # maximum number of workers listed individually
COUNTED = (
    "trials", "proposals", "refinements", "repeats", "ranked", "filtered", "failed", "settings", "diverged",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """A search and its workers."""

    status: Status
    workers: Sequence[tuple[str, str]]  # live workers: host and activity
    dead: Sequence[tuple[str, str]] = ()  # of this machine
    abandoned: int = 0  # trials held by dead workers
    passed: Sequence[Passed] = ()  # the seeds in the filter
    sieves: Sequence[Sieve] = ()  # while no mutant is ranked: the stages that filtered them
    failure: str = ""  # and the last cause of a failure
    outbox: int = 0  # stages waiting for the database
    scarce: Sequence[tuple[str, int]] = ()  # folders on a full disk, free bytes
    left: Range | None = None  # range of seconds to the target with the current workers
    given: Sequence[str] = ()  # words of the latest command
    command: str = ""  # command that continues it
    left_out: str = ""  # hidden parts of the URL in it
    cohorts: Sequence[int] = ()  # cohort sizes, if ever more than one

    @property
    def state(self) -> str:
        """The state in one word."""
        s = self.status
        if s.finished:
            return "finished"
        if self.workers:
            return "running"
        if s.stopped:
            return "failed"
        return "time limit reached" if s.halted else "not running"


def standing(study: Study) -> Standing:
    """The current progress of a search. Workers on other machines may be dead."""
    store = study.store
    listed = heartbeat.listed(store)
    gone = diagnostics.dead(listed)
    living = [w for w in listed if w.kind == "worker" and w not in gone]
    status = board.status(store, study.space)
    barren = bool(status.counts.trials) and not any(row.rank and not row.seed for row in status.best)
    return Standing(
        status,
        [_named(worker) for worker in living],
        [_named(worker) for worker in gone],
        diagnostics.abandoned(store, listed),
        filter_share.passed(store, study.space),
        diagnostics.sieves(store, study.space, study.facts.units) if barren else (),
        diagnostics.last_failure(store) if barren and status.counts.failed else "",
        diagnostics.waiting_stages(RESULTS, store.name),
        diagnostics.scarce(store, RESULTS),
        _left(study, len(living)),
        commands.given(study),
        commands.of(study),
        database.left_out(store.url),
        records.cohorts(store),
    )


def _left(study: Study, workers: int) -> Range | None:
    """None without workers or before the first result."""
    if not workers:
        return None
    known = eta.history(study.store, study.space, study.facts.units)
    return eta.estimate(
        known, study.facts.target.expected(refining(study.space.strategy)), workers, study.space
    )


def _named(worker: Worker) -> tuple[str, str]:
    return f"{worker.host.partition('#')[0]}:{worker.pid}", worker.doing


def as_json(standing: Standing) -> dict[str, Any]:
    """The status as plain values."""
    s, c = standing.status, standing.status.counts
    return {
        "name": s.name,
        "state": standing.state,
        "seed": s.seed,
        "target": asdict(s.target),
        "counts": asdict(c),
        "cohorts": list(standing.cohorts),
        "seconds": s.seconds,
        "settings_per_minute": _per_minute(s),
        "left": standing.left,
        "dropped": list(s.dropped),
        "stopped": s.stopped,
        "plateau": {"proposals": c.stale, "patience": s.patience, "reached": s.plateau},
        "workers": [{"name": name, "doing": doing} for name, doing in standing.workers],
        "dead": [{"name": name, "doing": doing} for name, doing in standing.dead],
        "abandoned": standing.abandoned,
        "seeds_filter": [asdict(seed) for seed in standing.passed],
        "filtered": [asdict(sieve) for sieve in standing.sieves],
        "outbox": standing.outbox,
        "scarce": [{"folder": folder, "free": free} for folder, free in standing.scarce],
        "given": list(standing.given),
        "command": standing.command,
        "best": leaderboard.as_json(s.best),
    }


def lines(standing: Standing, width: int) -> list[Text]:
    """One search in `width` columns."""
    s, c = standing.status, standing.status.counts
    head = text(s.name, "bold").append(f"  {standing.state}", "yellow" if s.stopped else "green")
    quick = _per_minute(s)
    rate = f"; {quick:,.1f} settings/min" if quick else ""
    left = f"; about {between(*standing.left)} left" if standing.left and not s.finished else ""
    then = "; proposals start when it is done" if c.told < c.seeds else ""
    of = "" if s.target.trials is None else f" of {s.target.trials:,}"
    pairs = [
        ("baseline", f"{totals.baseline(c)} of their grids{then}"),
        ("trials", f"{c.trials:,}{of} ({totals.kinds(c, s.target)})"),
        ("outcomes", totals.outcomes(c)),
        ("settings", totals.trained(c)),
        ("time", f"{duration(s.seconds)}{rate}{left}"),
    ]
    pairs += [("cohort", at_once(standing.cohorts))] if standing.cohorts else []
    pairs += [("plateau", totals.plateau(c, s.patience))] if s.plateau else []
    pairs += [("filter", shares(standing.passed))] if standing.passed else []
    pairs += [("not used", printable(line, 1_000)) for line in s.dropped]
    pairs += [("stopped", printable(line, 1_000)) for line in s.stopped.splitlines()[:1]]
    pairs += _beside("filtered", [*map(sieved, standing.sieves), *_failed(standing)])
    pairs += _beside("workers", _at_work(standing.workers))
    pairs += _beside("warning", _warnings(standing))
    shown = [cut(head, width), *facts(pairs, width), *_continue(standing)]
    if s.best:
        shown += [text(""), *leaderboard.lines(s.best, width, equations=False)]
    return shown


def at_once(cohorts: Sequence[int]) -> str:
    """The current cohort size of a worker, and earlier ones: a seed reproduces a search only if the size
    never changed."""
    *earlier, last = cohorts
    before = f" (earlier {', '.join(map(str, earlier))})" if earlier else ""
    return f"{plural(last, 'trial')} of a worker at once{before}"


def _continue(standing: Standing) -> list[Text]:
    """The command that continues the search, never wrapped, so that it can be copied."""
    if standing.state in ("finished", "running") or not standing.command:
        return []
    line = text("continue  ", "bold").append_text(text(standing.command))
    return [line, *([text(f"({standing.left_out})", "dim")] if standing.left_out else [])]


def _beside(word: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(word if k == 0 else "", line) for k, line in enumerate(lines)]


def sieved(sieve: Sieve) -> str:
    """The best accuracies of proposals that a stage filtered."""
    where = "the filter" if sieve.stage == FILTER else printable(sieve.stage, 60)
    best = "" if sieve.best is None else f"best accuracy {sieve.best:.4f}, required {sieve.wanted:.4f}"
    return f"{plural(sieve.filtered, 'cell')} at {where}: {best or 'every setting diverged'}"


def _failed(standing: Standing) -> list[str]:
    cause = standing.failure.partition("\n")[0]
    return [f"last failure: {printable(cause, 300)}"] if cause else []


def _at_work(workers: Sequence[tuple[str, str]]) -> list[str]:
    listed = [f"{printable(name, 40)}  {printable(doing, 200)}" for name, doing in workers[:FEW]]
    rest = workers[FEW:]
    if not rest:
        return listed
    hosts = len({name.rpartition(":")[0] for name, _ in workers})
    return [*listed, f"and {len(rest):,} more, on {plural(hosts, 'machine')} in all"]


def _warnings(standing: Standing) -> list[str]:
    """Warnings for the user, with remedies."""
    warnings = unfair(standing.passed)
    warnings += [
        f"worker {printable(name, 40)} has died ({printable(doing or 'starting', 120)}); see its log in "
        f"results/{printable(standing.status.name, 100)}/logs"
        for name, doing in standing.dead[:FEW]
    ]
    if standing.abandoned:
        many = standing.abandoned > 1
        kept = f"{standing.abandoned:,} trials of dead workers are" if many else "1 trial of a dead worker is"
        warnings.append(
            f"{kept} not lost: the next worker on this machine continues {'them' if many else 'it'}"
        )
    if standing.state == "not running" and not standing.status.stopped:
        name = printable(standing.status.name, 100)
        warnings.append(f"no worker is running; to start one on this machine: `cellsearch worker {name}`")
    if standing.outbox:
        many = standing.outbox > 1
        waits = f"{standing.outbox:,} trained stages wait" if many else "1 trained stage waits"
        warnings.append(f"{waits} in the outbox of this machine for the database")
    for folder, free in standing.scarce:
        warnings.append(f"{printable(folder, 200)}: {free / 1e6:,.0f} MB left on this disk; free some space")
    return warnings


def _per_minute(s: Status) -> float | None:
    """Settings per minute of search time, overall."""
    return 60 * s.counts.settings / s.seconds if s.seconds > 0 and s.counts.settings else None


def several(standings: Sequence[Standing], width: int) -> list[Text]:
    """A list of searches, one line each."""
    columns = [
        Column("search", [text(s.status.name, "bold") for s in standings]),
        Column("state", [text(s.state) for s in standings]),
        Column("trials", [text(_of_target(s.status)) for s in standings], right=True),
        Column("best", [text(_first(s.status.best)) for s in standings]),
        Column("time", [text(duration(s.status.seconds), "dim") for s in standings], right=True),
    ]
    return table(columns, width)


def columns(standings: Sequence[Standing]) -> list[Column]:
    """The same for another program, one number per column."""
    best = [next((row for row in s.status.best if row.rank == 1), None) for s in standings]
    found = [
        column("search", [s.status.name for s in standings]),
        column("state", [s.state for s in standings]),
        column("best", [row.name if row else None for row in best]),
        column("score", [row.score if row else None for row in best], ".3f"),
        column("seconds", [s.status.seconds for s in standings], ",.0f"),
        column("target trials", [s.status.target.trials for s in standings], ","),
        column("target proposals", [s.status.target.proposals for s in standings], ","),
    ]
    for name in COUNTED:
        found.append(column(name, [getattr(s.status.counts, name) for s in standings], ","))
    return [*found, column("workers", [len(s.workers) for s in standings], ",")]


def _of_target(s: Status) -> str:
    word, done, of = s.target.nearest(s.counts.trials, s.counts.proposals)
    return f"{done:,}/{of:,}" if word == "trials" else f"{done:,}/{of:,} {word}"


def _first(rows: Sequence[Row]) -> str:
    first = next((row for row in rows if row.rank == 1), None)
    return f"{printable(first.name)} {first.score:.3f}" if first and first.score is not None else "not yet"
