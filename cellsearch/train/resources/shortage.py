"""Whether an exception says that there is not enough memory, and what is given back after one."""

import gc

import torch

#: What the allocators say that have no exception of their own.
SAID = (
    "out of memory", "can't allocate memory", "not enough memory", "bad_alloc", "CUBLAS_STATUS_ALLOC_FAILED",
)  # fmt: skip


def ran_out(error: BaseException) -> bool:
    """Whether an exception says that there is not enough memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)


def give_back(device: str) -> None:
    """Frees what nothing refers to any more. Call it outside of the handler of the exception: there the
    frames of its traceback still hold what was allocated."""
    gc.collect()
    if torch.device(device).type == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()
