"""How cells are mutated and how large a mutant may be: two parts of a search space, with their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cellsearch.study.mutation.table import MUTATIONS
from cellsearch.study.mutation.templates import BIASES, CLOCK, STRUCTURED


@dataclass(frozen=True, slots=True)
class MutationSpec:
    """How cells are mutated (Jozefowicz et al. 2015, section 3.2)."""

    # The paper has two sentences: `strength` is "p ~ U[0, 1], and independently with probability p at each
    # node", `edits` is "we apply 1-3 of these transformations", with the two numbers of the key `edits`.
    size: str = "strength"
    edits: tuple[int, int] = (1, 3)
    weights: Mapping[str, float] = field(default_factory=lambda: {m.name: float(m.weight) for m in MUTATIONS})
    activations: tuple[str, ...] = (
        "tanh", "sigmoid", "relu", "linear(0)", "linear(1)", "linear(0.9)", "linear(1.1)",
    )  # fmt: skip
    operations: tuple[str, ...] = ("mul", "add", "sub")
    # Of the rows beyond the paper's six: initial values, structures of matrices, and the clock of a cell that
    # has none.
    biases: tuple[str, ...] = BIASES
    structures: tuple[str, ...] = STRUCTURED
    clock: tuple[int, ...] = CLOCK


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a child may become. The paper has no limit; without one a few giants take all the time.

    Those that are None do not limit. They hold for mutants: the seeds are whatever they are.
    """

    nodes: int = 64
    matrices: int = 24  # of size H x H
    depth: int | None = None  # nodes that wait for one another in a step
    products: int | None = None  # matrix products that do
    # What one layer of `width` units has or does in a step, with inputs of that width too: in a search x has
    # the width of the layer, and a width has to be fixed, for there it follows from the number of parameters.
    parameters: int | None = None
    multiply_adds: int | None = None
    width: int = 100
