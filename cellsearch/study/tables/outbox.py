"""Stages that are trained and not yet recorded, since the database is away: kept in files beside the search.

The worker that adopts the trial on this machine finds them and need not train again. A file is whole or
absent, and counts for exactly one study, trial, cell, task and settings, which it names.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from cellsearch.files import NotRegularError, own_folder, read, write_text
from cellsearch.study.tables.study_facts import Facts
from cellsearch.study.tables.work_items import Item, outcomes_of
from cellsearch.train.outcome import Outcome

OUTBOX = "outbox"  # the folder, in that of a search
MOST = 1 << 26  # bytes of a file


@dataclass(frozen=True, slots=True)
class Outbox:
    """The files of one study in `folder`, which is made when it is needed."""

    folder: Path
    study: str  # a digest of all that results depend on

    def keep(self, item: Item, task: str, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Writes a stage. Raises RunError where that cannot be done."""
        own_folder(self.folder)
        text = json.dumps([asdict(outcome) for outcome in outcomes], allow_nan=False)
        kept = self._key(item, task, [outcome.setting for outcome in outcomes])
        kept |= {"outcomes": text, "seconds": seconds, "digest": _digest(text, seconds)}
        write_text(self._path(item, task), json.dumps(kept))

    def find(
        self, item: Item, task: str, settings: Sequence[str]
    ) -> tuple[tuple[Outcome, ...], float] | None:
        """The outcomes and the seconds of a stage that was kept; None where there is none, or another one."""
        try:
            kept = json.loads(read(self._path(item, task), MOST))
        except (OSError, NotRegularError, ValueError):  # none, or damaged: it is trained again
            return None
        key = self._key(item, task, settings)
        if not isinstance(kept, dict) or {name: kept.get(name) for name in key} != key:
            return None
        text, seconds = kept.get("outcomes"), kept.get("seconds")
        if not isinstance(text, str) or not isinstance(seconds, float):
            return None
        return (outcomes_of(text), seconds) if _digest(text, seconds) == kept.get("digest") else None

    def forget(self, item: Item, task: str) -> None:
        """Removes the file of a stage that is recorded; one that stays does no harm."""
        with suppress(OSError):
            self._path(item, task).unlink(missing_ok=True)

    def _path(self, item: Item, task: str) -> Path:
        return self.folder / f"{item.trial}-{item.piece}-{sha256(task.encode()).hexdigest()[:12]}.json"

    def _key(self, item: Item, task: str, settings: Sequence[str]) -> dict[str, object]:
        key: dict[str, object] = {"study": self.study, "trial": item.trial, "piece": item.piece, "task": task}
        return key | {"fingerprint": item.fingerprint, "settings": list(settings)}


def _digest(text: str, seconds: float) -> str:
    return sha256(f"{seconds!r} {text}".encode()).hexdigest()


def outbox(folder: Path, known: Facts) -> Outbox:
    """The outbox of a study."""
    facts = [known.space, known.numerics, known.seed, sorted(known.data.items())]
    return Outbox(folder, sha256(json.dumps(facts).encode()).hexdigest())
