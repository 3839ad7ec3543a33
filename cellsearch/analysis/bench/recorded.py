"""This program as on a GPU: the step recorded as a graph and replayed; also the bare products. On a CPU both
are called."""

from collections.abc import Callable

import torch
from torch import Tensor

from cellsearch.analysis.bench import limits, rounding
from cellsearch.analysis.bench.contestants import Contestant, Step
from cellsearch.analysis.bench.work import NORM, RATE, Work
from cellsearch.compiler import graphs
from cellsearch.train import model


def recorded(engine: str, tf32: bool = False) -> Contestant:
    """A recorded step. With `tf32` its products round their factors to 10 fraction bits."""

    def ready(work: Work) -> Step:
        rows, gradient = work.rows.clone(), torch.zeros_like(work.rows)
        loss = torch.zeros_like(rows[:, 0])
        start = torch.zeros(1, dtype=torch.int64, device=rows.device)

        def once() -> None:
            states = model.first_states(work.shape, rows.shape[0], work.sizes.batch, rows)
            score, _ = model.run(work.shape, rows, work.window, states, start, gradient, engine)
            norm = torch.linalg.vector_norm(gradient, dim=1)
            rows.addcmul_(gradient, -(RATE * (NORM / norm).clamp(max=1.0))[:, None])
            loss.copy_(score.loss)

        with rounding.tf32(tf32):  # a recording keeps its precision
            call = graphs.capture(once, [rows, loss], graphs.place(rows.device))

        def step() -> Tensor:
            with rounding.tf32(tf32):
                call()
            return loss.clone()

        return step

    return Contestant(f"cellsearch ({engine}, graph{', TF32' if tf32 else ''})", ready)


def products(work: Work, by_symbol: bool = False) -> Callable[[], None]:
    """`limits.products`, recorded."""
    return graphs.capture(limits.products(work, by_symbol), [], graphs.place(work.rows.device))
