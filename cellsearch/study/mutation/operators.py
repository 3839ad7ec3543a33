"""Edits of a cell, and rows of the table of mutations.

A row edits a `Draft`, an editable expanded cell, at one of its nodes. Applicability is checked before
anything is drawn, so that no edit is retried. No edit creates a cycle: a node may only read nodes that do not
depend on it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, TypeVar

from numpy.random import Generator

from cellsearch.study.mutation.editable_graph import Draft, place

T = TypeVar("T")
#: The recorded `mutation` of the drawn p of a child; no row has this name.
STRENGTH = "strength"


class Vocabulary(Protocol):
    """The choices of mutations, as texts of the language: activations (`tanh`, `linear(0.9)`), elementwise
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
    """One change of a cell: the mutation, the node before it, and the result."""

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
    """One row: where a mutation applies, its action and its description, and its default weight."""

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
    """Whether a recorded edit is the drawn p of the edits after it."""
    return isinstance(edit, dict) and edit.get("mutation") == STRENGTH


def one_of(rng: Generator, choices: Sequence[T]) -> T:
    """One of `choices`, uniformly."""
    return choices[int(rng.integers(len(choices)))]


def apply(mutation: Mutation, draft: Draft, i: int, words: Vocabulary, rng: Generator) -> Edit:
    """Apply a mutation at node `i`, where it is applicable."""
    node = place(draft, i)
    return Edit(mutation.name, node, mutation.change(draft, i, words, rng))
