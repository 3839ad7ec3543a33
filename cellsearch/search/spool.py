"""Stages that are trained and not yet recorded, since the database is away: kept in files beside the search.

In: what was claimed and what came out. Out: the same, for whoever takes the slot on this machine next. What
is in a spool was shown to nobody; it only saves that it is trained again. A file is whole or absent, names
what it is of, and counts for exactly that study, slot, cell, task and settings.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from cellsearch.files import NotRegularError, own_folder, read, write_text
from cellsearch.search.records import Facts
from cellsearch.search.slots import Slot, outcomes_of
from cellsearch.train.outcome import Outcome

MOST = 1 << 26  # bytes of a file


@dataclass(frozen=True, slots=True)
class Spool:
    """The files of one study in `folder`, which is made when it is needed."""

    folder: Path
    study: str  # a digest of all that results depend on

    def keep(self, slot: Slot, task: str, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Writes a stage. Raises RunError where that cannot be done."""
        own_folder(self.folder)
        text = json.dumps([asdict(outcome) for outcome in outcomes], allow_nan=False)
        kept = self._key(slot, task, [outcome.setting for outcome in outcomes])
        kept |= {"outcomes": text, "seconds": seconds, "digest": _digest(text, seconds)}
        write_text(self._path(slot, task), json.dumps(kept))

    def find(
        self, slot: Slot, task: str, settings: Sequence[int]
    ) -> tuple[tuple[Outcome, ...], float] | None:
        """The outcomes and the seconds of a stage that was kept; None where there is none, or another one."""
        try:
            kept = json.loads(read(self._path(slot, task), MOST))
        except (OSError, NotRegularError, ValueError):  # none, or damaged: it is trained again
            return None
        key = self._key(slot, task, settings)
        if not isinstance(kept, dict) or {name: kept.get(name) for name in key} != key:
            return None
        text, seconds = kept.get("outcomes"), kept.get("seconds")
        if not isinstance(text, str) or not isinstance(seconds, float):
            return None
        return (outcomes_of(text), seconds) if _digest(text, seconds) == kept.get("digest") else None

    def forget(self, slot: Slot, task: str) -> None:
        """Removes the file of a stage that is recorded; one that stays does no harm."""
        with suppress(OSError):
            self._path(slot, task).unlink(missing_ok=True)

    def _path(self, slot: Slot, task: str) -> Path:
        return self.folder / f"{slot.number}-{sha256(task.encode()).hexdigest()[:12]}.json"

    def _key(self, slot: Slot, task: str, settings: Sequence[int]) -> dict[str, object]:
        key: dict[str, object] = {"study": self.study, "slot": slot.number, "task": task}
        return key | {"fingerprint": slot.fingerprint, "settings": list(settings)}


def _digest(text: str, seconds: float) -> str:
    return sha256(f"{seconds!r} {text}".encode()).hexdigest()


def spool(folder: Path, known: Facts) -> Spool:
    """The spool of a study."""
    facts = [known.name, known.space, known.numerics, known.seed, sorted(known.data.items())]
    return Spool(folder, sha256(json.dumps(facts).encode()).hexdigest())
