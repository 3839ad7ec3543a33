"""Detection of out-of-memory exceptions, and cleanup after one."""

import gc

import torch

#: Messages of allocators without their own exception type.
SAID = (
    "out of memory", "can't allocate memory", "not enough memory", "bad_alloc", "CUBLAS_STATUS_ALLOC_FAILED",
)  # fmt: skip


def ran_out(error: BaseException) -> bool:
    """Whether an exception means out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)


def give_back(device: str) -> None:
    """Frees unreferenced memory. Call it outside the exception handler: inside, the frames of the traceback
    still hold tensors."""
    gc.collect()
    if torch.device(device).type == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()
