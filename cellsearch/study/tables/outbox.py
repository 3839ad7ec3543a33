"""The outbox: trained stages that wait for an unavailable database, in files beside the search.

A worker that adopts the trial on this machine finds them and need not train again. A file is complete or
absent, and names the study, trial, cell, task and settings that it is for.
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

OUTBOX = "outbox"  # its folder in the folder of a search
MOST = 1 << 26  # maximum bytes of a file


@dataclass(frozen=True, slots=True)
class Outbox:
    """The files of one study in `folder`, which is created on demand."""

    folder: Path
    study: str  # a digest of all facts that affect results

    def keep(self, item: Item, task: str, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Writes a stage. Raises RunError on failure."""
        own_folder(self.folder)
        text = json.dumps([asdict(outcome) for outcome in outcomes], allow_nan=False)
        kept = self._key(item, task, [outcome.setting for outcome in outcomes])
        kept |= {"outcomes": text, "seconds": seconds, "digest": _digest(text, seconds)}
        write_text(self._path(item, task), json.dumps(kept))

    def find(
        self, item: Item, task: str, settings: Sequence[str]
    ) -> tuple[tuple[Outcome, ...], float] | None:
        """The outcomes and the seconds of a stored stage; None if it is missing or does not match."""
        try:
            kept = json.loads(read(self._path(item, task), MOST))
        except (OSError, NotRegularError, ValueError):  # missing or damaged: train again
            return None
        key = self._key(item, task, settings)
        if not isinstance(kept, dict) or {name: kept.get(name) for name in key} != key:
            return None
        text, seconds = kept.get("outcomes"), kept.get("seconds")
        if not isinstance(text, str) or not isinstance(seconds, float):
            return None
        return (outcomes_of(text), seconds) if _digest(text, seconds) == kept.get("digest") else None

    def forget(self, item: Item, task: str) -> None:
        """Removes the file of a recorded stage; a leftover file is harmless."""
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
