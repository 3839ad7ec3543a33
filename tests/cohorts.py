"""A cohort of requests, trained as a worker trains the stages of its trials: side by side."""

from collections.abc import Iterator, Sequence

from cellsearch.train.evaluate import Request, evaluating, on_device, predicted
from cellsearch.train.grouping.side_by_side import Ended, Start, side_by_side
from cellsearch.train.outcome import Outcome
from cellsearch.train.steps import Data


def evaluate_together(
    requests: Sequence[Request], device: str, *, room: float | None = None, in_turns: bool | None = None
) -> Iterator[Ended[list[Outcome]]]:
    """The place of each request and what it comes to alone, as soon as it has ended; an exception where it
    ended by one. All read one copy of their data; `room` and `in_turns` as for `side_by_side`."""
    shared: dict[tuple[int, int], Data] = {}
    for r in requests:
        key = id(r.dataset), r.training.steps
        if key not in shared:
            shared[key] = on_device(r.dataset, r.training.steps, device)

    def start(r: Request) -> Start[list[Outcome]]:
        data = shared[id(r.dataset), r.training.steps]
        needed = 0.0 if room is None else predicted(r)
        return Start(lambda alone: evaluating(r, device, data, alone), needed)

    return side_by_side([start(r) for r in requests], device, room=room, in_turns=in_turns)
