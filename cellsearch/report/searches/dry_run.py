"""The forecast of a search: lines, or a value for JSON."""

from dataclasses import asdict
from typing import Any

from rich.text import Text

from cellsearch.analysis.dry_run.forecast import Forecast, Stage
from cellsearch.analysis.dry_run.spans import Span
from cellsearch.report.columns import Column, table, text, wrapped
from cellsearch.report.formatting import about, large, plural
from cellsearch.report.searches import totals
from cellsearch.report.searches.filter import shares, unfair
from cellsearch.study.space.model import FILTER

NONE = "-"


def lines(found: Forecast, width: int) -> list[Text]:
    """The stages as a table, and the totals."""
    stages = found.stages
    columns = [
        Column("stage", [text(s.name, "bold") for s in stages]),
        Column("settings", [text(f"{s.settings} of {s.grid:,}") for s in stages], right=True),
        Column("layers x units", [text(_models(s)) for s in stages]),
        Column("epochs", [text(_epochs(s)) for s in stages], right=True),
        Column("an epoch", [text(_cost(s)) for s in stages], right=True),
        Column("takes", [text(_seconds(s)) for s in stages], right=True),
        Column("memory", [text(_memory(s)) for s in stages], right=True),
    ]
    said = [_standing(found), *(f"{s.name}: {s.missing}" for s in stages if s.missing)]
    said += [line for s in stages for line in _bounded(s)]
    said += _filter(found)
    if found.rest is not None and found.baseline is not None:
        said += [_baseline(found), _trials(found)]
    said.append(
        "Counted and measured on the baseline's models, one setting in one epoch; the cost of an epoch is in "
        "multiply-adds. Memory assumes that all settings of one trial have the largest shape; each process "
        "uses a few hundred megabytes more. Mutants differ in size."
    )
    said.append(_times(found))
    return [*table(columns, width), *(line for part in said for line in (text(""), *wrapped(part, width)))]


def as_json(found: Forecast) -> dict[str, Any]:
    """The same as plain values."""
    return asdict(found)


def _standing(found: Forecast) -> str:
    if found.counts is None:
        return f"{found.name} would be a new search; nothing was created."
    done = f"{totals.baseline(found.counts)}, {totals.trials(found.counts, found.target)}"
    return f"{found.name} exists: {done} are done; nothing was changed."


def _bounded(s: Stage) -> list[str]:
    """The effect of budget.memory_gb."""
    if s.data is None:
        return []
    limits = []
    if s.data.batches > 1:
        limits.append(f"{s.name}: settings of one shape are trained in up to {s.data.batches} batches")
    if s.data.unfit:
        models = ", ".join(f"{m.layers}x{m.hidden:,}" for m in s.data.unfit)
        limits.append(
            f"{s.name}: models of {models} need more memory on their own, so their settings would fail"
        )
    return [f"{line} (budget.memory_gb)." for line in limits]


def _filter(found: Forecast) -> list[str]:
    """Pass rates of the seeds in the filter, and a warning for each low rate."""
    if not any(s.name == FILTER for s in found.stages):
        return []
    if not found.passed:
        return [
            "Filter: not measured yet with these seeds and options; the search measures it when it "
            "trains the seeds."
        ]
    where = "in this search" if found.counts else "measured before, see results/findings/filter"
    warned = [f"Warning: {line}." for line in unfair(found.passed)]
    return [f"Filter: {shares(found.passed)} ({where}).", *warned]


def _baseline(found: Forecast) -> str:
    assert found.baseline is not None
    settings = sum(s.grid for s in found.stages if s.name != FILTER)
    seeds = f"{plural(len(found.seeds), 'seed')} ({', '.join(found.seeds)})"
    return f"Baseline: {seeds} on {settings:,} settings each, {_range(found.baseline)}."


def _trials(found: Forecast) -> str:
    assert found.refined is not None and found.proposed is not None and found.rest is not None
    left = f"{plural(_left(found), 'trial')} left"
    if found.target.proposals is not None:
        kinds = f"{plural(found.target.proposals, 'proposal')}, about "
        kinds += plural(max(0, found.trials - found.target.proposals), "refinement")
        total = "" if found.target.trials is None else f"; at most {plural(found.target.trials, 'trial')}"
        left = f"About {left} (in all {kinds}{total})"
    workers = f"{plural(found.workers, 'worker')} on {found.device}"
    return (
        f"A proposal: {_range(found.proposed)}, the minimum if it fails the first stage. A refinement: "
        f"{_range(found.refined)}. {left}, {workers}: {_range(found.rest)}."
    )


def _left(found: Forecast) -> int:
    return max(0, found.trials - (found.counts.trials if found.counts else 0))


def _range(seconds: Span) -> str:
    """minimum 20 s, mean 3 min, maximum 5 min."""
    least, most = about(seconds.least), None if seconds.most is None else about(seconds.most)
    middle = None if seconds.middle is None else about(seconds.middle)
    if least == most and middle in (None, least):
        return least
    parts = [
        f"minimum {least}",
        f"mean {middle}" if middle else "",
        f"maximum {most}" if most else "no maximum",
    ]
    return ", ".join(part for part in parts if part)


def _times(found: Forecast) -> str:
    """The meaning of minimum, mean and maximum."""
    said = ["Minimum: every setting takes the fewest epochs and every proposal fails the first stage."]
    if any(s.trained is not None for s in found.stages):
        said.append("Mean: from this search's records.")
    else:
        said.append("A new search has no records, so it has no mean.")
    if any(s.epochs[1] is None for s in found.stages):
        said.append("No maximum: epochs have no limit (training.max_epochs).")
    else:
        said.append("Maximum: every setting takes the most epochs and every proposal passes.")
    clock = "CPU time, with one core per worker" if found.device == "cpu" else "on the clock"
    said.append(f"A setting that diverges ends earlier than the fewest epochs. Times are {clock}.")
    return " ".join(said)


def _models(s: Stage) -> str:
    return ", ".join(f"{m.layers}x{m.hidden:,}" for m in s.models) or NONE


def _epochs(s: Stage) -> str:
    low, high = s.epochs
    limits = f"{low} or more" if high is None else f"{low}" if low == high else f"{low} to {high}"
    return limits if s.trained is None else f"{limits}, mean {s.trained:.1f}"


def _cost(s: Stage) -> str:
    return large(s.data.multiply_adds) if s.data else NONE


def _seconds(s: Stage) -> str:
    if s.data is None:
        return NONE
    return f"{s.data.seconds:.2g} s" if s.data.seconds < 10 else about(s.data.seconds)


def _memory(s: Stage) -> str:
    if s.data is None:
        return NONE
    return f"{s.data.memory / 1e9:.2g} GB" if s.data.memory >= 1e9 else f"{s.data.memory / 1e6:.0f} MB"
