"""Checkpoints: after a kill the same command resumes, bit for bit.

A checkpoint has a population after an epoch, the best weights of its members so far, and their curves. It is
replaced atomically, and belongs to the job with its `key`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cellsearch import files
from cellsearch.errors import DataError, RunError, printable
from cellsearch.train.final import safetensors
from cellsearch.train.outcome import Status
from cellsearch.train.population import Result, State
from cellsearch.train.schedule import Schedule

_PLAN = tuple(field.name for field in fields(Schedule))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A population of K members after an epoch."""

    state: State
    results: Mapping[int, Result]  # by index
    best: Tensor  # [K, P]: the weights of the best epoch of each member; zeros before the first one
    loss: Tensor  # [epochs, K] validation loss, float64; NaN if a member was not trained
    accuracy: Tensor  # likewise


def write(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Writes the file atomically. Raises RunError on failure."""
    state = checkpoint.state
    tensors = {"rows": state.rows, "best": checkpoint.best, "index": torch.from_numpy(state.index)}
    tensors |= {f"plan.{name}": torch.from_numpy(getattr(state.plan, name)) for name in _PLAN}
    tensors |= {"loss": checkpoint.loss, "accuracy": checkpoint.accuracy}
    results = {str(i): asdict(result) for i, result in checkpoint.results.items()}
    about = {"key": key, "epoch": str(state.epoch), "results": json.dumps(results)}
    try:
        files.write_whole(path, safetensors.encode(tensors, about))
    except OSError as error:
        raise RunError(
            f"cannot write {printable(str(path))}: {files.reason(error)}\n"
            "free some space, then run the same command again: it resumes from the last checkpoint"
        ) from error


def read(path: Path, key: str) -> Checkpoint | None:
    """The checkpoint of the job with this key; None without a file. Raises RunError if it is damaged or of
    another job."""
    shown = printable(str(path))
    try:
        with files.open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except (OSError, files.NotRegularError) as error:
        raise RunError(f"cannot read {shown}: {error}\nremove it to train from the start") from error
    try:
        tensors, about = safetensors.decode(data, shown)
        if about["key"] != key:
            raise RunError(
                f"{shown} is the checkpoint of another training\n"
                "run its own command to resume it, or use --force to discard it, or another --out"
            )
        results = {
            int(i): Result(**result | {"status": Status(result["status"])})
            for i, result in json.loads(about["results"]).items()
        }
        plan = Schedule(*(tensors[f"plan.{name}"].numpy() for name in _PLAN))
        index = tensors["index"].numpy().astype(np.int64)
        state = State(int(about["epoch"]), index, tensors["rows"], plan)
        return Checkpoint(state, results, tensors["best"], tensors["loss"], tensors["accuracy"])
    except (DataError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{shown}: {error}\nremove it to train from the start") from error
