"""What a search would do, before it does anything: how much there is to train, what it costs, how much memory
it takes, and about how long that is on this machine.

In: a space, a laboratory, and the study where there is one. Out: a `Forecast`. Nothing is recorded. The work
is counted on the baseline's models; mutants are smaller and larger. Times are measured by training the
baseline for a few windows; how many epochs a setting takes and how many mutants pass the filter nobody knows
beforehand, so times are given from the least to the most.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cellsearch.dsl.graph import Cell
from cellsearch.errors import CellsearchError
from cellsearch.search import queries
from cellsearch.search.lab import RealLab
from cellsearch.search.queries import Counts
from cellsearch.search.records import Facts, Target
from cellsearch.search.sections import FILTER
from cellsearch.search.space import Filter, Space, TaskStage
from cellsearch.search.storage.tables import Store
from cellsearch.search.strategies import grids, refining
from cellsearch.tasks import Dataset
from cellsearch.tasks.data import Part
from cellsearch.train.cost import of_training, parameters, width
from cellsearch.train.settings import Training

WINDOWS = 3  # of training that are timed, after a run that is not
SAMPLE = 2e10  # multiply-adds of what is timed, at most: some seconds

Range = tuple[float, float | None]  # the least and the most; None: without end


@dataclass(frozen=True, slots=True)
class Model:
    """A size of the baseline's models."""

    layers: int
    hidden: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Data:
    """What is known of a stage where its data is here. Per setting: the mean over the grid."""

    digest: str
    vocabulary: int
    train: int  # positions of an epoch
    valid: int
    multiply_adds: float  # of one setting in one epoch
    memory: int  # bytes at the peak, of a trial's settings all of one shape, the largest
    batches: int  # that these are trained in, one after another, because of budget.memory_gb
    unfit: tuple[Model, ...]  # models that take more than that alone: settings of theirs would fail
    seconds: float  # of one setting in one epoch, one worker on the device that was measured


@dataclass(frozen=True, slots=True)
class Stage:
    """The filter or a task."""

    name: str
    task: str
    grid: int  # settings
    settings: int  # of a trial
    epochs: tuple[int, int | None]  # of a setting that does not diverge, the fewest and the most
    models: tuple[Model, ...]  # from the smallest
    data: Data | None
    missing: str  # why there is no data


@dataclass(frozen=True, slots=True)
class Forecast:
    """A search that was not begun, or not gone on with."""

    name: str
    seeds: tuple[str, ...]
    target: Target
    trials: int  # the total that the target makes likely
    workers: int
    device: str
    counts: Counts | None  # of the study; None where it would be a new one
    stages: tuple[Stage, ...]
    baseline: Range | None  # seconds until the seeds are done; None where data is missing
    refined: Range | None  # seconds of one worker for a trial that refines
    proposed: Range | None  # and for one that proposes
    rest: Range | None  # seconds of all trials that are left, with all workers


def forecast(
    space: Space, name: str, lab: RealLab, baseline: Cell, target: Target, workers: int,
    study: tuple[Store, Facts] | None = None, tell: Callable[[str], None] = lambda text: None,
) -> Forecast:  # fmt: skip
    """Counts and measures; `tell` is called with what is being measured."""
    sizes = grids(space)
    stages = []
    for stage_name in sizes:
        tell(f"measuring {stage_name} …")
        stages.append(_stage(space, lab, stage_name, baseline))
    counts = queries.counts(study[0]) if study else None
    kept = set(study[1].units) if study and study[1].units else {task.name for task in space.tasks}
    tasks = [stage for stage in stages if stage.name in kept]
    done, trials = counts.trials if counts else 0, target.expected(refining(space.strategy))
    seeds, refined, proposed, rest = None, None, None, None
    if all(stage.data for stage in stages):
        share = 1 - (counts.baseline / max(1, counts.pieces) if counts else 0)
        seeds = _times(share * len(space.seeds) / workers, _sum([_trial(s, s.grid) for s in tasks]))
        refined = _sum([_trial(s, s.settings) for s in tasks])
        first = [_trial(s, s.settings) for s in stages if s.name == FILTER]
        least = first or [_trial(tasks[0], tasks[0].settings)]
        proposed = (_sum(least)[0], _sum([*first, refined])[1])
        odds = refining(space.strategy)
        ends = [
            None if p is None or r is None else (1 - odds) * p + odds * r
            for p, r in zip(proposed, refined, strict=True)
        ]
        rest = _times(max(0, trials - done) / workers, (ends[0] or 0.0, ends[1]))
    return Forecast(
        name, space.seeds, target, trials, workers, lab.device, counts, tuple(stages), seeds, refined,
        proposed, rest,
    )  # fmt: skip


def _stage(space: Space, lab: RealLab, name: str, baseline: Cell) -> Stage:
    stage = lab.stage(name)
    settings = stage.settings if isinstance(stage, Filter) else space.strategy.settings
    settings = min(settings, len(stage.grid))
    epochs = _epochs(stage.training, isinstance(stage, Filter))
    found = Stage(name, stage.task, len(stage.grid), settings, epochs, (), None, "")
    try:
        data = lab.dataset(name)
    except CellsearchError as error:
        return replace(found, missing=str(error))
    return replace(
        found,
        models=_models(stage, baseline, data.vocabulary),
        data=_measured(stage, settings, data, baseline, lab, space),
    )


def _epochs(training: Training, ends_early: bool) -> tuple[int, int | None]:
    """The first epoch is always better than none; then the schedule runs out."""
    least = 1 if ends_early or training.rungs else 1 + training.patience + training.halvings
    return min(least, training.max_epochs or least), training.max_epochs


def _models(stage: Filter | TaskStage, cell: Cell, vocabulary: int) -> tuple[Model, ...]:
    found = []
    for target in stage.grid.parameters:
        for layers in stage.grid.layers:
            hidden = width(cell, vocabulary, layers, target)
            found.append(Model(layers, hidden, parameters(cell, vocabulary, layers, hidden)))
    return tuple(sorted(set(found), key=lambda m: (m.parameters, m.layers)))


def _measured(
    stage: Filter | TaskStage, settings: int, data: Dataset, cell: Cell, lab: RealLab, space: Space
) -> Data:
    """The cost of an epoch, and what a few windows of it take here."""
    # here: these load torch
    from cellsearch.train.evaluate import evaluate
    from cellsearch.train.memory import batches, memory
    from cellsearch.train.model import Shape
    from cellsearch.train.threads import one_thread

    models = _models(stage, cell, data.vocabulary)
    train, valid = data.train.inputs.size, data.valid.inputs.size

    def cost(model: Model, train: int, valid: int) -> int:
        return of_training(cell, data.vocabulary, model.layers, model.hidden, 1, train, valid)

    each = sum(cost(m, train, valid) for m in models) / len(models)
    rows, steps = data.train.inputs.shape[0], stage.training.steps
    short = replace(data, train=_start(data.train, WINDOWS * steps), valid=_start(data.valid, steps))
    sample = sum(cost(m, short.train.inputs.size, short.valid.inputs.size) for m in models) / len(models)
    count = max(1, min(settings, int(SAMPLE / sample)))
    chosen = [k * len(stage.grid) // count for k in range(count)]
    once = replace(stage.training, max_epochs=1, rungs=())
    one_thread()
    took = 0.0
    for _ in range(2):  # the first time kernels are made
        began = time.perf_counter()
        evaluate(cell, short, stage.grid, chosen, once, seed=0, device=lab.device)
        took = time.perf_counter() - began
    spent = sum(
        of_training(
            cell, data.vocabulary, s.layers, width(cell, data.vocabulary, s.layers, s.parameters), 1,
            short.train.inputs.size, short.valid.inputs.size,
        )
        for s in (stage.grid[k] for k in chosen)
    )  # fmt: skip
    shapes = {m: Shape(cell, data.vocabulary, m.layers, m.hidden) for m in models}
    bound = 1e9 * space.budget.memory_gb
    sizes = {m: batches(shape, settings, stage.training, bound) for m, shape in shapes.items()}
    peaks = [
        memory(shapes[m], size[0], stage.training, lab.device).total for m, size in sizes.items() if size
    ]  # fmt: skip
    unfit = tuple(m for m, size in sizes.items() if not size)
    assert rows == stage.training.batch
    return Data(
        data.digest, data.vocabulary, train, valid, each, max(peaks, default=0),
        max(map(len, sizes.values())), unfit, took * each / spent,
    )  # fmt: skip


def _start(part: Part, positions: int) -> Part:
    """The first positions of every stream of which some are scored."""
    return Part(part.inputs[:, :positions], part.targets[:, :positions])


def _trial(stage: Stage, settings: int) -> Range:
    """Seconds of one worker for so many settings of a stage."""
    assert stage.data is not None
    return _times(settings * stage.data.seconds, stage.epochs)


def _times(factor: float, amount: Range) -> Range:
    return factor * amount[0], None if amount[1] is None else factor * amount[1]


def _sum(ranges: Sequence[Range]) -> Range:
    most = [high for _, high in ranges]
    return sum(low for low, _ in ranges), None if None in most else sum(
        high for high in most if high is not None
    )
