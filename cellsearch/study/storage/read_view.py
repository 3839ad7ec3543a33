"""A read-only study for programs that read Optuna's storages, such as its dashboard; shows the record of a
trial as readable attributes."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from cellsearch.errors import RunError
from cellsearch.study.states import Kind
from cellsearch.study.storage.attributes import PREFIX, RECORD, RESULT
from cellsearch.study.storage.rdb import CellStorage
from cellsearch.study.tables.database import translated
from cellsearch.study.tables.schema import STUDY_KEY
from cellsearch.study.tables.transactions import Store

KINDS = {Kind.SEED: "seed", Kind.PROPOSE: "proposal", Kind.REFINE: "refinement", Kind.REPEAT: "repeat"}
LETTERS = 12  # of a fingerprint
WIDTH = 90  # width of an attribute on a page, in characters
NOTE = """\
A search for recurrent cells by cellsearch.

- **Trial**: a cell on a batch of settings. Trials 0, 1, … are the seeds, on every setting; then come \
proposals, that is mutants, refinements, that is known cells on new settings, and repeats, that is known \
cells at their best setting with fresh seeds.
- **Value**: {value}.
- **Intermediate values**: {reports}. Steps: {steps}.
- **States**: complete = passed every task; pruned = did not pass a stage (`stage`); failed = nothing could \
be trained (`cause`). A pruned trial has its last report as value.
- **Parameters**: counts of the cell's structure, such as `{prefix}nodes`. They describe the cell; no \
sampler chose them.
"""


def view(store: Store) -> BaseStorage:
    """The database of `store`, read-only."""
    storage = CellStorage(store, "")
    given = {
        name: (_read if name.startswith("get_") else _refused)(name)
        for name in BaseStorage.__abstractmethods__ - vars(Shown).keys()
    }
    found: BaseStorage = type("View", (Shown, BaseStorage), given)(storage)
    return found


def _read(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._ask(name, *args, **kwargs)

    return method


def _refused(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise RunError(f"{name}: this view of a search is read-only")

    return method


class Shown:
    """The overridden methods of `storage`."""

    def __init__(self, storage: CellStorage) -> None:
        self.storage = storage
        self._names: dict[str, str] = {}  # fingerprint -> name of a cell

    def get_all_studies(self) -> list[FrozenStudy]:
        studies: list[FrozenStudy] = self._ask("get_all_studies")
        for study in studies:
            about = study.user_attrs
            if STUDY_KEY in about:
                study.system_attrs = {**study.system_attrs, **_note(about)}
                study.user_attrs = {key: value for key, value in about.items() if key != STUDY_KEY}
        return studies

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials: list[FrozenTrial] = self._ask("get_all_trials", study_id, deepcopy, states)
        for trial in trials:  # a repeated cell keeps its first name, as on the leaderboard
            if isinstance(record := trial.user_attrs.get(RECORD), dict):
                self._names.setdefault(record["fingerprint"], record["name"])
        return [self._shown(trial) for trial in trials]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._shown(self._ask("get_trial", trial_id))

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return self._shown(self._ask("get_best_trial", study_id))

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The result of the storage; errors of the database become RunErrors."""
        with translated(self.storage.url):
            try:
                return getattr(self.storage, name)(*args, **kwargs)
            except StorageInternalError as error:
                raise error.__cause__ or error from error

    def _shown(self, trial: FrozenTrial) -> FrozenTrial:
        """The trial with its record in words. (Modified in place: the object is not shared.)"""
        record, result = trial.user_attrs.get(RECORD), trial.user_attrs.get(RESULT, {})
        if isinstance(record, dict):
            others = {key: value for key, value in trial.user_attrs.items() if key not in (RECORD, RESULT)}
            trial.user_attrs = others | attributes(record, result, self._names)
        return trial


def attributes(
    record: Mapping[str, Any], result: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    """A record as attributes; empty ones are left out."""
    parent = record.get("parent", "")
    found = {
        "cell": names.get(record["fingerprint"], record["name"]),
        "kind": KINDS.get(record["kind"], record["kind"]),
        "parent": names.get(parent, parent[:LETTERS]),
        "stage": result.get("task", ""),  # the failed stage
        "cause": result.get("cause", ""),
        **_lines("equations", _equations(record["cell"])),
        **_lines("proposed as", _equations(record.get("proposed", ""))),  # equivalent to the cell
        **_lines("edits", record.get("edits", ())),
        "strength": record.get("strength"),
        "seconds": result.get("seconds"),
        "fingerprint": record["fingerprint"][:LETTERS],
    }
    return {key: value for key, value in found.items() if value not in ("", None)}


def _equations(text: str) -> list[str]:
    """The text of a cell without its comments and its first line."""
    return [line for line in text.splitlines() if not line.startswith(("#", "cell "))]


def _lines(key: str, parts: Sequence[str]) -> dict[str, str]:
    """Joins parts into as few attributes as fit the width of a page, which cuts off long lines."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 2 + len(part) <= WIDTH:
            lines[-1] += f"; {part}"
        else:
            lines.append(part)
    return {f"{key} {k}" if k > 1 else key: line for k, line in enumerate(lines, 1)}


def _note(about: Mapping[str, Any]) -> dict[str, Any]:
    """The note on a study, in the dashboard's format."""
    steps = ", ".join(f"{step} {name}" for step, name in about.get("steps", {}).items())
    body = NOTE.format(
        value=about.get("value", ""), reports=about.get("reports", ""), steps=steps, prefix=PREFIX
    )
    size = 2_045  # number of the piece
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return {"dashboard:note_ver": 1} | {f"dashboard:note_str:{k}": part for k, part in enumerate(pieces)}
