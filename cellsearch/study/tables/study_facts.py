"""The recorded facts of a study, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass

#: Raised only when the same study would give other results; a study with other numerics is read, not
#: continued.
#: 2: of equivalent cells one is trained.
#: 3: on a CPU what depends on the input alone is computed once for each symbol.
#: 4: proposals follow from Optuna's number of the trial.
#: 5: mutants have no dead states.
#: 6: a cell's numbers are folded in float64 (`1 - 0.95` was computed in float32).
#: 7: the C engine adds up gradients in pieces, and computes the output layer in blocks.
#: 8: training on a CPU counts subnormal numbers as zero.
NUMERICS = 8


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of scores on a task: the baseline's best accuracy, once all its settings are done."""

    accuracy: float | None  # None: every setting of the baseline diverged
    floor: float  # accuracy of the best predictor that sees only the current symbol
    kept: bool  # False: the baseline learns nothing, so the task cannot rank cells


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a study: the first of these totals. None: no limit."""

    trials: int | None = None  # proposals, refinements and repeats
    proposals: int | None = None  # only proposals

    def expected(self, refining: float) -> int:
        """The approximate number of trials, given the share of refinements."""
        proposals = None if self.proposals is None else round(self.proposals / max(1e-3, 1 - refining))
        return min(n for n in (self.trials, proposals) if n is not None)

    def nearest(self, trials: int, proposals: int) -> tuple[str, int, int]:
        """The total that will be reached first: its name, current number and target."""
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
    proposals: int | None  # the target: proposals only; None: no limit
    seconds: float
    cause: str
    stopped: str
    halted: bool

    @property
    def target(self) -> Target:
        """Its target."""
        return Target(self.trials, self.proposals)

    @property
    def units(self) -> dict[str, float]:
        """Stage -> unit, for the kept tasks, in the order of the space."""
        return {t: u.accuracy for t, u in (self.baseline or {}).items() if u.kept and u.accuracy is not None}


@dataclass(frozen=True, slots=True)
class Seed:
    """An initial cell, evaluated on the whole grid of every task."""

    name: str
    fingerprint: str
    function: str  # functional fingerprint
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The conditions that may not change during a study."""

    space: str
    seed: int
    data: Mapping[str, str]
    numerics: int = NUMERICS
