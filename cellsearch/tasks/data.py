"""What a task hands to training: three parts of symbols in B parallel rows, and what identifies them.

In: streams of symbols that a task generated or read. Out: a `Dataset` of int64 arrays [B, N], its digest, and
the accuracy of a predictor without memory, which any recurrent cell has to beat before a task can rank cells.

Row b of a part is one continuous stream: training cuts it in windows of T steps and carries the state from
window to window (Jozefowicz et al. 2015, section 3.7).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cellsearch.errors import DataError, plural

IGNORE = -1  # the target of a position that is not scored

Symbols = NDArray[np.int64]
Measure = Literal["perplexity", "bits", "loss"]


# eq=False: arrays have no single truth value; two datasets are the same when their digests are. The arrays
# stay writable because torch.from_numpy warns about read-only ones.
@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Parallel streams: `inputs` and `targets`, int64 [B, N]; a target is IGNORE where none is scored."""

    inputs: Symbols
    targets: Symbols

    @property
    def scored(self) -> int:
        """The number of positions that count."""
        return int(np.count_nonzero(self.targets != IGNORE))


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A task with its options filled in, ready for training."""

    task: str
    options: Mapping[str, object]  # resolved: every option of the task, as plain values
    vocabulary: int  # number of symbols; inputs and targets share them
    symbols: tuple[str, ...]  # how a symbol reads
    train: Part
    valid: Part
    test: Part
    measure: (
        Measure  # what people quote: perplexity of words, bits per character of real text, else loss in nats
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
    """The `Dataset` of `parts` ("train", "valid", "test"); DataError where a part has nothing to score.

    `unhashed` names options that say where the data lies and not what it is: they stay out of the digest, so
    that two machines with the same file in different places agree.
    """
    for name, part in parts.items():
        if part.scored == 0:
            raise DataError(
                f"the {name} part of task '{task}' has no position to score, in"
                f" {plural(part.inputs.shape[0], 'row')} of {plural(part.inputs.shape[1], 'symbol')}."
                " Make the part longer, or the batch smaller."
            )
        for what, least in (("inputs", 0), ("targets", IGNORE)):  # training takes them for addresses
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
    """sha256 over options, symbols and arrays, whatever the byte order, machine and order of the options."""
    head = {"task": task, "options": dict(options), "symbols": symbols}
    state = hashlib.sha256(json.dumps(head, sort_keys=True, ensure_ascii=True).encode("ascii"))
    for name in ("train", "valid", "test"):
        for array in (parts[name].inputs, parts[name].targets):
            # the shape goes in because the same stream folded for another batch is another data set
            state.update(f"\n{name} {array.shape[0]} {array.shape[1]}\n".encode("ascii"))
            state.update(np.ascontiguousarray(array, dtype="<i4").data)
    return state.hexdigest()


def memoryless(dataset: Dataset) -> float:
    """Accuracy on `valid` of the best predictor that sees the current input symbol alone.

    It answers with the target that most often followed the symbol in `train` (the smallest of equals), and
    after a symbol that `train` never scored with the most frequent target of all.
    """
    inputs, targets = _pairs(dataset.train)
    size = np.int64(dataset.vocabulary)
    # counted as pairs, not in a V x V table: that would be 800 MB for 10,000 words
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
