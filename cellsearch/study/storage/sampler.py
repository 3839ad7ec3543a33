"""Mutation of cells as an Optuna sampler, for any objective, any storage, and any number of workers.

    import cellsearch as cs
    import optuna

    def objective(trial):
        cell = cs.suggest_cell(trial)                       # a seed first, then mutants of the best cells
        rate = trial.suggest_float("rate", 0.1, 1, log=True)
        return accuracy(cell, rate)                         # your training and metric

    study = optuna.create_study(direction="maximize", sampler=cs.MutationSampler(["lstm", "gru"], seed=1))
    study.optimize(objective, n_trials=50)
    best = cs.suggest_cell(study.best_trial)

The cell of a trial is kept in its attribute `record`, with counts of its structure as parameters (see
`attributes`). A proposal depends on the seed, the trial's number, and the earlier trials; all state of the
sampler is in the trials, so a study can continue in another process, or in several. `cellsearch search` uses
the same sampler with a view on its tables.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import BaseTrial, FrozenTrial, Trial, TrialState

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.study import strategies
from cellsearch.study.mutation.mutate import breed
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.space import Space, check_seeds, load_space
from cellsearch.study.states import Kind
from cellsearch.study.storage.attributes import (
    PREFIX,
    RECORD,
    distributions,
    record_of,
    structure,
    within,
    write,
)
from cellsearch.study.storage.trial_view import TrialView
from cellsearch.study.strategies import Decision, NothingLeft, Propose, Strategy, View


def breeding(mutation: MutationSpec, limits: Limits) -> Propose:
    """Mutation as a space says."""

    def propose(cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]:
        child = breed(cell, rng, mutation, limits)
        return child.cell, [edit.json() for edit in child.recorded]

    return propose


class MutationSampler(BaseSampler):
    """A sampler of Optuna that proposes cells to `suggest_cell`: first the seeds, then as the strategy of a
    space decides, such as mutants of one of the best cells of completed trials.

    `space` is a search space (a name, a YAML file, or a `Space`), of which the seeds, `strategy`, `mutation`
    and `limits` count; or a list of seeds, cells or names, with the defaults of a space and no refinement.
    `others` samples all other parameters (None: RandomSampler). It may slow down with the number of trials,
    as TPE does. Without `parameters` a trial has only the record of its cell, which is one write to the
    storage instead of seven, but no data for plots. `propose` replaces the mutation of the space. Raises
    CellsearchError where a seed or the space cannot be read.

        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(sampler=cs.MutationSampler(["lstm", "gru"], seed=1))
        >>> study.optimize(lambda trial: len(cs.suggest_cell(trial).nodes), n_trials=4)
        >>> [cs.suggest_cell(trial).name for trial in study.trials]
        ['lstm', 'gru', 'm2', 'm3']
    """

    def __init__(
        self,
        space: Space | str | Cell | Sequence[Cell | str],
        *,
        seed: int | None = None,
        others: BaseSampler | None = None,
        parameters: bool = True,
        propose: Propose | None = None,
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
            raise RunError("there is no cell to start from\nname one, as in MutationSampler(['lstm'])")
        self.seed = seed if seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
        self.parameters = parameters
        self.others = others if others is not None else RandomSampler(seed=seed)
        self.propose = propose
        self._begin()

    def _begin(self) -> None:
        self._ranges = distributions(self.limits, self.seeds)
        self._lock = threading.Lock()  # threads of one process (n_jobs) share a sampler
        self._given: dict[int, Mapping[str, int]] = {}  # number of a trial -> the parameters of its cell
        self._trials = TrialView(self.seeds, self.strategy, self.limits)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def decide(self, study: Study, number: int, view: View | None = None) -> Decision:
        """The cell of trial `number`, from what `view` shows, or else from the trials of the study.
        Raises NothingLeft if there is none."""
        propose = self.propose or breeding(self.mutation, self.limits)
        rng = np.random.default_rng((self.seed, number, 0))
        if view is not None:
            return named(strategies.decide(self.strategy, view, propose, rng), number)
        with self._lock:
            view = self._trials
            view.read(study)
            unmet = next((seed for seed in self.seeds if fingerprint(seed) not in view.met), None)
            if unmet is not None:
                decision = Decision(Kind.SEED, unmet, fingerprint(unmet), "")
            else:
                decision = named(strategies.decide(self.strategy, view, propose, rng), number)
            view.met.setdefault(decision.fingerprint, number)
        return decision

    def give(self, trial: Trial) -> Cell:
        """Chooses the cell of a trial, and records it there."""
        try:
            decision = self.decide(trial.study, trial.number)
        except NothingLeft as error:
            raise RunError(str(error)) from error
        record = record_of(
            decision.kind, decision.cell, decision.fingerprint, parent=decision.parent, edits=decision.edits
        )
        self.write(trial, record, decision.cell)
        return decision.cell

    def write(self, trial: Trial, record: Mapping[str, Any], cell: Cell) -> None:
        """Sets the record of a trial's cell and its parameters."""
        params = within(structure(cell), self._ranges) if self.parameters else {}
        self._given[trial.number] = params
        try:
            write(trial, record, params, self._ranges)
        finally:
            del self._given[trial.number]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The search space of `others`, without our parameters."""
        space = self.others.infer_relative_search_space(study, trial)
        return {name: bounds for name, bounds in space.items() if not name.startswith(PREFIX)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Delegates to `others`."""
        return self.others.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter of the proposed cell; others are sampled by `others`."""
        given = self._given.get(trial.number, {})
        if param_name in given:
            return given[param_name]
        return self.others.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Delegates to `others`."""
        self.others.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Delegates to `others`."""
        self.others.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Reseeds `others`; proposals depend on the unique number of a trial."""
        self.others.reseed_rng()


def suggest_cell(trial: BaseTrial) -> Cell:
    """The cell of a trial: the recorded one, else one that its study's `MutationSampler` proposes now.

    A frozen trial has its cell too, `study.best_trial` for instance. Raises RunError where the study has no
    `MutationSampler`.

        >>> import optuna
        >>> study = optuna.create_study(sampler=cs.MutationSampler(["gru"], seed=1))
        >>> trial = study.ask()
        >>> cs.suggest_cell(trial), cs.suggest_cell(study.trials[0])
        (<Cell gru(x; h): 5 equations>, <Cell gru(x; h): 5 equations>)
    """
    record = trial.user_attrs.get(RECORD)
    if record is not None:
        return parse(record["cell"])
    if isinstance(trial, Trial) and isinstance(trial.study.sampler, MutationSampler):
        return trial.study.sampler.give(trial)
    raise RunError(
        f"trial {trial.number} has no cell, and its study has no sampler that proposes cells\n"
        "create it with optuna.create_study(sampler=cellsearch.MutationSampler(['lstm', 'gru']))"
    )


def named(decision: Decision, number: int) -> Decision:
    """A proposal named after its trial; fingerprints ignore names."""
    if decision.kind != Kind.PROPOSE:
        return decision
    return replace(decision, cell=replace(decision.cell, name=f"m{number}"))
