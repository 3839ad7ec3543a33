"""`cellsearch status` and `cellsearch leaderboard`: the progress and the results of a search."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def status_arguments(parser: Parser) -> None:
    """The search."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="name of a search (default: the newest, with a list of all)"
    )
    parser.add_argument(
        "--settings", action="store_true", help="show the importance of hyperparameters on each task instead"
    )
    options.storage(parser)
    options.table(parser)


def leaderboard_arguments(parser: Parser) -> None:
    """The search, and the selection of cells."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of a search (default: the newest)")
    options.rows(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="show filtered, failed and running cells too")
    which.add_argument(
        "--pareto", nargs="?", const="", metavar="COST",
        help="show only the Pareto front of score and cost; COST is parameters, multiply_adds, "
        "" "matrices, nodes, depth or products (default: the cost in the space)",
    )  # fmt: skip
    options.storage(parser)
    options.table(parser)


def run_status(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows one search, or all of them."""
    from cellsearch.cli.actions import status

    return status.status(args, terminal)


def run_leaderboard(args: argparse.Namespace, terminal: Terminal) -> int:
    """Shows the ranked cells of a search."""
    from cellsearch.cli.actions import status

    return status.leaderboard(args, terminal)


VERBS = (
    Verb(
        "status", "show the progress of a search", status_arguments, run_status, "cellsearch status quick",
        order=13,
    ),
    Verb(
        "leaderboard", "show the ranked cells beside LSTM and GRU", leaderboard_arguments, run_leaderboard,
        "cellsearch leaderboard quick --rows 20\ncellsearch leaderboard quick --json | jq '.rows[0].score'",
        order=14,
    ),
)  # fmt: skip
