"""`cellsearch verify`: the first cells of a search and its baseline, trained again."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The search, how many of its cells, how often, and where."""
    parser.add_argument("name", metavar="NAME", help="name of a search")
    parser.add_argument(
        "--rows", type=numbers.whole(1, 1_000), default=5, metavar="N",
        help="how many cells of the leaderboard, the best first (default: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--repeats", type=numbers.whole(1, 128), default=8, metavar="N",
        help="most trainings of a cell on each task: 4, 8, 16, 32, 64 or 128 (default: 8). A cell that is "
        "decided earlier is not trained further; the baseline is trained twice as often",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), metavar="N",
        help="processes that train (default: one for each core of the CPU, at most 8; one on a GPU)",
    )  # fmt: skip
    options.device(parser)
    options.data(parser)
    options.storage(parser)
    options.table(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Verifies, and shows the verdicts."""
    from cellsearch.cli.actions import verify

    return verify.verify(args, terminal)


VERBS = (
    Verb(
        "verify", "train the first cells of a search and its baseline again", arguments, run,
        "cellsearch verify quick\ncellsearch verify quick --rows 3 --repeats 16",
        "Fresh seeds, fresh data where the task makes its data, and the test part, by which nothing was "
        "chosen. With probability 95% no cell is called above or below that is not, however often one looks. "
        "What has ended is recorded in the search: the same command goes on after any interruption.",
        order=15,
    ),
)  # fmt: skip
