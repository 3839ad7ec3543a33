"""What an edit of a cell is, and what a row of the table of mutations is.

A row works on a `Draft`, an expanded cell under change, at one of its nodes. Where it applies is asked before
anything is drawn, so that no edit has to be tried twice. No edit makes a cycle: a node comes to read only
nodes that do not depend on it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, TypeVar

from numpy.random import Generator

from cellsearch.study.mutation.editable_graph import Draft, place

T = TypeVar("T")
#: What is recorded as `mutation` of the p that was drawn for a child; no row has this name.
STRENGTH = "strength"


class Vocabulary(Protocol):
    """What mutations draw from, as texts of the language: activations (`tanh`, `linear(0.9)`), elementwise
    operations (`mul`), initial biases (`1`, `none`, `uniform(-1, 1)`), structures (`rank(8)`, `eye(1)`); and
    the periods of a clock."""

    @property
    def activations(self) -> Sequence[str]: ...

    @property
    def operations(self) -> Sequence[str]: ...

    @property
    def biases(self) -> Sequence[str]: ...

    @property
    def structures(self) -> Sequence[str]: ...

    @property
    def clock(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a cell: which mutation, at which node (as it read before), and what became of it."""

    mutation: str
    node: str
    detail: str

    def __str__(self) -> str:
        return f"{self.mutation.replace('_', ' ')} at {self.node}: {self.detail}"

    def json(self) -> dict[str, str]:
        """The edit as plain values; `Edit(**value)` reads it back."""
        return asdict(self)


_PARTS = {field.name for field in fields(Edit)}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One row: where a mutation applies, what it does there and says of it, and its weight in a space that
    does not name one."""

    name: str
    applies: Callable[[Draft, int, Vocabulary], object]
    change: Callable[[Draft, int, Vocabulary, Generator], str]
    weight: float
    about: str


def words_of(edits: Sequence[Any]) -> list[str]:
    """Recorded edits in words."""
    return [
        str(Edit(**edit)) if isinstance(edit, dict) and edit.keys() == _PARTS else json.dumps(edit)
        for edit in edits
        if not is_strength(edit)
    ]


def is_strength(edit: Any) -> bool:
    """Whether a recorded edit is the p that was drawn for the edits after it."""
    return isinstance(edit, dict) and edit.get("mutation") == STRENGTH


def one_of(rng: Generator, choices: Sequence[T]) -> T:
    """One of `choices`, all with the same probability."""
    return choices[int(rng.integers(len(choices)))]


def apply(mutation: Mutation, draft: Draft, i: int, words: Vocabulary, rng: Generator) -> Edit:
    """Carry out a mutation at node `i`, to which it applies."""
    node = place(draft, i)
    return Edit(mutation.name, node, mutation.change(draft, i, words, rng))
