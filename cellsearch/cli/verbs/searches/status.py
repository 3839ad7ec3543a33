"""`cellsearch status` and `cellsearch leaderboard`: the progress of a search, and what it has found."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def status_arguments(parser: Parser) -> None:
    """The search."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="name of a search (default: the newest, and a list of all)"
    )
    parser.add_argument(
        "--settings", action="store_true", help="instead: which hyperparameters matter, on each task"
    )
    options.storage(parser)
    options.table(parser)


def leaderboard_arguments(parser: Parser) -> None:
    """The search, and which of its cells."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of a search (default: the newest)")
    options.rows(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="filtered, failed and running cells too")
    which.add_argument(
        "--pareto", nargs="?", const="", metavar="COST",
        help="only cells to which no other one is equal or better in both score and cost: parameters, "
        "multiply_adds, matrices, nodes, depth or products (default: the cost that the space names)",
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
