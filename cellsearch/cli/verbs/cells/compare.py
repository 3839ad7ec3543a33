"""`cellsearch compare`: cells with the same random settings, the best of each beside a baseline."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The cells, the tasks, the number of settings, and their ranges."""
    parser.add_argument(
        "cells", metavar="CELL", nargs="+",
        help="cells as in `cellsearch show`: zoo names, .cell files, NAME:RANK; the first is the baseline",
    )  # fmt: skip
    options.storage(parser)
    parser.add_argument(
        "--task", metavar="TASKS", type=lambda text: [word.strip() for word in text.split(",")], default=[],
        help="a comma-separated list of tasks of --space or of `cellsearch tasks` (default: "
        "all tasks of the space)",
    )  # fmt: skip
    parser.add_argument("--baseline", metavar="CELL", help="name of the reference cell")
    parser.add_argument(
        "--settings", type=numbers.whole(2, 100_000), default=40, metavar="N",
        help="number of settings of each cell on each task, the same for all (default: 40; Greff et al. used "
        "200)",
    )  # fmt: skip
    parser.add_argument(
        "--best", type=numbers.share, default=0.1, metavar="SHARE",
        help="share of the settings of a cell that is compared, the best by validation accuracy (default: "
        "0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--margin", type=numbers.share, default=0.02, metavar="SHARE",
        help="a cell that is worse by less than this share of the baseline does not hurt (default: 0.02)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="folder of the results (default: results/compare/TASKS)")
    changes = parser.add_argument_group("settings and tasks")
    changes.add_argument(
        "--draw", action="append", default=[], metavar="NAME=RANGE",
        help="range of a hyperparameter: learning_rate=0.05..2 is log-uniform, layers=1,2 one of these; may "
        "be repeated (default: the least to the greatest value in the grid of the space; without a space "
        "init_scale=0.3..2.8, learning_rate=0.1..5, max_norm=1..20)",
    )  # fmt: skip
    changes.add_argument(
        "--set", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="value of every task, as in options.train=100000 or training.patience=5; may be repeated",
    )  # fmt: skip
    changes.add_argument(
        "--epochs", type=numbers.whole(1, 1_000_000), metavar="N", help="maximum number of epochs"
    )
    changes.add_argument("--space", metavar="SPACE", help="search space with the tasks and the grid")
    changes.add_argument(
        "--seed", type=numbers.whole(0, 2**63 - 1), default=1, metavar="N",
        help="random seed of settings, initial weights and generated data (default: 1)",
    )  # fmt: skip
    options.device(parser)
    options.data(parser)
    options.workers(parser)
    parser.add_argument(
        "--memory", type=numbers.whole(1, 1_000_000), default=16, metavar="GB",
        help="memory in gigabytes for the settings that train at once (default: 16)",
    )  # fmt: skip
    options.table(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Compares, and prints the statements."""
    from cellsearch.cli.actions import compare

    return compare.compare(args, terminal)


VERBS = (
    Verb(
        "compare", "compare cells at equal random settings", arguments, run,
        "cellsearch compare lstm gru mut1 --task xml --epochs 5\n"
        "cellsearch compare greff_v greff_np --space quick --settings 100",
        "Random search as in Greff et al. (2017): every cell gets the same settings, and the best tenth of "
        "each is compared on the test part. The answer for each cell is helps, hurts, does not hurt, or "
        "cannot be told. Writes a page, a figure and JSON. After an interruption the same command resumes; a "
        "larger --settings trains only the new ones.",
        order=35,
    ),
)  # fmt: skip
