"""The number of threads for training in this process. Searches use one per worker: more would change the
order of sums, and results would depend on the machine."""

import torch


def one_thread() -> None:
    """Restricts torch to one thread."""
    torch.set_num_threads(1)
