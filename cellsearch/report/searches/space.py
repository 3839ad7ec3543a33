"""The summary of a search space: stages, settings and data. `search --dry-run` estimates the cost."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report.columns import Column, facts, table, text, width_of, wrapped
from cellsearch.report.formatting import plural
from cellsearch.study.mutation.sizes import MEASURES, over
from cellsearch.study.space import Filter, Space, TaskStage, check_seeds
from cellsearch.study.space.model import FILTER
from cellsearch.study.strategies import STRATEGIES, refining
from cellsearch.study.workers.run import budget_of
from cellsearch.tasks.look import Look


def stages(space: Space) -> Iterator[tuple[str, Filter | TaskStage]]:
    """Name -> stage, in the order for a new cell."""
    if space.filter is not None:
        yield FILTER, space.filter
    for task in space.tasks:
        yield task.name, task


def baseline_runs(space: Space) -> int:
    """Number of settings trained for the seeds: the whole grid of every task."""
    return len(space.seeds) * sum(len(task.grid) for task in space.tasks)


def trial_runs(space: Space) -> int:
    """Number of settings trained in a proposal that passes every stage."""
    found = sum(min(space.strategy.settings, len(task.grid)) for task in space.tasks)
    return found + (space.filter.settings if space.filter else 0)


def as_json(space: Space) -> dict[str, Any]:
    """The summary as plain values."""
    return {
        "name": space.name,
        "about": space.about,
        "seeds": list(space.seeds),
        "baseline": space.baseline,
        **asdict(space.budget),
        "strategy": space.strategy.name,
        "warnings": warnings(space),
        "stages": [
            {
                "name": name, "task": stage.task, "options": dict(stage.options), "settings": len(stage.grid),
                "parameters": list(stage.grid.parameters), "max_epochs": stage.training.max_epochs,
            }
            for name, stage in stages(space)
        ],
        "runs": {"baseline": baseline_runs(space), "trial": trial_runs(space)},
    }  # fmt: skip


def warnings(space: Space) -> list[str]:
    """Warnings: a seed beyond the limits of mutants, a mutation without effect."""
    parts = []
    if space.mutation.weights["add_below"] > 0 and max(space.grid.layers) == 1:
        parts.append(
            "mutation.weights.add_below: with one layer (grid.layers) the layer below is always zero"
        )
    for name, cell in check_seeds(space).items():
        for limit in over(cell, space.limits):
            found, most = MEASURES[limit](cell, space.limits.width), getattr(space.limits, limit)
            parts.append(
                f"the seed {printable(name)} is beyond limits.{limit} ({found:,}, not {most:,}): it is "
                f"evaluated anyway, and its mutants must be smaller"
            )
    return parts


def _strategy(space: Space) -> str:
    strategy = space.strategy
    parts = f"{strategy.name}: {STRATEGIES[strategy.name].about}"
    if strategy.rank != "score" and strategy.name != "random":
        parts += f"; ranked by Pareto fronts of score and {strategy.cost.replace('_', '-')}"
    return parts if strategy.sampler == "chance" else f"{parts}; settings by {strategy.sampler}"


def lines(space: Space, width: int) -> list[Text]:
    """The summary in `width` columns."""
    shown = [text(space.name, "bold")]
    shown += [*wrapped(printable(space.about.strip(), 10_000), width, style="italic"), text("")]
    every = list(stages(space))
    column = {
        "stage": [text(name, "bold") for name, _ in every],
        "task": [text(stage.task) for _, stage in every],
        "settings": [text(f"{len(stage.grid):,}") for _, stage in every],
        "parameters": [text(" ".join(f"{p:,}" for p in stage.grid.parameters)) for _, stage in every],
        "symbols": [text(_size(stage)) for _, stage in every],
        "epochs": [text(stage.training.max_epochs or "no limit") for _, stage in every],
    }
    right = ("settings", "parameters", "symbols", "epochs")
    columns = [Column(title, cells, right=title in right) for title, cells in column.items()]
    while len(columns) > 3 and 2 + width_of(columns) > width:
        columns.pop()
    shown += [Text("  ").append_text(line) for line in table(columns, width - 2)]
    each = plural(space.strategy.settings, "setting")
    steps = [
        ("strategy", _strategy(space)),
        ("seeds", f"{', '.join(map(printable, space.seeds))}; the baseline is {printable(space.baseline)}"),
        ("baseline", f"{plural(baseline_runs(space), 'training run')}, before any mutant is judged"),
        ("a trial", f"at most {plural(trial_runs(space), 'training run')} ({each} of each task)"),
        ("budget", _budget(space)),
    ]
    return [*shown, text(""), *facts(steps, width)]


def data_json(looks: Mapping[str, Look]) -> dict[str, Any]:
    """The data of each stage as plain values."""
    return {
        name: {
            "symbols": dict(look.sizes),
            "vocabulary": look.vocabulary,
            "bytes": look.size,
            "note": look.note,
        }
        for name, look in looks.items()
    }


def data_lines(looks: Mapping[str, Look], width: int) -> list[Text]:
    """The data of each stage in `width` columns."""
    return facts([(f"data of {name}", _data(look)) for name, look in looks.items()], width)


def _data(look: Look) -> str:
    parts = [f"{size:,} {part}" for part, size in look.sizes.items()]
    parts = [f"{' · '.join(parts)} symbols"] if parts else []
    if look.vocabulary is not None:
        parts.append(f"{look.vocabulary:,} different ones")
    if look.size:
        parts.append(f"{look.size:,} bytes")
    return ", ".join([*parts, look.note] if look.note else parts)


def _size(stage: Filter | TaskStage) -> str:
    train = stage.options.get("train")
    return f"{train:,}" if isinstance(train, int) else "all"


def _budget(space: Space) -> str:
    trials = budget_of(space).expected(refining(space.strategy))
    patience = space.budget.patience
    early = "" if patience is None else f", or {plural(patience, 'proposal')} in a row without a better score"
    estimate = "`cellsearch search SPACE --dry-run` estimates cost, memory and time"
    return f"{plural(trials, 'trial')}{early}; {estimate}"
