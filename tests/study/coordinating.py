"""A `search` process with scripted workers, for tests of real processes and signals.

`python coordinating.py FOLDER WORKERS TRIALS SECONDS [WRONG] [LIMIT]`; prints the exit code's reason on
stderr. The storage is that of CELLSEARCH_TEST_STORAGE, where that is set.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellsearch.errors import CellsearchError
from cellsearch.study.space import parse_space
from cellsearch.study.workers.run import Options, search
from tests.study.scripted import DIGESTS, TEXT, space_of

RUNNER = Path(__file__).with_name("runner.py")


def main(folder: str, workers: str, trials: str, seconds: str, wrong: str = "", limit: str = "") -> int:
    options = Options(
        storage=os.environ.get("CELLSEARCH_TEST_STORAGE"),
        workers=int(workers),
        trials=int(trials),
        seconds=float(limit) if limit else None,
        results=Path(folder),
        command=(sys.executable, str(RUNNER), seconds, wrong),
    )
    try:
        # a hanging worker is given up after 0.7 seconds
        space = (
            parse_space(TEXT.replace("trials: 12", "trials: 12, stage_hours: 2e-4"))
            if wrong == "hang"
            else space_of()
        )
        return search(space, "s", lambda seed: DIGESTS, options)
    except CellsearchError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
