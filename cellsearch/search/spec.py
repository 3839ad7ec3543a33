"""What a search space consists of: frozen values whose fields are the keys of the YAML, with their defaults.

The defaults of `Strategy`, `MutationSpec`, `Filter` and `Training` are those of Jozefowicz et al. 2015;
where the paper is silent the reason stands beside them. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from cellsearch.search.edits import MUTATIONS
from cellsearch.search.reading import Rule
from cellsearch.search.yaml_emit import emit
from cellsearch.search.yaml_text import Plain
from cellsearch.train.settings import Grid, Training

SEEDS, BASELINE = ("lstm", "gru"), "gru"  # section 3.1


@dataclass(frozen=True, slots=True)
class Strategy:
    """How the search chooses (Jozefowicz et al. 2015, sections 3.1 and 3.3)."""

    name: str = "jozefowicz2015"
    list: int = 100  # so many best cells are refined and mutated
    # The paper does not say how often it refines rather than mutates: even odds. (It announces three kinds of
    # steps and describes these two.)
    refine: float = 0.5
    settings: int = 20  # of each task, in one trial
    threshold: float = 0.9  # of the baseline's best accuracy; a proposal goes on to the next task above it
    baseline: str = "frozen"  # or live: a seed that improves moves all scores
    enough: int = 420  # a parent with more settings than this on a task gives its best ones to its children
    best: int = 100  # so many of them
    # Not of the paper: a task counts only where the baseline's accuracy is greater by more than this than
    # that of a predictor without memory (else it ranks nothing); so many failures in a row end a search.
    margin: float = 0.02
    failures: int = 10


@dataclass(frozen=True, slots=True)
class MutationSpec:
    """How cells are mutated (Jozefowicz et al. 2015, section 3.2)."""

    # The paper has two sentences: `strength` is "p ~ U[0, 1], and independently with probability p at each
    # node", `edits` is "we apply 1-3 of these transformations", with the two numbers of the key `edits`.
    size: str = "strength"
    edits: tuple[int, int] = (1, 3)
    weights: Mapping[str, float] = field(default_factory=lambda: {m.name: 1.0 for m in MUTATIONS})
    activations: tuple[str, ...] = (
        "tanh", "sigmoid", "relu", "linear(0)", "linear(1)", "linear(0.9)", "linear(1.1)",
    )  # fmt: skip
    operations: tuple[str, ...] = ("mul", "add", "sub")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a cell may become. The paper has no limit; without one a few giants take all the time."""

    nodes: int = 64
    matrices: int = 24  # of size H x H


@dataclass(frozen=True, slots=True)
class Filter:
    """What a new cell has to pass before it is evaluated (Jozefowicz et al. 2015, section 3.1)."""

    task: str
    options: Mapping[str, Plain]  # all of the task's
    grid: Grid
    training: Training
    settings: int = 1
    accuracy: float = 0.95


@dataclass(frozen=True, slots=True)
class TaskStage:
    """One task of the search, with everything that its results depend on. `name` is that of the stage."""

    name: str
    task: str
    options: Mapping[str, Plain]  # all of the task's
    grid: Grid
    training: Training


@dataclass(frozen=True, slots=True)
class Budget:
    """When a search ends, unless its command line says otherwise, and when a stage does."""

    trials: int = 40  # proposals and refinements, in all
    # What one cell on one task may take, all its settings together; then it has failed. It bounds what hangs,
    # not what is slow: a bound that is met makes results depend on the machine. A day, then.
    stage_hours: float = 24.0


@dataclass(frozen=True, slots=True)
class Space:
    """A search space. Seeds are zoo names or absolute paths of `.cell` files; the baseline is one's label."""

    name: str
    tasks: tuple[TaskStage, ...]
    grid: Grid
    about: str = ""
    seeds: tuple[str, ...] = SEEDS
    baseline: str = BASELINE
    strategy: Strategy = Strategy()
    mutation: MutationSpec = field(default_factory=MutationSpec)
    limits: Limits = Limits()
    filter: Filter | None = None
    training: Training = field(default_factory=Training)
    budget: Budget = Budget()
    source: str = field(default="", compare=False, repr=False)  # the YAML it was read from

    @property
    def text(self) -> str:
        """The space in full as YAML, defaults and overrides written out; reading it gives an equal space."""
        return emit(plain(self))


def plain(value: object) -> Plain:
    """A space or a part of it as the plain values of its YAML."""
    if isinstance(value, Filter | TaskStage):
        pairs = {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.name != "grid"}
        return {**pairs, "parameters": list(value.grid.parameters)}
    if isinstance(value, Space):
        order = (
            "name",
            "about",
            "seeds",
            "baseline",
            "strategy",
            "mutation",
            "limits",
            "filter",
            "tasks",
            "grid",
        )
        return {key: plain(getattr(value, key)) for key in (*order, "training", "budget")}
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    assert value is None or isinstance(value, bool | int | float | str)
    return value


# What each value may be: a range with both ends allowed, or words. Ends that only keep nonsense out are wide.
# fmt: off
RULES: Mapping[type, Mapping[str, Rule]] = {
    Strategy: {
        "name": ("jozefowicz2015",), "list": (1, 1_000_000), "refine": (0, 1), "settings": (1, 1_000_000),
        "threshold": (0, 1), "baseline": ("frozen", "live"), "enough": (1, 1_000_000), "best": (1, 1_000_000),
        "margin": (-1, 1), "failures": (1, 1_000_000),
    },
    MutationSpec: {"size": ("strength", "edits"), "edits": (1, 100), "weights": (0, 1_000_000)},
    Limits: {"nodes": (1, 1_000), "matrices": (1, 1_000)},
    Filter: {"settings": (1, 1_000_000), "accuracy": (0, 1)},
    Budget: {"trials": (0, 1_000_000_000), "stage_hours": (1e-6, 1e6)},
    Grid: {
        "init_scale": (1e-6, 1e3), "learning_rate": (1e-9, 1e3), "max_norm": (1e-6, 1e9), "layers": (1, 64),
        "parameters": (100, 1e10),
    },
    Training: {
        "batch": (1, 100_000), "steps": (1, 100_000), "patience": (1, 10_000), "halvings": (0, 10_000),
        "factor": (1e-6, 1), "max_epochs": (1, 1_000_000), "dtype": ("float32", "float64"),
    },
}
# fmt: on
