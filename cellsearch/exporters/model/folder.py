"""A trained model as a folder: checked against the trained rows, then moved into place atomically.

The check runs our own text from the same process; nothing is read from the folder and executed.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cellsearch import files
from cellsearch.compiler.run.layout import named
from cellsearch.errors import ExportError, not_written, printable
from cellsearch.exporters.header import Provenance
from cellsearch.exporters.model.card import card
from cellsearch.exporters.model.source import RECURRENT, model_source, network_name
from cellsearch.exporters.torch.check import check
from cellsearch.exporters.torch.source import torch_source
from cellsearch.tasks.data import Part
from cellsearch.train.final import safetensors
from cellsearch.train.model import Shape

NAMES = ("model.py", "model.safetensors", "config.json", "README.md", "test.safetensors")
CHECKED = 8_192  # positions of the test part for the comparison; at least one stream
_LOSS = 1e-4  # tolerance of the mean loss in float32; relative above 1


@dataclass(frozen=True)
class Trained:
    """A model: its shape, its row [P] of weights, and the data that it was tested on."""

    shape: Shape
    row: Tensor
    test: Part
    config: Mapping[str, Any]
    provenance: Provenance


def contents(model: Trained) -> dict[str, bytes]:
    """The files by name. Raises ExportError if the network in the file differs from the trained one."""
    shape = model.shape
    dtype = str(model.row.dtype).removeprefix("torch.")
    text = model_source(
        shape.cell, shape.vocabulary, shape.hidden, shape.layers, dtype, model.provenance
    )  # fmt: skip
    weights = tensors(shape, model.row)
    check(shape.cell, torch_source(shape.cell))
    _agree(model, text, weights)
    about = {"format": "pt", "cell": shape.cell.name, "program": "cellsearch"}
    test = {
        name: torch.from_numpy(np.ascontiguousarray(part.T))
        for name, part in (("inputs", model.test.inputs), ("targets", model.test.targets))
    }
    config = json.dumps(model.config, indent=2, allow_nan=False, ensure_ascii=True) + "\n"
    return {
        "model.py": text.encode(),
        "model.safetensors": safetensors.encode(weights, about),
        "config.json": config.encode(),
        "README.md": card(model.config).encode(),
        "test.safetensors": safetensors.encode(test, {"axes": "T, B"}),
    }


def tensors(shape: Shape, row: Tensor) -> dict[str, Tensor]:
    """The weights by their names in the network."""
    row = row.detach().cpu()[None]
    end = shape.output + shape.hidden * shape.vocabulary
    found = {"embedding.weight": row[0, : shape.embedding].unflatten(0, (shape.vocabulary, shape.hidden))}
    body = shape.stack.rows(row[:, shape.embedding : shape.output])
    for k, (lay, part) in enumerate(zip(shape.stack.layers, body, strict=True)):
        found |= {f"{RECURRENT}layers.{k}.{name}": value[0] for name, value in named(lay, part).items()}
    output = row[0, shape.output : end].unflatten(0, (shape.hidden, shape.vocabulary))
    found |= {"output.weight": output.T, "output.bias": row[0, end:]}
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in found.items()}


def _agree(model: Trained, text: str, weights: Mapping[str, Tensor]) -> None:
    """Compares the network of the file with the compiled one, on the start of the test part."""
    # imported here: it loads the engines, which only this check needs
    from cellsearch.train.final.fit import scored_on
    from cellsearch.train.windows import cut

    shape = model.shape
    scope: dict[str, Any] = {"__name__": "exported_model", "__file__": "model.py"}
    exec(compile(text, "<model.py>", "exec"), scope)
    network: nn.Module = scope[network_name(shape.cell)]()
    network.load_state_dict(dict(weights))
    steps = _length(model.test)
    inputs, targets = (
        torch.from_numpy(np.ascontiguousarray(part[:, :steps]))
        for part in (model.test.inputs, model.test.targets)
    )
    wanted = scored_on(shape, model.row.detach().cpu()[None], cut(inputs, targets, steps))
    accuracy, loss = scope["score"](network, inputs.T, targets.T)
    rounding = _LOSS * max(1.0, float(wanted[1][0]))
    count = int((targets >= 0).sum())
    if not abs(loss - wanted[1][0]) <= rounding or abs(accuracy - wanted[0][0]) * count > 2 + count / 1_000:
        raise not_written(
            f"the model of {shape.cell.name}",
            f"it gives accuracy {accuracy:.6f} and loss {loss:.6f} where the compiled cell gives "
            f"{wanted[0][0]:.6f} and {wanted[1][0]:.6f}",
        )


def _length(part: Part) -> int:
    """The number of compared steps of the test part: up to `CHECKED` positions, with at least one scored
    position."""
    batch, length = part.inputs.shape
    scored = np.flatnonzero((part.targets >= 0).any(axis=0))
    return int(min(length, max(1, CHECKED // batch, scored[0] + 1)))


def write(folder: Path, found: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Writes the files to a folder atomically; `overwrite` replaces an existing one."""
    shown = printable(str(folder))
    staged, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    try:
        if folder.exists() and not overwrite:
            raise ExportError(f"{shown} already exists\noverwrite it with --force, or give another --out")
        for left in (staged, old):  # left by a killed process
            shutil.rmtree(left, ignore_errors=True)
        staged.mkdir(parents=True)
        for name, data in found.items():
            files.write_whole(staged / name, data)
        if folder.exists():
            folder.rename(old)
        staged.rename(folder)
        files.sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ExportError(
            f"cannot write {shown}: {files.reason(error)}\n"
            "free some space, change the permissions, or give another --out"
        ) from error
