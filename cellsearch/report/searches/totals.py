"""Totals of a study in words, shared by `status`, the leaderboard, the live display and the end of a
search."""

from cellsearch.report.formatting import plural
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.study_facts import Target


def total(count: int, target: int | None, noun: str) -> str:
    """12 of 30 trials; 12 trials without a target."""
    return plural(count, noun) if target is None else f"{count:,} of {plural(target, noun)}"


def kinds(c: Counts, target: Target) -> str:
    """Kinds of trials: 9 of 15 proposals, 3 refinements."""
    parts = [total(c.proposals, target.proposals, "proposal"), plural(c.refinements, "refinement")]
    parts += [plural(c.repeats, "repeat")] if c.repeats else []
    parts += [f"{c.undecided:,} without a cell"] if c.undecided else []
    return ", ".join(parts)


def trials(c: Counts, target: Target) -> str:
    """12 of 30 trials (9 of 15 proposals, 3 refinements)."""
    return f"{total(c.trials, target.trials, 'trial')} ({kinds(c, target)})"


def plateau(c: Counts, patience: int | None) -> str:
    """The reason that a search ended before its total: 20 proposals in a row without a better score
    (budget.patience: 20); "" if it did not."""
    if patience is None or c.stale < patience:
        return ""
    return f"{plural(c.stale, 'proposal')} in a row without a better score (budget.patience: {patience:,})"


def outcomes(c: Counts) -> str:
    """4 ranked, 7 filtered, 1 failed."""
    return f"{c.ranked:,} ranked, {c.filtered:,} filtered, {c.failed:,} failed"


def trained(c: Counts) -> str:
    """120 trained, 3 diverged."""
    return f"{c.settings:,} trained" + (f", {c.diverged:,} diverged" if c.diverged else "")


def settings(c: Counts) -> str:
    """120 settings trained, 3 diverged."""
    return f"{plural(c.settings, 'setting')} {trained(c).partition(' ')[2]}"


def baseline(c: Counts) -> str:
    """1 of 2 seeds, 5 of 8 parts (of their grids)."""
    return f"{total(c.told, c.seeds, 'seed')}, {total(c.baseline, c.pieces, 'part')}"
