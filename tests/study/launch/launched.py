"""An agent whose workers are scripted, and a command that launches it on Ray; both for tests of real processes.

`python launched.py SECONDS`: an agent; it reads its configuration like a real one.
`python launched.py SECONDS ray COUNT URL FOLDER`: launches so many of them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from cellsearch.errors import CellsearchError
from cellsearch.study.launch import place, ray
from cellsearch.study.launch.place import Places
from cellsearch.study.system.signals import listening
from cellsearch.study.workers import agent

RUNNER = Path(__file__).parents[1] / "runner.py"


def main(words: list[str]) -> int:
    if len(words) == 2:
        return agent.main((sys.executable, str(RUNNER), words[1]))
    _, seconds, _, count, url, folder = words
    places = Places(int(count), command=(sys.executable, __file__, seconds))
    config = place.config_of("s", url, places, Path(folder), None)
    try:
        with listening() as signals:
            return ray.launch(config, places, signals, lambda said: print(said, file=sys.stderr, flush=True))
    except CellsearchError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
