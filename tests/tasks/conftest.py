"""What the tests of tasks share: a part read back as text, and the data that cannot be shipped."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cellsearch.tasks import IGNORE, Dataset, Part

Spell = Callable[[Dataset, Part], list[tuple[str, list[bool]]]]


@pytest.fixture
def spell() -> Spell:
    """Every row of a part as its text of N symbols, and for every symbol whether it was to be predicted.

    Checks on the way that a target is the next input wherever it is scored. The first symbol is never
    predicted.
    """

    def spelled(dataset: Dataset, part: Part) -> list[tuple[str, list[bool]]]:
        scored = part.targets != IGNORE
        assert np.array_equal(part.targets[:, :-1][scored[:, :-1]], part.inputs[:, 1:][scored[:, :-1]])
        return [
            ("".join(dataset.symbols[symbol] for symbol in row), [False, *mask[:-1].tolist()])
            for row, mask in zip(part.inputs, scored, strict=True)
        ]

    return spelled


@pytest.fixture
def shared_data() -> Path:
    """The directory with `ptb/`, named by CELLSEARCH_DATA."""
    named = os.environ.get("CELLSEARCH_DATA")
    if not named:
        pytest.skip("CELLSEARCH_DATA does not name a directory with ptb/ (LDC material, not shipped)")
    if not (Path(named) / "ptb" / "ptb.train.txt").is_file():
        pytest.skip(f"no ptb/ptb.train.txt in CELLSEARCH_DATA={named}")
    return Path(named)
