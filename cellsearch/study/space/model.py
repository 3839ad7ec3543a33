"""The model of a search space: frozen values whose fields are the keys of the YAML.

Each field declares default, range or choices, and reason; parser, listings and checks use these. The defaults
are those of Jozefowicz et al. (2015), with sections in brackets; reasons mark our choices where the paper
does not say. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from cellsearch.options import option
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.space.yaml_emit import emit
from cellsearch.study.space.yaml_text import Plain
from cellsearch.study.strategies.parents import Strategy
from cellsearch.tasks import TASKS
from cellsearch.train.settings import Grid, Training

FILTER = "filter"  # reserved for its stage
FILTER_TASK = "memorize"  # [3.1]
SEEDS, BASELINE = ("lstm", "gru"), "gru"  # [3.1]
MANY = 1_000_000  # a generous bound that only excludes nonsense

SECTION = "a mapping; its keys are listed under its name"
STAGE_KEYS = {
    "options": "options of the task: cellsearch tasks NAME",
    "parameters": "sizes of the models of this stage",
    "training": "training of this stage; omitted keys are taken from the section training",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """The test of a new cell before the tasks. Without this section there is none."""

    task: str = option(about="task of the filter [3.1]", choices=tuple(TASKS), otherwise=FILTER_TASK)
    options: Mapping[str, Plain] = option(
        about=STAGE_KEYS["options"], allowed="a mapping", otherwise="defaults of the task"
    )  # all of the task's
    grid: Grid = option(
        about=STAGE_KEYS["parameters"], allowed="as in grid", otherwise="as in grid", key="parameters"
    )
    training: Training = option(about=STAGE_KEYS["training"], allowed=SECTION, otherwise="as in training")
    settings: int = option(1, "number of random settings of the grid [3.1]", low=1, high=MANY)
    accuracy: float = option(0.95, "minimum accuracy to pass [3.1]", low=0, high=1)


@dataclass(frozen=True, slots=True)
class TaskStage:
    """One task of the list `tasks`, with everything that affects its results; `name` is the stage's."""

    name: str = option(
        about="name of the stage", allowed="letters, digits, '-', '_', '.'", otherwise="that of the task"
    )
    task: str = option(about="the task: cellsearch tasks", choices=tuple(TASKS), otherwise="the name")
    options: Mapping[str, Plain] = option(
        about=STAGE_KEYS["options"], allowed="a mapping", otherwise="defaults of the task"
    )  # all of the task's
    grid: Grid = option(
        about=STAGE_KEYS["parameters"], allowed="as in grid", otherwise="as in grid", key="parameters"
    )
    training: Training = option(about=STAGE_KEYS["training"], allowed=SECTION, otherwise="as in training")


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a search, which the command line can override, and of a stage. trials and proposals are
    totals; the search ends at the first one reached. Without both it runs 40 trials.
    """

    trials: int | None = option(
        None, "total of proposals, refinements and repeats", low=0, high=1_000_000_000, free=True
    )
    proposals: int | None = option(
        None, "total of proposals (new cells)", low=0, high=1_000_000_000, free=True
    )
    patience: int | None = option(
        None,
        "end the search after this many proposals in a row without a better score; a proposal that may "
        "exceed this is not started while others run. Not in the paper",
        low=1,
        high=1_000_000_000,
        free=True,
    )
    stage_hours: float = option(
        24.0,
        "time limit in hours for one cell on one task, all settings together; beyond it the cell fails. The "
        "default of a day is for hung processes, not slow ones: a limit that is reached makes results depend "
        "on the machine",
        low=1e-6,
        high=1e6,
        free=True,
    )
    memory_gb: float = option(
        16.0,
        "memory in gigabytes for the settings of a stage that train at once: further ones train in later "
        "batches, and a setting that exceeds it alone fails. Usage is predicted from the cell and the "
        "settings, independent of free memory. Seeds of the bundled spaces use at most a tenth of it",
        low=1e-6,
        high=1e6,
    )
    cohort: int | None = option(
        None,
        "number of trials that a worker trains side by side (a cohort). All trials of a cohort are chosen "
        "before any of them ends, so a search is reproducible only with the same size; `status` shows the "
        "used sizes. null: fill a GPU, by predicted memory and work; 1 on a CPU",
        low=1,
        high=256,
        free=True,
    )


@dataclass(frozen=True, slots=True)
class Space:
    """A search space: seeds, mutation, tasks, grid of hyperparameters, budget; frozen, and checked.

    `load_space` reads one; `text` is its YAML in full, and `cellsearch docs keys` lists every key. Seeds are
    zoo names, absolute paths of `.cell` files, or NAME:RANK of other searches; the baseline is the label of
    one.

        >>> space = cs.load_space("quick")
        >>> space.seeds, [task.name for task in space.tasks], space.budget.trials
        (('lstm', 'gru'), ['arithmetic', 'xml', 'text'], 40)
    """

    name: str = option(
        about="name of the space, and of a search of it", allowed="letters, digits, '-', '_', '.'",
        otherwise="that of the file",
    )  # fmt: skip
    tasks: tuple[TaskStage, ...] = option(
        about="tasks, in the order for a new cell [3.1]", allowed="a list of mappings; their keys "
        "are listed under tasks", otherwise="required",
    )  # fmt: skip
    grid: Grid = option(
        about="values of each hyperparameter; their product is the grid [3.7]", factory=Grid, allowed=SECTION,
        otherwise="six settings",
    )  # fmt: skip
    about: str = option("", "description of the space", allowed="a text", free=True)
    seeds: tuple[str, ...] = option(
        SEEDS,
        "initial cells, evaluated on the whole grid first [3.1]. Paths are relative to the folder of the "
        "YAML file; cells of another search are looked up at creation and recorded",
        allowed="a list of zoo names, .cell files, and cells of other searches as in quick:1",
    )
    baseline: str = option(
        BASELINE, "seed whose best accuracy on a task is the unit of scores [3.1]", allowed="one of the seeds"
    )
    strategy: Strategy = option(Strategy(), "strategy of the search", allowed=SECTION, otherwise="defaults")
    mutation: MutationSpec = option(
        about="how cells are mutated [3.2]", factory=MutationSpec, allowed=SECTION, otherwise="defaults"
    )
    limits: Limits = option(
        about="size limits of mutants", factory=Limits, allowed=SECTION, otherwise="defaults"
    )
    filter: Filter | None = option(
        None, "test of a new cell before the tasks [3.1]; null: none", allowed=SECTION
    )
    training: Training = option(
        about="schedule of training [3.6, 3.7]", factory=Training, allowed=SECTION, otherwise="defaults"
    )
    budget: Budget = option(Budget(), "limits of a search", allowed=SECTION, otherwise="defaults")
    source: str = field(default="", compare=False, repr=False)  # the YAML it was read from
    # Seed -> the text of its cell, if known: looked up in another search, or recorded.
    found: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The space in full as YAML, defaults and overrides written out; reading it gives an equal space."""
        return emit(plain(self))


def repeat_of(task: str, number: int) -> str:
    """The stage that records training `number` (1, 2, …) of a cell on a task with fresh seeds. No task has
    such a name, so that its accuracies count for no score."""
    return f"{task}#{number}"


def task_of(stage: str) -> str:
    """The task, or the filter, that a recorded stage is about."""
    return stage.partition("#")[0]


def grids(space: Space) -> dict[str, Grid]:
    """Stage -> its grid: the filter, if there is one, then the tasks in order."""
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
