"""A search space in short: its stages, how many settings each has, and what a search would cost at most.

In: a `Space`. Out: lines, or values for JSON. Costs are counted, not measured: training runs, symbols, and
operations at 6 per parameter and symbol (forward and backward, a multiplication and an addition each, and the
gradient).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report.columns import Column, facts, table, text, width_of, wrapped
from cellsearch.report.formatting import large, plural
from cellsearch.study.mutation.sizes import MEASURES, over
from cellsearch.study.space import Filter, Space, TaskStage, check_seeds
from cellsearch.study.space.model import FILTER
from cellsearch.study.strategies import STRATEGIES, refining
from cellsearch.study.workers.run import budget_of
from cellsearch.tasks.look import Look

OPERATIONS = 6


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a search takes at most. `symbols` and `operations` are for one epoch of each run where a
    stage has no limit of epochs (`open`), and 0 where the size of its data is not in the space."""

    runs: int
    symbols: float
    operations: float
    open: bool


def stages(space: Space) -> Iterator[tuple[str, Filter | TaskStage]]:
    """Name -> stage, in the order in which a new cell meets them."""
    if space.filter is not None:
        yield FILTER, space.filter
    for task in space.tasks:
        yield task.name, task


def baseline_cost(space: Space) -> Cost:
    """The seeds on the whole grid of every task."""
    return _sum([_cost(task, len(space.seeds) * len(task.grid)) for task in space.tasks])


def trial_cost(space: Space) -> Cost:
    """A proposal that passes every stage."""
    costs = [_cost(task, min(space.strategy.settings, len(task.grid))) for task in space.tasks]
    return _sum(costs + ([_cost(space.filter, space.filter.settings)] if space.filter else []))


def _cost(stage: Filter | TaskStage, runs: int) -> Cost:
    train = stage.options.get("train")
    size = float(train) if isinstance(train, int | float) else 0.0
    symbols = runs * size * (stage.training.max_epochs or 1)
    mean = sum(stage.grid.parameters) / len(stage.grid.parameters)
    return Cost(runs, symbols, OPERATIONS * mean * symbols, stage.training.max_epochs is None)


def _sum(costs: list[Cost]) -> Cost:
    return Cost(
        sum(c.runs for c in costs), sum(c.symbols for c in costs), sum(c.operations for c in costs),
        any(c.open for c in costs),
    )  # fmt: skip


def as_json(space: Space) -> dict[str, Any]:
    """The summary as plain values."""
    baseline, trial = baseline_cost(space), trial_cost(space)
    return {
        "name": space.name,
        "about": space.about,
        "seeds": list(space.seeds),
        "baseline": space.baseline,
        "trials": space.budget.trials,
        "proposals": space.budget.proposals,
        "patience": space.budget.patience,
        "strategy": space.strategy.name,
        "warnings": warnings(space),
        "stages": [
            {
                "name": name, "task": stage.task, "options": dict(stage.options), "settings": len(stage.grid),
                "parameters": list(stage.grid.parameters), "max_epochs": stage.training.max_epochs,
            }
            for name, stage in stages(space)
        ],
        "cost": {
            what: {"runs": c.runs, "symbols": c.symbols, "operations": c.operations, "per_epoch": c.open}
            for what, c in (("baseline", baseline), ("trial", trial))
        },
    }  # fmt: skip


def warnings(space: Space) -> list[str]:
    """What is allowed and may not be meant: a seed beyond the limits of mutants, a mutation that is idle."""
    told = []
    if space.mutation.weights["add_below"] > 0 and max(space.grid.layers) == 1:
        told.append("mutation.weights.add_below: with one layer (grid.layers) the layer below is always zero")
    for name, cell in check_seeds(space).items():
        for limit in over(cell, space.limits):
            found, most = MEASURES[limit](cell, space.limits.width), getattr(space.limits, limit)
            told.append(
                f"the seed {printable(name)} is beyond limits.{limit} ({found:,}, not {most:,}): it is "
                "evaluated as it is, and its mutants have to be smaller"
            )
    return told


def _strategy(space: Space) -> str:
    strategy = space.strategy
    told = f"{strategy.name}: {STRATEGIES[strategy.name].about}"
    if strategy.rank != "score" and strategy.name != "random":
        told += f"; by fronts of score and {strategy.cost.replace('_', '-')}"
    return told if strategy.sampler == "chance" else f"{told}; settings by {strategy.sampler}"


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
    baseline, trial = baseline_cost(space), trial_cost(space)
    steps = [
        ("strategy", _strategy(space)),
        ("seeds", f"{', '.join(map(printable, space.seeds))}; the baseline is {printable(space.baseline)}"),
        ("baseline", f"{_told(baseline)}, before anything is judged"),
        ("a trial", f"at most {_told(trial)} ({plural(space.strategy.settings, 'setting')} of each task)"),
        ("budget", _budget(space, baseline, trial)),
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
    told = [f"{' · '.join(parts)} symbols"] if parts else []
    if look.vocabulary is not None:
        told.append(f"{look.vocabulary:,} different ones")
    if look.size:
        told.append(f"{look.size:,} bytes")
    return ", ".join([*told, look.note] if look.note else told)


def _size(stage: Filter | TaskStage) -> str:
    train = stage.options.get("train")
    return f"{train:,}" if isinstance(train, int) else "all"


def _told(cost: Cost) -> str:
    runs = plural(cost.runs, "training run")
    if not cost.symbols:
        return runs
    each = " in each epoch" if cost.open else ""
    return f"{runs}, {large(cost.symbols)} symbols{each}"


def _budget(space: Space, baseline: Cost, trial: Cost) -> str:
    trials = budget_of(space).expected(refining(space.strategy))
    runs = baseline.runs + trials * trial.runs
    patience = space.budget.patience
    early = "" if patience is None else f", or {plural(patience, 'proposal')} in a row without a better score"
    said = f"{plural(trials, 'trial')}{early}: at most {plural(runs, 'training run')}"
    operations = baseline.operations + trials * trial.operations
    if operations:
        each = " in each epoch" if baseline.open or trial.open else ""
        said += f" and {operations:.1e} operations{each}; most cells are filtered long before"
    return said
