"""`cellsearch search`: a search on this machine, a forecast of one (--dry-run), or a replay (--replay)."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """SPACE, what the search is called, its totals, and where it trains."""
    parser.add_argument(
        "space",
        metavar="SPACE",
        nargs="?",
        help="a name (see `cellsearch spaces`), a .yaml file, or the name of a search that is there",
    )
    parser.add_argument(
        "--text", metavar="FILE",
        help="search on a UTF-8 text of your own: replaces the tasks of the space by the next character of "
        "this file; the filter stays",
    )  # fmt: skip
    parser.add_argument(
        "--name", help="name of the search and of its folder in results/ (default: that of the space; with "
        "--text, of the file and the space)",
    )  # fmt: skip
    _totals(parser)
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), metavar="N",
        help="processes that train, for each device (default: one for each core of the CPU, at most "
        "8; one on a GPU)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=numbers.whole(0, 2**63 - 1), metavar="N", help="random seed (default: 1)"
    )
    parser.add_argument(
        "--set", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="change a value of the space, as in tasks.0.options.train=100000; may be given again",
    )  # fmt: skip
    options.devices(parser)
    options.data(parser)
    options.storage(parser)
    options.rows(parser)
    parser.add_argument(
        "--dry-run", action="store_true",
        help="estimate cost, memory and time, from a short measurement, without running",
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
        "that is met. Either option replaces the budget of the space",
    )  # fmt: skip
    parser.add_argument(
        "--time",
        type=numbers.duration,
        metavar="TIME",
        help="total time of searching: 90s, 15m, 2h, 1h30m (default: no limit)",
    )


def _replaying(parser: Parser) -> None:
    replaying = parser.add_argument_group("replay", "compare strategies on what a search has recorded")
    replaying.add_argument(
        "--replay", metavar="NAME",
        help="name of the search, instead of SPACE. Nothing is trained. It takes --set strategy.…, --trials, "
        "--seed and --data too",
    )  # fmt: skip
    replaying.add_argument(
        "--strategies", metavar="NAMES",
        help="with commas between them, as in jozefowicz2015,random (default: all that there are)",
    )  # fmt: skip
    replaying.add_argument(
        "--repeats", type=numbers.whole(1, 1_000), default=5, metavar="N",
        help="repetitions of each strategy (default: 5)",
    )  # fmt: skip
    replaying.add_argument(
        "--json", action="store_true", help="of a replay or a dry run: one JSON document on stdout"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Searches, and shows the leaderboard."""
    from cellsearch.cli.actions import search

    return search.search(args, terminal)


VERBS = (
    Verb(
        "search", "start or continue a search", arguments, run,
        "cellsearch search quick\ncellsearch search my.yaml --workers 8 --time 2h\n"
        "cellsearch search quick --text my.log\n"
        "cellsearch search quick --set tasks.2.options.level=word --set budget.trials=80 --name words\n"
        "cellsearch search --replay quick",
        "Stopped in whatever way, the same command goes on where it stood; nothing that was shown is lost. "
        "Everything is in results/NAME.",
        order=10,
    ),
)  # fmt: skip
