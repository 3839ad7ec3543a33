"""`cellsearch search`: a search on this machine, a forecast of one (--dry-run), or a replay (--replay)."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """SPACE, the name of the search, its totals, and its devices."""
    parser.add_argument(
        "space",
        metavar="SPACE",
        nargs="?",
        help="name of a space (see `cellsearch spaces`), a .yaml file, or the name of an existing search",
    )
    parser.add_argument(
        "--text", metavar="FILE",
        help="search on your own UTF-8 text: replaces the tasks of the space by next-character prediction on "
        "this file; keeps the filter",
    )  # fmt: skip
    parser.add_argument(
        "--name", help="name of the search and of its folder in results/ (default: name of the space; with "
        "--text, of file and space)",
    )  # fmt: skip
    _totals(parser)
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), metavar="N",
        help="worker processes per device (default: one per CPU core, at most 8; one per GPU)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=numbers.whole(0, 2**63 - 1), metavar="N", help="random seed (default: 1)"
    )
    parser.add_argument(
        "--set", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="change a value of the space, as in tasks.0.options.train=100000; may be repeated",
    )  # fmt: skip
    options.devices(parser)
    options.data(parser)
    options.storage(parser)
    options.rows(parser)
    parser.add_argument(
        "--dry-run", action="store_true",
        help="estimate cost, memory and time from a short measurement, without searching",
    )  # fmt: skip
    _replaying(parser)


def _totals(parser: Parser) -> None:
    parser.add_argument(
        "--trials", type=numbers.whole(0), metavar="N",
        help="total number of trials: proposals, refinements and repeats (default: the budget of the space)",
    )  # fmt: skip
    parser.add_argument(
        "--proposals", type=numbers.whole(0), metavar="N",
        help="total number of proposals (new cells); with --trials, the search ends at the first total "
        "reached. Either option replaces the budget of the space",
    )  # fmt: skip
    parser.add_argument(
        "--time",
        type=numbers.duration,
        metavar="TIME",
        help="total search time: 90s, 15m, 2h, 1h30m (default: no limit)",
    )


def _replaying(parser: Parser) -> None:
    replaying = parser.add_argument_group("replay", "compare strategies on recorded results")
    replaying.add_argument(
        "--replay", metavar="NAME",
        help="name of the search, instead of SPACE. Trains nothing. Accepts --set strategy.…, --trials, "
        "--seed and --data too",
    )  # fmt: skip
    replaying.add_argument(
        "--strategies", metavar="NAMES",
        help="comma-separated strategies, as in jozefowicz2015,random (default: all)",
    )  # fmt: skip
    replaying.add_argument(
        "--repeats", type=numbers.whole(1, 1_000), default=5, metavar="N",
        help="repetitions of each strategy (default: 5)",
    )  # fmt: skip
    replaying.add_argument(
        "--json", action="store_true", help="print a replay or a dry run as one JSON document on stdout"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Searches, and prints the leaderboard."""
    from cellsearch.cli.actions import search

    return search.search(args, terminal)


VERBS = (
    Verb(
        "search", "start or continue a search", arguments, run,
        "cellsearch search quick\ncellsearch search my.yaml --workers 8 --time 2h\n"
        "cellsearch search quick --text my.log\n"
        "cellsearch search quick --set tasks.2.options.level=word --set budget.trials=80 --name words\n"
        "cellsearch search --replay quick",
        "After any interruption the same command resumes the search; results that were shown are never lost. "
        "All files are in results/NAME.",
        order=10,
    ),
)  # fmt: skip
