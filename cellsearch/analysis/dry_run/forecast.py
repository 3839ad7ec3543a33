"""Forecast of a search before it runs: amount of training, cost, memory, and approximate time on this
machine.

Nothing is recorded. The work is counted on the baseline's models; mutants are smaller and larger. Each shape
of the baseline's models is trained for a few windows, which gives the seconds of an epoch (`measuring`).
Minimum and maximum times follow from the schedule. If the study has records, the mean follows from the mean
number of epochs of a setting, and the share of proposals that reached a stage.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cellsearch.analysis.dry_run import measuring
from cellsearch.analysis.dry_run.measuring import Group, Model
from cellsearch.analysis.dry_run.spans import Span, times, total
from cellsearch.dsl.graph import Cell
from cellsearch.errors import CellsearchError
from cellsearch.study.leaderboard import filter_share
from cellsearch.study.leaderboard.filter_share import Passed
from cellsearch.study.space import Filter, Space, TaskStage
from cellsearch.study.space.model import FILTER, grids
from cellsearch.study.strategies import refining
from cellsearch.study.tables import queries
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.study_facts import Facts, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.tasks import Dataset
from cellsearch.train.resources.cost import of_training
from cellsearch.train.settings import Training


@dataclass(frozen=True, slots=True)
class Data:
    """The amounts of a stage, if its data is available. Per setting: the mean over the grid."""

    digest: str
    vocabulary: int
    train: int  # positions of an epoch
    valid: int
    multiply_adds: float  # of one setting in one epoch
    memory: int  # peak bytes of a trial whose settings all have the largest shape
    batches: int  # batches of these, in sequence, by budget.memory_gb
    unfit: tuple[Model, ...]  # models that exceed it alone: their settings would fail
    seconds: float  # of one setting in one epoch, on the device: CPU time on a CPU


@dataclass(frozen=True, slots=True)
class Stage:
    """The filter or a task."""

    name: str
    task: str
    grid: int  # settings
    settings: int  # of a trial
    epochs: tuple[int, int | None]  # of a setting that does not diverge, minimum and maximum
    trained: float | None  # epochs of a setting, mean of the records; None: no records
    proposed: float | None  # settings of the stage per recorded proposal, including earlier failures
    models: tuple[Model, ...]  # from the smallest
    data: Data | None
    missing: str  # the reason for missing data


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecast of a search before it starts or continues."""

    name: str
    seeds: tuple[str, ...]
    target: Target
    trials: int  # the total expected from the target
    workers: int
    device: str
    counts: Counts | None  # of the study; None for a new one
    stages: tuple[Stage, ...]
    baseline: Span | None  # seconds until the seeds are done; None if data is missing
    refined: Span | None  # seconds of one worker for a refinement
    proposed: Span | None  # and for a proposal
    rest: Span | None  # seconds of all remaining trials, with all workers
    passed: tuple[Passed, ...]  # the seeds in the filter, from the study or an earlier measurement


def forecast(
    space: Space, name: str, evaluator: TorchEvaluator, cells: Mapping[str, Cell], target: Target,
    workers: int, study: tuple[Store, Facts] | None = None, tell: Callable[[str], None] = lambda text: None,
) -> Forecast:  # fmt: skip
    """Counts and measures; `cells` are the seeds by name. `tell` is called with each stage before it
    starts."""
    sizes = grids(space)
    trained = queries.epochs(study[0], list(sizes)) if study else {}
    reached = queries.reached(study[0], list(sizes)) if study else {}
    stages = []
    for stage_name in sizes:
        tell(f"measuring {stage_name} …")
        stage = _stage(space, evaluator, stage_name, cells[space.baseline])
        stages.append(replace(stage, trained=trained.get(stage_name), proposed=reached.get(stage_name)))
    counts = queries.counts(study[0]) if study else None
    kept = set(study[1].units) if study and study[1].units else {task.name for task in space.tasks}
    tasks = [stage for stage in stages if stage.name in kept]
    done, trials = counts.trials if counts else 0, target.expected(refining(space.strategy))
    seeds, refined, proposed, rest = None, None, None, None
    if all(stage.data for stage in stages):
        share = 1 - (counts.baseline / max(1, counts.pieces) if counts else 0)
        pieces = [*(_trial(s, s.grid) for s in tasks), *_filter(space, stages)]
        seeds = times(share * len(space.seeds) / workers, total(pieces))
        refined = total(_trial(s, s.settings) for s in tasks)
        proposed = _proposal(stages, tasks)
        odds = refining(space.strategy)
        trial = total([times(1 - odds, proposed), times(odds, refined)])
        rest = times(max(0, trials - done) / workers, trial)
    return Forecast(
        name, space.seeds, target, trials, workers, evaluator.device, counts, tuple(stages), seeds, refined,
        proposed, rest,
        tuple(filter_share.passed(study[0], space) if study else filter_share.measured(space, cells)),
    )  # fmt: skip


def _stage(space: Space, evaluator: TorchEvaluator, name: str, baseline: Cell) -> Stage:
    stage = evaluator.stage(name)
    settings = stage.settings if isinstance(stage, Filter) else space.strategy.settings
    settings = min(settings, len(stage.grid))
    epochs = _epochs(stage.training, isinstance(stage, Filter))
    found = Stage(name, stage.task, len(stage.grid), settings, epochs, None, None, (), None, "")
    try:
        data = evaluator.dataset(name)
        groups = measuring.groups(stage.grid, settings, baseline, data.vocabulary)
        models = tuple(group.model for group in groups)
        return replace(
            found, models=models, data=_measured(stage, settings, groups, data, baseline, evaluator)
        )
    except CellsearchError as error:
        return replace(found, missing=str(error))


def _epochs(training: Training, ends_early: bool) -> tuple[int, int | None]:
    """The first epoch is always better than none; then the schedule runs out."""
    least = 1 if ends_early or training.rungs else 1 + training.patience + training.halvings
    return min(least, training.max_epochs or least), training.max_epochs


def _measured(
    stage: Filter | TaskStage,
    settings: int,
    groups: Sequence[Group],
    data: Dataset,
    cell: Cell,
    evaluator: TorchEvaluator,
) -> Data:
    """The cost of an epoch, and the time of a few windows on this machine."""
    # here: these load torch
    from cellsearch.train.model import Shape
    from cellsearch.train.resources.memory import batches, memory
    from cellsearch.train.resources.pace import pace
    from cellsearch.train.resources.threads import one_thread

    train, valid = data.train.inputs.size, data.valid.inputs.size
    shapes = {g.model: Shape(cell, data.vocabulary, g.model.layers, g.model.hidden) for g in groups}
    bound = 1e9 * evaluator.space.budget.memory_gb
    sizes = {m: batches(shape, settings, stage.training, bound) for m, shape in shapes.items()}
    peaks = [
        memory(shapes[m], size[0], stage.training, evaluator.device).total
        for m, size in sizes.items()
        if size
    ]

    def epoch(some: Sequence[Group]) -> float:
        took = pace([(shapes[g.model], g.members) for g in some], data, stage.training, evaluator.device)
        return took.train + took.valid

    one_thread()
    cost = sum(
        g.settings * of_training(cell, data.vocabulary, g.model.layers, g.model.hidden, 1, train, valid)
        for g in groups
    )
    fit = [replace(g, members=min(g.members, sizes[g.model][0])) for g in groups if sizes[g.model]]
    return Data(
        data.digest, data.vocabulary, train, valid, cost / settings, max(peaks, default=0),
        max(map(len, sizes.values())), tuple(m for m, size in sizes.items() if not size),
        measuring.seconds(fit, epoch, side_by_side=evaluator.device != "cpu"),
    )  # fmt: skip


def _trial(stage: Stage, settings: float) -> Span:
    """Seconds of one worker for settings of a stage."""
    assert stage.data is not None
    least, most = stage.epochs
    return times(settings * stage.data.seconds, Span(least, stage.trained, most))


def _filter(space: Space, stages: Sequence[Stage]) -> list[Span]:
    """Seconds of a seed in the filter, if there is one."""
    return [_trial(s, min(space.strategy.settings, s.grid)) for s in stages if s.name == FILTER]


def _proposal(stages: Sequence[Stage], tasks: Sequence[Stage]) -> Span:
    """Seconds of one worker for a proposal: minimum if it fails first, maximum if it passes all."""
    run = [*(s for s in stages if s.name == FILTER), *tasks]
    middles = [None if s.proposed is None else _trial(s, s.proposed).middle for s in run if s.proposed != 0]
    known = [value for value in middles if value is not None]
    return Span(
        _trial(run[0], run[0].settings).least,
        sum(known) if known and len(known) == len(middles) else None,
        total(_trial(s, s.settings) for s in run).most,
    )
