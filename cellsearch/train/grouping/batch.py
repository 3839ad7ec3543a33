"""A batch of members that are trained at once; and what happens where memory does not suffice for it.

A batch is one population, or several that follow one another where one would take more memory than it may:
that is known beforehand (`cut`) and follows from the members and the bound alone.

Where a population runs out of memory all the same, those of its members that are still in training are halved
and each half is trained again from its start; members that had ended keep what they came to. So on until a
member that does not fit even alone has failed, and it alone. What happened stands with every result that
depends on it: neighbours change a result by rounding, so that a result with such a note need not repeat bit
for bit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cellsearch.errors import printable
from cellsearch.train.grouping.cohort import Alone, Turns, always, finish
from cellsearch.train.model import Shape
from cellsearch.train.outcome import Status
from cellsearch.train.population import Member, Population, Progress, Result
from cellsearch.train.resources import memory
from cellsearch.train.resources.shortage import give_back, ran_out
from cellsearch.train.settings import Training
from cellsearch.train.steps import Data


@dataclass(slots=True)
class Batch:
    """Members of one shape, trained at once as far as memory allows."""

    populations: list[Population]  # one after another
    failed: dict[int, Result] = field(default_factory=dict)  # by index in the grid, as all results
    ended: dict[int, Result] = field(default_factory=dict)  # of members that left before a batch was halved
    notes: dict[int, str] = field(default_factory=dict)

    @property
    def running(self) -> dict[int, float]:
        """The members in training, each with its best accuracy so far (-1 before the first epoch)."""
        found = {}
        for population in self.populations:
            for index in population.running:
                accuracy = population.results[index].accuracy
                found[index] = -1.0 if accuracy is None else accuracy
        return found

    @property
    def results(self) -> dict[int, Result]:
        """What has become of every member."""
        trained = {i: r for population in self.populations for i, r in population.results.items()}
        return trained | self.ended | self.failed

    def advance(self, data: Data, to_epoch: int | None, progress: Progress | None = None) -> None:
        """Trains until `to_epoch` epochs are done, or until every member has ended."""
        finish(self.windows(data, to_epoch, progress))

    def windows(
        self,
        data: Data,
        to_epoch: int | None,
        progress: Progress | None = None,
        alone: Alone = always,
    ) -> Turns[None]:
        """Does what `advance` does, and pauses after every window. Where memory does not suffice while the
        batch is not `alone`, the exception is raised: others may be the reason."""
        at = 0
        while at < len(self.populations):
            failure = yield from _attempt(self.populations[at], data, to_epoch, progress, alone)
            if failure is None:
                at += 1
            else:
                self.populations[at : at + 1] = self._halves(self.populations[at], failure)

    def drop(self, indices: Iterable[int]) -> None:
        """Ends members with what they have come to."""
        for population in self.populations:
            population.drop(indices)

    def _halves(self, population: Population, failure: str) -> list[Population]:
        """Two populations of the members that were in training; none where there was one, which has
        failed."""
        running = set(population.running)
        left = [m for m in population.members if m.index in running]
        self.ended |= {i: r for i, r in population.results.items() if i not in running}
        if len(left) == 1:
            cause = f"out of memory, alone in its batch (H={population.shape.hidden}): {failure}"
            self.failed[left[0].index] = Result(
                Status.FAILED, epochs=population.epoch, cause=cause, trained=population.epoch
            )
            return []
        middle = len(left) // 2
        halves = []
        for part in (left[:middle], left[middle:]):
            for m in part:
                before = self.notes.get(m.index, f"out of memory with {len(left)} settings at once")
                self.notes[m.index] = f"{before.partition(';')[0]}; trained in a batch of {len(part)}"
            halves.append(
                Population(population.shape, part, population.training, population.device, population.stop_at)
            )
        return halves


def cut(
    shape: Shape,
    members: Sequence[Member],
    training: Training,
    device: str,
    stop_at: float | None,
    bound: float | None = None,  # bytes; None: no bound
) -> Batch:
    """A batch that takes no more than `bound`. Members that do not fit even alone have failed."""
    sizes = [len(members)] if bound is None else memory.batches(shape, len(members), training, bound)
    if not sizes:
        needed = memory.memory(shape, 1, training).total
        what = f"{shape.layers} layer{'s' * (shape.layers > 1)} of {shape.hidden:,} units"
        cause = (
            f"one setting of {what} takes about {needed / 1e9:.3g} GB to be trained, and "
            f"{max(bound or 0, 0) / 1e9:.3g} GB is all it may take (budget.memory_gb)"
        )
        return Batch([], {m.index: Result(Status.FAILED, cause=cause) for m in members})
    populations, first = [], 0
    for size in sizes:
        part = members[first : first + size]
        populations.append(Population(shape, part, training, device, stop_at))
        first += size
    return Batch(populations)


def waves(batches: Sequence[Batch], bound: float | None) -> list[list[int]]:
    """The batches that may train side by side, by index and in their order: those of a wave take no more than
    `bound` together. The next wave begins when one has ended."""
    found: list[list[int]] = []
    taken = 0
    for k, batch in enumerate(batches):
        peak = max(
            (memory.memory(p.shape, len(p.members), p.training).total for p in batch.populations), default=0
        )
        if not found or (bound is not None and taken + peak > bound):
            found.append([])
            taken = 0
        found[-1].append(k)
        taken += peak
    return found


def _attempt(
    population: Population, data: Data, to_epoch: int | None, progress: Progress | None, alone: Alone
) -> Turns[str | None]:
    """Trains; what the allocator said where memory did not suffice."""
    try:
        yield from population.windows(data, to_epoch, progress)
        return None
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error) or not alone():
            raise
        failure = printable(str(error).partition("\n")[0] or type(error).__name__, 300)
    population.release()
    give_back(population.device)
    return failure
