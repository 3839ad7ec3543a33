"""What is recorded of a study as a whole, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass

#: Raised only when the same study would give other numbers; a study of another number is read, not continued.
#: 2: of equivalent cells one is trained.
#: 3: on a CPU what depends on the input alone is computed once for each symbol.
#: 4: proposals follow from Optuna's number of the trial.
#: 5: mutants have no dead states.
#: 6: a cell's numbers are folded in float64 (`1 - 0.95` was computed in float32).
#: 7: the C engine adds up gradients in pieces, and computes the output layer in blocks.
NUMERICS = 7


@dataclass(frozen=True, slots=True)
class Unit:
    """What scores on a task are measured in: the baseline's best accuracy, once all its settings are done."""

    accuracy: float | None  # None: every setting of the baseline diverged
    floor: float  # accuracy of the best predictor that sees the current symbol alone
    kept: bool  # False: the baseline learns nothing there, so the task could rank nothing


@dataclass(frozen=True, slots=True)
class Target:
    """When a study is done: at the first of these totals. None: no limit."""

    trials: int | None = None  # proposals, refinements and repeats
    proposals: int | None = None  # proposals alone

    def expected(self, refining: float) -> int:
        """About how many trials that makes, where that share of them refines."""
        proposals = None if self.proposals is None else round(self.proposals / max(1e-3, 1 - refining))
        return min(n for n in (self.trials, proposals) if n is not None)

    def nearest(self, trials: int, proposals: int) -> tuple[str, int, int]:
        """The total that is met first, by the numbers that have ended: its name, number and target."""
        totals = [("trials", trials, self.trials), ("proposals", proposals, self.proposals)]
        known = [(name, done, of) for name, done, of in totals if of is not None]
        return max(known, key=lambda total: total[1] / total[2] if total[2] else 1.0)


@dataclass(frozen=True, slots=True)
class Facts:
    """The recorded facts of a study."""

    name: str
    space: str  # YAML text as run
    numerics: int
    program: str
    seed: int
    data: Mapping[str, str]  # stage -> digest
    baseline: Mapping[str, Unit] | None  # stage -> unit; None until the baseline is done
    trials: int | None  # the target: proposals, refinements and repeats in total; None: no limit
    proposals: int | None  # the target: proposals alone; None: no limit
    seconds: float
    cause: str
    stopped: str
    halted: bool

    @property
    def target(self) -> Target:
        """When it is done."""
        return Target(self.trials, self.proposals)

    @property
    def units(self) -> dict[str, float]:
        """Stage -> the accuracy that counts as 1, for the kept tasks, in the order of the space."""
        return {t: u.accuracy for t, u in (self.baseline or {}).items() if u.kept and u.accuracy is not None}


@dataclass(frozen=True, slots=True)
class Seed:
    """A cell that starts the search: evaluated on the whole grid of every task."""

    name: str
    fingerprint: str
    function: str  # functional fingerprint
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What may not change while a study lives."""

    space: str
    seed: int
    data: Mapping[str, str]
    numerics: int = NUMERICS
