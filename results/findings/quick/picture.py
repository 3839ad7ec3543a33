"""The picture of the README: the leaderboard of the search `quick` in the current directory, as SVG.

cellsearch search quick && python results/findings/quick/picture.py leaderboard.svg
"""

import io
import sys
from pathlib import Path

from rich.console import Console

from cellsearch.cli.actions.status import print_board
from cellsearch.cli.terminal import Terminal
from cellsearch.study import studies

WIDTH = 118


def main(target: Path) -> None:
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    print_board(studies.opened("quick"), "quick", Terminal(console, Console(stderr=True)), 10, None)
    target.write_text(console.export_svg(title="cellsearch search quick"), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
