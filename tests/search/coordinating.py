"""A `search` process with scripted workers, for tests of real processes and signals.

`python coordinating.py FOLDER WORKERS TRIALS SECONDS [WRONG] [LIMIT]`; prints the exit code's reason on
stderr.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellsearch.errors import CellsearchError
from cellsearch.search.run import Options, search
from tests.search.scripted import DIGESTS, space_of

RUNNER = Path(__file__).with_name("runner.py")


def main(folder: str, workers: str, trials: str, seconds: str, wrong: str = "", limit: str = "") -> int:
    options = Options(
        workers=int(workers),
        trials=int(trials),
        seconds=float(limit) if limit else None,
        results=Path(folder),
        command=(sys.executable, str(RUNNER), seconds, wrong),
    )
    try:
        return search(space_of(), "s", lambda seed: DIGESTS, options)
    except CellsearchError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
