"""Mutation of cells as a sampler of Optuna: for any objective, any storage, and any number of workers.

    import cellsearch as cs
    import optuna

    def objective(trial):
        cell = cs.suggest_cell(trial)                       # a seed first, then mutants of the best cells
        rate = trial.suggest_float("rate", 0.1, 1, log=True)
        return accuracy(cell, rate)                         # whatever you train and measure

    study = optuna.create_study(direction="maximize", sampler=cs.MutationSampler(["lstm", "gru"], seed=1))
    study.optimize(objective, n_trials=50)
    best = cs.suggest_cell(study.best_trial)

In: trials. Out: the cell of a trial, kept in its attribute `record`, with its structure as parameters (see
`trials`). What a trial proposes follows from the seed, its number, and the trials that were there; a sampler
has no state that matters, so that a study goes on in another process, and any number of them work on it.

Nothing is trained here and no cell is refused: the rules of `cellsearch search` (filter, stages, baseline)
are not those of a study of one's own. Cells that are one function under two graphs count as two.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import BaseTrial, FrozenTrial, Trial, TrialState

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.load import load
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError, RunError
from cellsearch.search.mutate import breed
from cellsearch.search.space import Space, check_seeds, load_space
from cellsearch.search.spec import Limits, MutationSpec, Strategy
from cellsearch.search.study.trials import (
    RECORD,
    distributions,
    edits_of,
    slots_below,
    structure,
    within,
    words_of,
)

DRAWS = 100  # mutants before one is taken that was met before
PREFIX = "cell."  # of parameters: an objective may have a `depth` of its own


class Entry(NamedTuple):
    """A cell that was evaluated. `value` is its best, greater is better; `number` is that of the first trial
    of it."""

    value: float
    number: int
    fingerprint: str
    text: str


class Proposal(NamedTuple):
    """The cell of a trial, its attribute, and its parameters."""

    cell: Cell
    record: Mapping[str, Any]
    params: Mapping[str, Any]


class MutationSampler(BaseSampler):
    """Proposes cells to `suggest_cell`: first the seeds, then mutants of one of the best cells of completed
    trials.

    `space` is a search space (a name, a YAML file, or a `Space`), of which the seeds, `strategy.list`,
    `strategy.refine`, `mutation` and `limits` count; or seeds alone, cells or names, and all else is as a
    space has it by default, but nothing is refined. `others` samples all other parameters; without one they
    are by chance. It may slow down with the number of trials, as TPE does, where this sampler does not.
    Without `parameters` a trial has the record of its cell alone, which is one write to the storage instead
    of some fifteen, and plots have nothing to show.
    """

    def __init__(
        self,
        space: Space | str | Cell | Sequence[Cell | str],
        *,
        seed: int | None = None,
        others: BaseSampler | None = None,
        parameters: bool = True,
    ) -> None:
        found = load_space(space) if isinstance(space, str) else space
        if isinstance(found, Space):
            self.seeds = tuple(check_seeds(found).values())
            self.strategy, self.mutation, self.limits = found.strategy, found.mutation, found.limits
        else:
            cells = [found] if isinstance(found, Cell) else found
            self.seeds = tuple(load(cell) if isinstance(cell, str) else cell for cell in cells)
            self.strategy, self.mutation, self.limits = Strategy(refine=0.0), MutationSpec(), Limits()
        if not self.seeds:
            raise RunError("there is no cell to begin with\nname one, as in MutationSampler(['lstm'])")
        self.seed = seed if seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
        self.parameters = parameters
        self.others = others if others is not None else RandomSampler(seed=seed)
        self._begin()

    def _begin(self) -> None:
        self._ranges = distributions(self.limits, self.seeds, 0)
        self._lock = threading.Lock()  # the jobs of one process share a sampler
        self._given: dict[int, Mapping[str, Any]] = {}  # number of a trial -> the parameters of its cell
        self._forget()

    def _forget(self) -> None:
        """Begins anew: all of this is in the trials."""
        self._about: tuple[BaseStorage, int] | None = None  # the study that the rest is about
        self._first = 0  # number of the first trial that was not read, or had not ended then
        self._read: set[int] = set()  # numbers of later ones that were read and had ended
        self._met: dict[str, int] = {}  # fingerprint -> the first trial of that cell
        self._best: list[Entry] = []  # of them so many as `strategy.list` says, best first

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def give(self, trial: Trial) -> Cell:
        """Chooses the cell of a trial, and records it there."""
        proposal = self.propose(trial.study, trial.number)
        trial.set_user_attr(RECORD, dict(proposal.record))
        ranges = self._ranges | {"parent": slots_below(trial.number)}
        params = within(proposal.params, ranges) if self.parameters else {}
        self._given[trial.number] = {PREFIX + name: value for name, value in params.items()}
        try:
            for name in params:
                _suggest(trial, PREFIX + name, ranges[name])
        finally:
            del self._given[trial.number]
        return proposal.cell

    def propose(self, study: Study, number: int) -> Proposal:
        """The cell of trial `number`, from the trials that are there."""
        if len(study.directions) > 1:
            raise RunError("a study with several objectives has no best cells\ngive it one direction")
        with self._lock:
            self._look(study)
            proposal = self._decide(number, np.random.default_rng((self.seed, number)))
            self._met.setdefault(proposal.record["fingerprint"], number)
        return proposal

    def _look(self, study: Study) -> None:
        """Reads the trials that have ended since the last look."""
        if self._about is None or self._about[0] is not study._storage or self._about[1] != study._study_id:
            self._forget()
            self._about = study._storage, study._study_id
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        found = {entry.fingerprint: entry for entry in self._best}
        there = study.get_trials(deepcopy=False)  # in the order of their numbers, all of them
        while self._first < len(there) and self._first in self._read:
            self._read.remove(self._first)
            self._first += 1
        for trial in there[self._first :]:
            if trial.number in self._read:
                continue
            record = trial.user_attrs.get(RECORD)
            if trial.state.is_finished():
                self._read.add(trial.number)
            if record is None:
                continue
            mark, value = record["fingerprint"], trial.value if trial.state == TrialState.COMPLETE else None
            first = min(trial.number, self._met.get(mark, trial.number))
            self._met[mark] = first
            if value is not None and math.isfinite(value):
                before = found[mark].value if mark in found else -math.inf
                found[mark] = Entry(max(sign * value, before), first, mark, record["cell"])
        self._best = sorted(found.values(), key=lambda e: (-e.value, e.number))[: self.strategy.list]

    def _decide(self, number: int, rng: Generator) -> Proposal:
        for seed in self.seeds:
            if fingerprint(seed) not in self._met:
                return self._proposal("propose", seed)
        listed = self._best or [
            Entry(0.0, self._met[fingerprint(seed)], fingerprint(seed), show(seed)) for seed in self.seeds
        ]
        if rng.random() < self.strategy.refine:
            chosen = listed[int(rng.integers(len(listed)))]
            return self._proposal("refine", parse(chosen.text), chosen)
        child, reason = None, ""
        for _ in range(DRAWS):
            parent = listed[int(rng.integers(len(listed)))]
            try:
                child = breed(parse(parent.text), rng, self.mutation, self.limits, f"m{number}")
            except CellError as error:
                reason = str(error)
                continue
            proposal = self._proposal("propose", child.cell, parent, [edit.json() for edit in child.recorded])
            if proposal.record["fingerprint"] not in self._met:
                return proposal
        if child is None:
            raise RunError(f"no cell of {len(listed)} could be mutated: {reason}")
        return proposal

    def _proposal(
        self, kind: str, cell: Cell, parent: Entry | None = None, edits: Sequence[Mapping[str, str]] = ()
    ) -> Proposal:
        record: dict[str, Any] = {"cell": show(cell), "fingerprint": fingerprint(cell)}
        params: dict[str, Any] = {"kind": kind} | structure(cell, self.limits.width)
        if parent is not None:
            record["parent"], params["parent"] = parent.fingerprint, parent.number
        if edits:
            record["edits"] = words_of(edits)
            params |= edits_of(edits)
        return Proposal(cell, record, params)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What `others` samples together: nothing of ours."""
        space = self.others.infer_relative_search_space(study, trial)
        return {name: bounds for name, bounds in space.items() if not name.startswith(PREFIX)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """By `others`."""
        return self.others.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter of the cell that was proposed; any other by `others`."""
        given = self._given.get(trial.number, {})
        if param_name in given:
            return given[param_name]
        return self.others.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Told to `others`."""
        self.others.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Told to `others`."""
        self.others.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Of `others`: proposals follow from the number of a trial, which no two trials share."""
        self.others.reseed_rng()


def suggest_cell(trial: BaseTrial) -> Cell:
    """The cell of a trial: the recorded one, else one that its study's `MutationSampler` proposes now.

    A frozen trial has its cell too, `study.best_trial` for instance. RunError where no sampler can tell.
    """
    record = trial.user_attrs.get(RECORD)
    if record is not None:
        return parse(record["cell"])
    if isinstance(trial, Trial) and isinstance(trial.study.sampler, MutationSampler):
        return trial.study.sampler.give(trial)
    raise RunError(
        f"trial {trial.number} has no cell, and its study no sampler that proposes one\n"
        "make it with optuna.create_study(sampler=cellsearch.MutationSampler(['lstm', 'gru']))"
    )


def _suggest(trial: Trial, name: str, bounds: BaseDistribution) -> None:
    """Lets the trial have a parameter: its study's sampler is asked."""
    if isinstance(bounds, IntDistribution):
        trial.suggest_int(name, bounds.low, bounds.high)
    elif isinstance(bounds, FloatDistribution):
        trial.suggest_float(name, bounds.low, bounds.high)
    elif isinstance(bounds, CategoricalDistribution):
        trial.suggest_categorical(name, bounds.choices)
