"""A `search` process whose workers are those of `lab`, for faults that need real processes.

`python searching.py ORDERS`, with ORDERS as JSON; see `Orders`. Exit code and stderr are those of the command.
"""

import json
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellsearch.errors import CellsearchError
from cellsearch.study.space import parse_space
from cellsearch.study.system.timing import TIMING
from cellsearch.study.workers.run import Options, search
from tests.faults import lab
from tests.study.scripted import DIGESTS, TEXT, space_of

LAB = Path(lab.__file__)


@dataclass(frozen=True)
class Orders:
    """What a search of a test is about."""

    folder: str  # of all searches; this one is called s
    workers: int = 1
    trials: int = 20
    seed: int | None = None
    storage: str | None = None
    limit: float | None = None  # seconds
    space: Mapping[str, Any] = field(default_factory=dict)  # changes of the strategy
    replace: Mapping[str, str] = field(default_factory=dict)  # changes of the text of the space
    wrong: Mapping[str, Any] = field(default_factory=dict)
    backup: float = TIMING.backup
    file_limit: int = 0  # bytes that a file may have; 0: as many as it wants
    at: float = 0.0  # of the monotonic clock: all that have the same begin together


def main(words: list[str]) -> int:
    orders = Orders(**json.loads(words[1]))
    wrong = json.dumps(dict(orders.wrong))
    known = lab.Wrong(**orders.wrong)
    options = Options(
        storage=orders.storage, workers=orders.workers, trials=orders.trials, seconds=orders.limit,
        results=Path(orders.folder), command=(sys.executable, str(LAB), wrong),
        timing=replace(known.timing, backup=orders.backup),
    )  # fmt: skip
    if orders.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders.file_limit, resource.RLIM_INFINITY))
    text = TEXT
    for old, new in orders.replace.items():
        assert old in text
        text = text.replace(old, new)
    space = parse_space(text) if orders.replace else space_of(**orders.space)
    while time.monotonic() < orders.at:
        pass
    try:
        data = lab.digests(known.data) if known.data else DIGESTS
        return search(space, "s", lambda seed: data, options, orders.seed)
    except CellsearchError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
