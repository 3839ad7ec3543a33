"""What a search space consists of: frozen values whose fields are the keys of the YAML, with their defaults.

The defaults of `Strategy`, `MutationSpec`, `Filter` and `Training` are those of Jozefowicz et al. 2015;
where the paper is silent the reason stands beside them. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.space.validators import Rule
from cellsearch.study.space.yaml_emit import emit
from cellsearch.study.space.yaml_text import Plain
from cellsearch.train.settings import Grid, Training

FILTER = "filter"  # its stage has this name, so no task's stage may
SEEDS, BASELINE = ("lstm", "gru"), "gru"  # section 3.1


@dataclass(frozen=True, slots=True)
class Strategy:
    """How the search chooses (Jozefowicz et al. 2015, sections 3.1 and 3.3, unless it says otherwise)."""

    # Or `evolution` (regularised evolution of Real et al. 2019), or `random`: the parents of new cells. What
    # cells have to pass, and what they score, is the same for all.
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
    # Of `evolution` alone: the last so many cells that passed the filter; the best of a sample of so many of
    # them is mutated. P and S of Real et al. (2019), as they searched with.
    population: int = 100
    sample: int = 25
    # Of `random` alone: a seed is mutated so many times, fewest and most.
    walk: tuple[int, int] = (1, 8)
    # Not of the paper: where the settings come from. Chance is the paper's rule; else a sampler of Optuna
    # that knows what the cell and its parent came to.
    sampler: str = "chance"
    # Not of the paper: the list by score alone, or by fronts of score and cost.
    rank: str = "score"
    cost: str = "parameters"  # what is counted of a layer, as `limits` counts it


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

    # Totals; the search ends at the first that is met. Without both it makes 40 trials.
    trials: int | None = None  # proposals and refinements
    proposals: int | None = None  # proposals alone
    # What one cell on one task may take, all its settings together; then it has failed. It bounds what hangs,
    # not what is slow: a bound that is met makes results depend on the machine. A day, then.
    stage_hours: float = 24.0
    # What settings of a stage may take that train at once: more of them train one after another, and one that
    # takes more alone has failed. Which these are follows from the cell and the settings, not from what is
    # free; so it stays as it is while a study lasts. Seeds of the shipped spaces take a tenth of it at most.
    memory_gb: float = 16.0


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
    limits: Limits = field(default_factory=Limits)
    filter: Filter | None = None
    training: Training = field(default_factory=Training)
    budget: Budget = Budget()
    source: str = field(default="", compare=False, repr=False)  # the YAML it was read from

    @property
    def text(self) -> str:
        """The space in full as YAML, defaults and overrides written out; reading it gives an equal space."""
        return emit(plain(self))


def grids(space: Space) -> dict[str, Grid]:
    """Stage -> its grid: the filter, where there is one, then the tasks in order."""
    first = {FILTER: space.filter.grid} if space.filter else {}
    return first | {task.name: task.grid for task in space.tasks}


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
        "name": ("jozefowicz2015", "evolution", "random"), "list": (1, 1_000_000), "refine": (0, 1),
        "settings": (1, 1_000_000), "threshold": (0, 1), "baseline": ("frozen", "live"),
        "enough": (1, 1_000_000), "best": (1, 1_000_000), "margin": (-1, 1), "failures": (1, 1_000_000),
        "population": (1, 1_000_000), "sample": (1, 1_000_000), "walk": (1, 1_000),
        "sampler": ("chance", "tpe", "tpe_independent"), "rank": ("score", "pareto"),
        "cost": ("parameters", "multiply_adds", "matrices", "nodes", "depth", "products"),
    },
    MutationSpec: {
        "size": ("strength", "edits"), "edits": (1, 100), "weights": (0, 1_000_000), "clock": (1, 1_000_000),
    },
    Limits: {
        "nodes": (1, 1_000), "matrices": (1, 1_000), "depth": (1, 1_000), "products": (1, 1_000),
        "parameters": (1, 1e12), "multiply_adds": (1, 1e12), "width": (1, 100_000),
    },
    Filter: {"settings": (1, 1_000_000), "accuracy": (0, 1)},
    Budget: {
        "trials": (0, 1_000_000_000), "proposals": (0, 1_000_000_000), "stage_hours": (1e-6, 1e6),
        "memory_gb": (1e-6, 1e6),
    },
    Grid: {
        "init_scale": (1e-6, 1e3), "learning_rate": (1e-9, 1e3), "max_norm": (1e-6, 1e9), "layers": (1, 64),
        "parameters": (100, 1e10),
    },
    Training: {
        "batch": (1, 100_000), "steps": (1, 100_000), "patience": (1, 10_000), "halvings": (0, 10_000),
        "factor": (1e-6, 1), "max_epochs": (1, 1_000_000), "gradient": ("sum", "mean"),
        "dtype": ("float32", "float64"), "rungs": (1, 1_000_000), "keep": (0, 1),
    },
}
# fmt: on
