"""How many threads training takes in this process. Searches use one for each worker: more of them would make
sums in other orders, and results would depend on the machine."""

import torch


def one_thread() -> None:
    """From now on torch computes in one thread."""
    torch.set_num_threads(1)
