"""Evaluation of cells: the protocol `Evaluator`, and the implementation that trains on the data of a space's
stages.

The only part of the search that calls training; torch is loaded only for an evaluation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cellsearch.dsl.graph import Cell
from cellsearch.study.space import Filter, Space, TaskStage
from cellsearch.study.space.model import FILTER
from cellsearch.study.strategies import Propose
from cellsearch.tasks import Dataset, build, memoryless
from cellsearch.train.outcome import Outcome
from cellsearch.train.settings import keys

if TYPE_CHECKING:  # it loads torch
    from cellsearch.compiler.ahead import Compilers
    from cellsearch.train.evaluate import Request
    from cellsearch.train.grouping.cohort import Turns
    from cellsearch.train.steps import Data

Say = Callable[[str], None]
Alone = Callable[[], bool]  # whether no other training currently holds memory on the device


class Evaluator(Protocol):
    """A worker's interface to data and training. Stage names are those of the space, and `filter`."""

    def digests(self) -> Mapping[str, str]:
        """Stage name -> digest of its data on this machine."""

    def floor(self, task: str) -> float:
        """The accuracy of the best predictor that sees only the current symbol."""

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
    ) -> Sequence[Outcome]:
        """Trains `cell` once per setting (keys in the grid of the stage); one outcome each, in order.
        Randomness depends only on `seed` (the study's), the cell, the task and the setting.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """The resources for the stages of a cohort."""

    device: str = "cpu"
    room: float | None = None  # total memory limit in bytes; None: no limit
    in_turns: bool | None = None  # interleaved or sequential; None: depends on the device


@runtime_checkable
class InTurns(Protocol):
    """An evaluator that trains the stages of a cohort side by side."""

    def place(self) -> Place:
        """The device, and its free memory."""

    def needed(self, cell: Cell, task: str, settings: Sequence[str]) -> float:
        """Predicted memory of a stage in bytes."""

    def training(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say, alone: Alone
    ) -> "Turns[Sequence[Outcome]]":
        """Like `Evaluator.evaluate`, but pauses after every window. Raises the exception for a lack of memory
        if the training is not `alone`."""


@runtime_checkable
class Prepares(Protocol):
    """An evaluator that can prepare for a cell before its training."""

    def prepare(self, cell: Cell) -> None:
        """Starts to compile the kernels of a cell in other processes, and returns at once."""


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Adapts another evaluator to turns: each stage is one turn."""

    evaluator: Evaluator

    def place(self) -> Place:
        """A CPU, one stage after the other."""
        return Place()

    def needed(self, cell: Cell, task: str, settings: Sequence[str]) -> float:
        """Unknown."""
        return 0.0

    def training(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say, alone: Alone
    ) -> "Turns[Sequence[Outcome]]":
        """All of it in one turn."""
        yield from ()
        return self.evaluator.evaluate(cell, task, settings, seed, say)


def in_turns(evaluator: Evaluator) -> InTurns:
    """Adapts an evaluator to cohorts."""
    return evaluator if isinstance(evaluator, InTurns) else OneByOne(evaluator)


@dataclass(frozen=True, slots=True)
class TorchEvaluator:
    """Data of the space and training on `device`. `seed` is the study's: generated data follows from it."""

    space: Space
    seed: int
    data: Path | None = None
    device: str = "cpu"
    _built: dict[str, Dataset] = field(default_factory=dict, repr=False)
    _placed: "dict[str, Data]" = field(default_factory=dict, repr=False)
    _compilers: "list[Compilers]" = field(default_factory=list, repr=False)  # once created

    def stage(self, name: str) -> Filter | TaskStage:
        """The stage called `name`."""
        if name == FILTER:
            assert self.space.filter is not None
            return self.space.filter
        return next(task for task in self.space.tasks if task.name == name)

    def dataset(self, name: str) -> Dataset:
        """The data of a stage, created once."""
        if name not in self._built:
            stage = self.stage(name)
            self._built[name] = build(
                stage.task, stage.options, batch=stage.training.batch, seed=self.seed, data=self.data
            )
        return self._built[name]

    def digests(self) -> Mapping[str, str]:
        """Stage name -> digest of its data."""
        names = ([FILTER] if self.space.filter else []) + [task.name for task in self.space.tasks]
        return {name: self.dataset(name).digest for name in names}

    def floor(self, task: str) -> float:
        """The accuracy of the best predictor that sees only the current symbol."""
        return memoryless(self.dataset(task))

    def vocabularies(self) -> Mapping[str, int]:
        """Stage name -> number of symbols of its data."""
        return {name: self.dataset(name).vocabulary for name in self.digests()}

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
    ) -> Sequence[Outcome]:
        """Trains `cell` on the settings; in the filter a setting ends once it reaches the required
        accuracy."""
        # imported here: these load torch, which boards and the supervisor do not need
        from cellsearch.train.evaluate import evaluating
        from cellsearch.train.grouping.cohort import finish
        from cellsearch.train.resources.threads import one_thread

        one_thread()
        say("compiling")  # compiling until the first window is trained
        return finish(evaluating(self._request(cell, task, settings, seed, say), self.device))

    def prepare(self, cell: Cell) -> None:
        """Only for a GPU, where a core would otherwise wait for the device; on a CPU all cores train."""
        if not self.device.startswith("cuda"):
            return
        # imported here, as above
        from cellsearch.compiler.ahead import Compilers
        from cellsearch.train.resources.ahead import prepare

        if not self._compilers:
            self._compilers.append(Compilers(self.device))
        stages = [(self.dataset(name).vocabulary, self.stage(name).grid) for name in self.digests()]
        prepare(self._compilers[0], [cell], stages)

    def place(self) -> Place:
        """The device and its free memory."""
        # imported here, as above
        from cellsearch.train.resources.devices import free

        return Place(self.device, free(self.device))

    def needed(self, cell: Cell, task: str, settings: Sequence[str]) -> float:
        """The prediction of `train.resources.memory`."""
        # imported here, as above
        from cellsearch.train.evaluate import predicted

        return predicted(self._request(cell, task, settings, 0, lambda text: None))

    def training(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say, alone: Alone
    ) -> "Turns[Sequence[Outcome]]":
        """`evaluate` for a cohort, whose trainings share one copy of the data."""
        # imported here, as above
        from cellsearch.train.evaluate import evaluating, on_device
        from cellsearch.train.resources.threads import one_thread

        one_thread()
        if task not in self._placed:
            steps = self.stage(task).training.steps
            self._placed[task] = on_device(self.dataset(task), steps, self.device)
        say("compiling")
        request = self._request(cell, task, settings, seed, say)
        return (yield from evaluating(request, self.device, self._placed[task], alone))

    def _request(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> "Request":
        """The request for training."""
        # imported here, as above
        from cellsearch.train.evaluate import Request

        stage, place = self.stage(task), keys(self.stage(task).grid)
        return Request(
            cell, self.dataset(task), stage.grid, [place[s] for s in settings], stage.training, seed,
            stop_at=stage.accuracy if isinstance(stage, Filter) else None,
            memory=1e9 * self.space.budget.memory_gb,
            progress=lambda epochs, members: say(
                f"epoch {epochs + 1}, {members} of {len(settings)} settings"
            ),
        )  # fmt: skip


def real_propose(space: Space) -> Propose:
    """Mutation with the options of the space."""
    # imported here: it loads Optuna, which readers of data do without
    from cellsearch.study.storage.sampler import breeding

    return breeding(space.mutation, space.limits)
