"""`cellsearch verify`: trains the first cells of a search and its baseline again."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The search, the number of cells and repeats, and the devices."""
    parser.add_argument("name", metavar="NAME", help="name of a search")
    parser.add_argument(
        "--rows", type=numbers.whole(1, 1_000), default=5, metavar="N",
        help="number of cells from the top of the leaderboard (default: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--repeats", type=numbers.whole(1, 128), default=8, metavar="N",
        help="maximum trainings of a cell on each task: 4, 8, 16, 32, 64 or 128 (default: 8). A cell with an "
        "early verdict is not trained further; the baseline is trained twice as often",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), metavar="N",
        help="worker processes (default: one per CPU core, at most 8; one per GPU)",
    )  # fmt: skip
    options.device(parser)
    options.data(parser)
    options.storage(parser)
    options.table(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Verifies, and prints the verdicts."""
    from cellsearch.cli.actions import verify

    return verify.verify(args, terminal)


VERBS = (
    Verb(
        "verify", "verify the first cells of a search against its baseline", arguments, run,
        "cellsearch verify quick\ncellsearch verify quick --rows 3 --repeats 16",
        "Trains the cells and the baseline again with fresh seeds, fresh data where the task generates its "
        "data, and scores on the test part, which the search never used. The probability of any wrong "
        "verdict above or below is at most 5%, early stopping included. Results are recorded in the search: "
        "after an interruption the same command resumes.",
        order=15,
    ),
)  # fmt: skip
