"""The data of a task: three parts of symbols in B parallel rows, and their digest.

A `Dataset` has int64 arrays [B, N], a digest, and the accuracy of a memoryless predictor, which a recurrent
cell must beat before a task can rank cells. Row b of a part is one continuous stream: training cuts it into
windows of T steps and carries the state from window to window (Jozefowicz et al. 2015, section 3.7).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cellsearch.errors import DataError, plural

IGNORE = -1  # the target of an unscored position

Symbols = NDArray[np.int64]
Measure = Literal["perplexity", "bits", "loss"]


# eq=False: arrays have no single truth value; datasets are compared by digest. The arrays stay writable
# because torch.from_numpy warns about read-only ones.
@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Parallel streams: `inputs` and `targets`, int64 [B, N]; a target is IGNORE at unscored positions."""

    inputs: Symbols
    targets: Symbols

    @property
    def scored(self) -> int:
        """The number of scored positions."""
        return int(np.count_nonzero(self.targets != IGNORE))


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A task with resolved options, ready for training."""

    task: str
    options: Mapping[str, object]  # resolved: every option of the task, as plain values
    vocabulary: int  # number of symbols; inputs and targets share them
    symbols: tuple[str, ...]  # the text of a symbol
    train: Part
    valid: Part
    test: Part
    measure: (
        Measure  # usual metric: perplexity for words, bits per character for real text, else loss in nats
    )
    digest: str  # sha256, 64 hex digits: equal digests mean equal data


def assemble(
    task: str,
    options: Mapping[str, object],
    symbols: tuple[str, ...],
    parts: Mapping[str, Part],
    measure: Measure,
    unhashed: frozenset[str] = frozenset(),
) -> Dataset:
    """The `Dataset` of `parts` ("train", "valid", "test"); raises DataError for a part without scored
    positions. `unhashed` names options with paths: they are excluded from the digest, so that machines with
    the same file in different places agree.
    """
    for name, part in parts.items():
        if part.scored == 0:
            raise DataError(
                f"the {name} part of task '{task}' has no position to score, in"
                f" {plural(part.inputs.shape[0], 'row')} of {plural(part.inputs.shape[1], 'symbol')}. "
                f"Increase the part, or reduce the batch."
            )
        for what, least in (("inputs", 0), ("targets", IGNORE)):  # training uses them as indices
            values = getattr(part, what)
            if values.size and not least <= values.min() <= values.max() < len(symbols):
                raise DataError(
                    f"the {what} of the {name} part of task '{task}' run from {values.min()} to"
                    f" {values.max()}; it has the symbols 0 to {len(symbols) - 1}"
                )
    hashed = {key: value for key, value in options.items() if key not in unhashed}
    return Dataset(
        task=task,
        options=dict(options),
        vocabulary=len(symbols),
        symbols=symbols,
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        measure=measure,
        digest=digest(task, hashed, symbols, parts),
    )


def digest(
    task: str, options: Mapping[str, object], symbols: tuple[str, ...], parts: Mapping[str, Part]
) -> str:
    """sha256 over options, symbols and arrays, independent of byte order, machine and order of the
    options."""
    head = {"task": task, "options": dict(options), "symbols": symbols}
    state = hashlib.sha256(json.dumps(head, sort_keys=True, ensure_ascii=True).encode("ascii"))
    for name in ("train", "valid", "test"):
        for array in (parts[name].inputs, parts[name].targets):
            # includes the shape, because the same stream folded for another batch is another data set
            state.update(f"\n{name} {array.shape[0]} {array.shape[1]}\n".encode("ascii"))
            state.update(np.ascontiguousarray(array, dtype="<i4").data)
    return state.hexdigest()


def memoryless(dataset: Dataset) -> float:
    """Accuracy on `valid` of the best predictor that sees only the current input symbol. It predicts the most
    frequent target of the symbol in `train` (the smallest of ties), and for a symbol without scored positions
    in `train` the most frequent target overall.
    """
    inputs, targets = _pairs(dataset.train)
    size = np.int64(dataset.vocabulary)
    # counted as pairs: a V x V table would take 800 MB for 10,000 words
    pairs, counts = np.unique(inputs * size + targets, return_counts=True)
    order = np.lexsort((pairs, -counts))
    first_seen, first = np.unique(pairs[order] // size, return_index=True)
    guess = np.full(dataset.vocabulary, np.argmax(np.bincount(targets, minlength=dataset.vocabulary)))
    guess[first_seen] = pairs[order][first] % size
    inputs, targets = _pairs(dataset.valid)
    return float(np.mean(guess[inputs] == targets))


def _pairs(part: Part) -> tuple[Symbols, Symbols]:
    """Inputs and targets of the scored positions, flat."""
    scored = part.targets != IGNORE
    return part.inputs[scored], part.targets[scored]
