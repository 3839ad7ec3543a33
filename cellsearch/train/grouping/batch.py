"""A batch of members trained at once; and the handling of out-of-memory.

A batch is one population, or several in sequence if one would exceed the memory limit: the split (`cut`) is
predicted, and depends only on the members and the limit. If a population still runs out of memory, its
members in training are halved and each half is trained again from the start; finished members keep their
results. This repeats until only a member that does not fit even alone has failed. Affected results have a
note: neighbours change a result by rounding, so it may not repeat bit for bit.
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

    populations: list[Population]  # in sequence
    failed: dict[int, Result] = field(default_factory=dict)  # by index in the grid, like all results
    ended: dict[int, Result] = field(
        default_factory=dict
    )  # results of members that left before a batch was halved
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
        """The result of every member."""
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
        """Like `advance`, with a pause after every window. Raises the exception for a lack of memory if the
        batch is not `alone`: others may be the cause."""
        at = 0
        while at < len(self.populations):
            failure = yield from _attempt(self.populations[at], data, to_epoch, progress, alone)
            if failure is None:
                at += 1
            else:
                self.populations[at : at + 1] = self._halves(self.populations[at], failure)

    def drop(self, indices: Iterable[int]) -> None:
        """Ends members with their current results."""
        for population in self.populations:
            population.drop(indices)

    def _halves(self, population: Population, failure: str) -> list[Population]:
        """Two populations of the members in training; none if a single one has failed."""
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
    bound: float | None = None,  # bytes; None: no limit
) -> Batch:
    """A batch that uses at most `bound` bytes. Members that do not fit even alone fail."""
    sizes = [len(members)] if bound is None else memory.batches(shape, len(members), training, bound)
    if not sizes:
        needed = memory.memory(shape, 1, training).total
        what = f"{shape.layers} layer{'s' * (shape.layers > 1)} of {shape.hidden:,} units"
        cause = (
            f"one setting of {what} takes about {needed / 1e9:.3g} GB to be trained, and "
            f"{max(bound or 0, 0) / 1e9:.3g} GB is the limit (budget.memory_gb)"
        )
        return Batch([], {m.index: Result(Status.FAILED, cause=cause) for m in members})
    populations, first = [], 0
    for size in sizes:
        part = members[first : first + size]
        populations.append(Population(shape, part, training, device, stop_at))
        first += size
    return Batch(populations)


def waves(batches: Sequence[Batch], bound: float | None) -> list[list[int]]:
    """The batches that train side by side, by index in order: a wave uses at most `bound` bytes in total.
    Waves run in sequence."""
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
    """Trains; returns the allocator's message if memory ran out."""
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
