"""Mutation and size limits of mutants: two sections of a search space, with their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass

from cellsearch.options import option
from cellsearch.study.mutation.table import MUTATIONS
from cellsearch.study.mutation.templates import BIASES, CLOCK, STRUCTURED


@dataclass(frozen=True, slots=True)
class MutationSpec:
    """How cells are mutated (Jozefowicz et al. 2015, section 3.2)."""

    size: str = option(
        "strength",
        "number of edits of a child. strength: the paper's procedure in full, p ~ U[0, 1] and each node "
        "edited with probability p; edits: its other sentence, 'we apply 1-3 of these transformations'",
        choices=("strength", "edits"),
    )
    edits: tuple[int, int] = option(
        (1, 3),
        "with size: edits, minimum and maximum number of edits of a child",
        low=1,
        high=100,
        allowed="[min, max], 1 to 100",
    )
    weights: Mapping[str, float] = option(
        about="relative weight of each mutation; omitted ones keep their default, which is 0 beyond the "
        "paper's six",
        factory=lambda: {m.name: float(m.weight) for m in MUTATIONS},
        low=0,
        high=1_000_000,
        allowed="a mapping of mutations to numbers from 0 to 1,000,000, at least one above 0",
    )
    activations: tuple[str, ...] = option(
        ("tanh", "sigmoid", "relu", "linear(0)", "linear(1)", "linear(0.9)", "linear(1.1)"),
        "activations that a mutation can insert or swap in",
        allowed="a list of activations: ops of one argument, and linear(a)",
    )
    operations: tuple[str, ...] = option(
        ("mul", "add", "sub"),
        "operations of two arguments that a mutation can insert or swap in",
        allowed="a list of ops of two arguments",
    )
    biases: tuple[str, ...] = option(
        BIASES,
        "initial biases that set_bias chooses from",
        allowed="a list of numbers, none, uniform(a, b), normal(a, b)",
    )
    structures: tuple[str, ...] = option(
        STRUCTURED,
        "matrix structures that set_structure chooses from",
        allowed="a list of structures, as after @ in a cell: eye(1), rank(8), …",
    )
    clock: tuple[int, ...] = option(
        CLOCK, "periods that add_clock gives a cell without a clock", low=1, high=1_000_000
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Size limits of mutants; seeds may be larger. The paper has no limit, but without one a few giants take
    all the time. None means no limit. parameters and multiply_adds are those of one layer of `width` units
    with as many inputs, in one step: in a search x has the width of the layer, which follows from the number
    of parameters.
    """

    nodes: int = option(64, "maximum number of nodes of a mutant", low=1, high=1_000)
    matrices: int = option(24, "maximum number of matrices of size H x H", low=1, high=1_000)
    depth: int | None = option(
        None, "maximum length of a chain of dependent nodes within a step", low=1, high=1_000
    )
    products: int | None = option(
        None, "maximum length of a chain of dependent matrix products within a step", low=1, high=1_000
    )
    parameters: int | None = option(
        None, "maximum number of parameters of a layer with `width` units", low=1, high=1e12
    )
    multiply_adds: int | None = option(
        None, "maximum number of multiply-adds of a layer with `width` units in a step", low=1, high=1e12
    )
    width: int = option(
        100, "units of the layer for which parameters and multiply-adds are counted", low=1, high=100_000
    )
