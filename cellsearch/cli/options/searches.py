"""Arguments of verbs about searches."""

from argparse import ArgumentParser as Parser

from cellsearch.cli import numbers
from cellsearch.cli.options import common


def migrate(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of the search")
    common.storage(parser)


def search(parser: Parser) -> None:
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
    parser.add_argument(
        "--trials", type=numbers.whole(0), metavar="N",
        help="total number of trials, that is proposals and refinements (default: the budget of the space)",
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
    common.devices(parser)
    common.data(parser)
    common.storage(parser)
    common.rows(parser)
    parser.add_argument(
        "--dry-run", action="store_true",
        help="estimate cost, memory and time, from a short measurement, without running",
    )  # fmt: skip
    replaying = parser.add_argument_group("replay", "compare strategies on what a search has recorded")
    replaying.add_argument(
        "--replay", metavar="NAME",
        help="of a search, instead of SPACE. Nothing is trained. It takes --set strategy.…, --trials, --seed "
        "and --data too",
    )  # fmt: skip
    replaying.add_argument(
        "--strategies", metavar="NAMES",
        help="with commas between them: jozefowicz2015,evolution,random (default: all)",
    )  # fmt: skip
    replaying.add_argument(
        "--repeats", type=numbers.whole(1, 1_000), default=5, metavar="N", help="of each (default: 5)"
    )
    replaying.add_argument(
        "--json", action="store_true", help="of a replay or a dry run: one JSON document on stdout"
    )


def worker(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="of a search that is running")
    common.storage(parser)
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), default=1, metavar="N",
        help="processes that train, for each device (default: 1)",
    )  # fmt: skip
    common.devices(parser)
    common.data(parser)


def launch(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="of a search that is running")
    parser.add_argument(
        "--on", choices=("slurm", "ray"), required=True,
        help="a Slurm cluster: jobs that go on by themselves; a Ray cluster ($RAY_ADDRESS, else this "
        "machine): tasks that end with this command",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=numbers.whole(1, 100_000), default=1, metavar="N", help="jobs or tasks (default: 1)"
    )
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), default=1, metavar="N",
        help="processes that train in each, for each GPU (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--gpus", type=numbers.whole(0, 1024), default=0, metavar="N",
        help="for each, with a worker on each of them (default: 0, training on the CPU)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=numbers.whole(1, 100_000), metavar="GB",
        help="for each (default: what is usual there)",
    )  # fmt: skip
    common.data(parser)
    common.storage(parser)
    slurm = parser.add_argument_group("slurm")
    slurm.add_argument(
        "--time", type=numbers.duration, metavar="TIME",
        help="that a job may run before it is queued again: 4h, 2d (default: 12h)",
    )  # fmt: skip
    slurm.add_argument("--partition", metavar="NAME", help="where to queue (default: that of the cluster)")
    slurm.add_argument(
        "--option", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="more of sbatch, as in account=cells or qos=low; may be given again",
    )  # fmt: skip


def status(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="of a search (default: the newest, and a list of all)"
    )
    parser.add_argument(
        "--settings", action="store_true", help="instead: which hyperparameters matter, on each task"
    )
    common.storage(parser)
    common.table(parser)


def leaderboard(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="of a search (default: the newest)")
    common.rows(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="filtered, failed and running cells too")
    which.add_argument(
        "--pareto", nargs="?", const="", metavar="COST",
        help="only cells that no other one beats in score without costing more: parameters, multiply_adds, "
        "matrices, nodes, depth or products (default: the cost that the space names)",
    )  # fmt: skip
    common.storage(parser)
    common.table(parser)


def searches(parser: Parser) -> None:
    parser.add_argument(
        "--storage", metavar="URL", help="list the searches of this database (default: those in results/)"
    )
    common.json(parser)


def rename(parser: Parser) -> None:
    parser.add_argument("name", metavar="OLD", help="name of the search")
    parser.add_argument("new", metavar="NEW", help="new name of the search and of its folder in results/")
    common.storage(parser)


def delete(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the search")
    parser.add_argument("--yes", action="store_true", help="delete without a question")
    common.storage(parser)


def archive(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of a search in results/")
    parser.add_argument("file", metavar="FILE", nargs="?", help="file to write (default: NAME.tar.gz)")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    common.json(parser)


def restore(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="an archive, made by `cellsearch archive`")
    parser.add_argument("--name", help="name of the search (default: the one in the archive)")
    common.json(parser)


def dashboard(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of a search (default: the newest)")
    common.storage(parser)
    parser.add_argument(
        "--port", type=numbers.whole(0, 65_535), default=8080, metavar="N",
        help="port to listen on; 0: any that is free (default: 8080)",
    )  # fmt: skip
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST",
        help="address to listen on (default: 127.0.0.1, this machine alone)",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open it in a web browser")
