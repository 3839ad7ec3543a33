"""Children of a cell: the number and places of mutations, and the acceptance of children.

`MutationSpec` says how to mutate, `Limits` bounds the child. The mutations are the table in `mutation.table`;
they work on the expanded graph. The child is freed of dead states and factored before it is judged.

The paper (Jozefowicz et al. 2015, section 3.2) gives the size of a step twice: every node with probability p,
p ~ U[0, 1] per child ("strength"), and "1-3 of these transformations" ("edits"). Both are available; the
search space selects one.
"""

from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass

from numpy.random import Generator

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.rewriting.expand import ExpandedGraph, expand, factor
from cellsearch.dsl.rewriting.reach import depends_on_input, has_memory, without_dead
from cellsearch.dsl.weights import weights
from cellsearch.errors import CellError
from cellsearch.study.mutation.editable_graph import Draft
from cellsearch.study.mutation.operators import STRENGTH, Edit, Mutation, apply, one_of
from cellsearch.study.mutation.sizes import over
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.mutation.table import MUTATIONS

ATTEMPTS = 200  # cells of the zoo need two or three


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a child, and the word for its failure. `holds` gets the child, the limits and the
    fingerprints of its parent."""

    otherwise: str
    about: str
    holds: Callable[[Cell, Limits, Set[str]], bool]


TOO_LARGE = "too large"
CONDITIONS = (
    Condition(TOO_LARGE, "it is within the limits of the search space", lambda c, most, _: not over(c, most)),
    Condition("deaf", "its output depends on x", lambda c, *_: depends_on_input(c)),
    Condition("forgetful", "it can depend on x of any earlier step", lambda c, *_: has_memory(c)),
    Condition("unchanged", "it is another cell than its parent", lambda c, _, old: fingerprint(c) not in old),
)
#: The word for an invalid graph: beyond a limit of the language, or with duplicate weight names.
MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Child:
    """An accepted child: its edits in order, the drawn p (None in `edits` mode), and the number of refused
    attempts by condition."""

    cell: Cell
    edits: tuple[Edit, ...]
    strength: float | None
    refused: tuple[tuple[str, int], ...]

    @property
    def recorded(self) -> tuple[Edit, ...]:
        """The edits in recorded form. A drawn p comes first, in the form of an edit."""
        if self.strength is None:
            return self.edits
        return (Edit(STRENGTH, "every node", repr(self.strength)), *self.edits)


def mutate(
    cell: Cell, rng: Generator, spec: MutationSpec, limits: Limits, name: str = "child"
) -> tuple[Cell, tuple[Edit, ...]]:
    """A child of `cell` with the name `name`, and its edits. Raises CellError as `breed` does."""
    child = breed(cell, rng, spec, limits, name)
    return child.cell, child.edits


def breed(
    cell: Cell,
    rng: Generator,
    spec: MutationSpec,
    limits: Limits,
    name: str = "child",
    attempts: int = ATTEMPTS,
) -> Child:
    """Mutate `cell` until a child meets all `CONDITIONS`; every attempt draws again, including p. Dead states
    of `cell` are removed first: a mutation that affects only them would change nothing. Raises CellError if
    no mutation applies to the cell, or if none of `attempts` children was accepted.
    """
    alive = without_dead(cell)
    graph = expand(alive)
    parents = {fingerprint(cell), fingerprint(alive), fingerprint(factor(graph))}
    refused: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    for _ in range(attempts):
        draft = Draft(graph)
        strength = float(rng.random()) if spec.size == "strength" else None
        edits = (
            by_strength(draft, rng, spec, strength) if strength is not None else by_number(draft, rng, spec)
        )
        child = _factored(draft.frozen(name))
        reason = judge(child, limits, parents) if child else MALFORMED
        if child and not reason:
            return Child(child, tuple(edits), strength, tuple(sorted(refused.items())))
        refused[reason] += 1
        if child and reason == TOO_LARGE:
            hit.update(over(child, limits)[:1])
    counts = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
    limited = "".join(f"raise limits.{name} ({getattr(limits, name):,}), " for name, _ in hit.most_common())
    raise CellError(
        f"cell {cell.name}: none of {attempts} mutants was accepted ({counts})\n"
        f"{limited}{'or ' * bool(limited)}change the weights of mutations"
    )


def judge(child: Cell, limits: Limits, parents: Set[str]) -> str:
    """The word of the first condition that a child fails, else ""."""
    return next((c.otherwise for c in CONDITIONS if not c.holds(child, limits, parents)), "")


def _factored(graph: ExpandedGraph) -> Cell | None:
    try:
        cell = factor(without_dead(graph))  # first: a node shared only with a dead state needs no name
        weights(cell)
    except CellError:
        return None
    return cell


def by_strength(draft: Draft, rng: Generator, spec: MutationSpec, strength: float) -> list[Edit]:
    """Mutates each node of the parent, inputs first, with probability `strength`, by one of the mutations
    that apply at that time. Skips nodes that earlier edits have disconnected."""
    anchors = draft.anchors()
    drawn = rng.random(len(anchors))
    edits: list[Edit] = []
    for i, u in zip(anchors, drawn, strict=True):
        if u >= strength or i not in draft.users():
            continue
        mutation = _weighted(rng, [m for m in _rows(spec) if m.applies(draft, i, spec)], spec)
        if mutation:
            edits.append(apply(mutation, draft, i, spec, rng))
    return edits


def by_number(draft: Draft, rng: Generator, spec: MutationSpec) -> list[Edit]:
    """Makes a number of mutations drawn from `spec.edits`: each chosen by weight among the applicable ones,
    at one of its applicable nodes."""
    low, high = spec.edits
    edits: list[Edit] = []
    for _ in range(int(rng.integers(low, high, endpoint=True))):
        anchors = draft.anchors()
        sites = {m.name: [i for i in anchors if m.applies(draft, i, spec)] for m in _rows(spec)}
        mutation = _weighted(rng, [m for m in _rows(spec) if sites[m.name]], spec)
        if mutation:
            edits.append(apply(mutation, draft, one_of(rng, sites[mutation.name]), spec, rng))
    return edits


def _rows(spec: MutationSpec) -> list[Mutation]:
    """The mutations with positive weight."""
    return [m for m in MUTATIONS if spec.weights.get(m.name, 0.0) > 0]


def _weighted(rng: Generator, mutations: list[Mutation], spec: MutationSpec) -> Mutation | None:
    """One of `mutations` with probability proportional to its weight; None if no weight is positive."""
    amounts = [spec.weights.get(m.name, 0.0) for m in mutations]
    total = sum(amounts)
    if total <= 0:
        return None
    u = float(rng.random()) * total
    for mutation, amount in zip(mutations, amounts, strict=True):
        u -= amount
        if u < 0:
            return mutation
    return next(m for m, amount in reversed(list(zip(mutations, amounts, strict=True))) if amount > 0)
