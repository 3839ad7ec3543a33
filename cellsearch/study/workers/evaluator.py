"""What evaluates cells: the protocol `Evaluator`, and the one that trains, with the data of a space's stages.

The one place of the search that reaches training; torch is loaded only when something is evaluated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cellsearch.dsl.graph import Cell
from cellsearch.study.space import Filter, Space, TaskStage
from cellsearch.study.space.model import FILTER
from cellsearch.study.strategies import Propose
from cellsearch.tasks import Dataset, build, memoryless
from cellsearch.train.outcome import Outcome
from cellsearch.train.settings import keys

Say = Callable[[str], None]


class Evaluator(Protocol):
    """What a worker needs of data and training. Stage names are those of the space, and `filter`."""

    def digests(self) -> Mapping[str, str]:
        """Stage name -> digest of its data, as it is on this machine."""

    def floor(self, task: str) -> float:
        """The accuracy of the best predictor that sees the current symbol alone."""

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
    ) -> Sequence[Outcome]:
        """Trains `cell` once for each of the settings (keys in the grid of the stage); one outcome each, in
        order.

        What is random in a run follows from `seed` (the study's), the cell, the task and the setting alone.
        """


@dataclass(frozen=True, slots=True)
class TorchEvaluator:
    """Data of the space and training on `device`. `seed` is the study's: generated data follows from it."""

    space: Space
    seed: int
    data: Path | None = None
    device: str = "cpu"
    _built: dict[str, Dataset] = field(default_factory=dict, repr=False)

    def stage(self, name: str) -> Filter | TaskStage:
        """The stage called `name`."""
        if name == FILTER:
            assert self.space.filter is not None
            return self.space.filter
        return next(task for task in self.space.tasks if task.name == name)

    def dataset(self, name: str) -> Dataset:
        """The data of a stage; made once and kept."""
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
        """The accuracy of the best predictor that sees the current symbol alone."""
        return memoryless(self.dataset(task))

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
    ) -> Sequence[Outcome]:
        """Trains `cell` on the settings; in the filter a setting ends once it is accurate enough."""
        # here: these load torch, and mirrors, boards and the coordinator do without
        from cellsearch.train.evaluate import evaluate
        from cellsearch.train.resources.threads import one_thread

        one_thread()
        stage, dataset = self.stage(task), self.dataset(task)
        place = keys(stage.grid)
        say("compiling")  # until the first window is trained
        return evaluate(
            cell, dataset, stage.grid, [place[s] for s in settings], stage.training,
            seed=seed, device=self.device,
            stop_at=stage.accuracy if isinstance(stage, Filter) else None,
            memory=1e9 * self.space.budget.memory_gb,
            progress=lambda epochs, members: say(
                f"epoch {epochs + 1}, {members} of {len(settings)} settings"
            ),
        )  # fmt: skip


def real_propose(space: Space) -> Propose:
    """Mutation as the space says."""
    # here: it loads Optuna, which readers of data do without
    from cellsearch.study.storage.sampler import breeding

    return breeding(space.mutation, space.limits)
