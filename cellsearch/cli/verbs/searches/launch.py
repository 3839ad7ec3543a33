"""`cellsearch launch`: workers on a Slurm or a Ray cluster."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb
from cellsearch.errors import UsageError, printable

SLURM = ("time", "partition", "option")  # options for Slurm only


def arguments(parser: Parser) -> None:
    """The search, the cluster, and the size of a job or task."""
    parser.add_argument("name", metavar="NAME", help="name of a running search")
    parser.add_argument(
        "--on", type=numbers.one_of(("slurm", "ray"), "kind of cluster"), required=True, metavar="slurm|ray",
        help="slurm: independent jobs; ray: tasks that end with this command, on $RAY_ADDRESS or else this "
        "machine",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=numbers.whole(1, 100_000), default=1, metavar="N",
        help="number of jobs or tasks (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), default=1, metavar="N",
        help="worker processes per job or task, and per GPU (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--gpus", type=numbers.whole(0, 1024), default=0, metavar="N",
        help="GPUs per job or task (default: 0, training on the CPU)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=numbers.whole(1, 100_000), metavar="GB",
        help="memory per job or task (default: that of the cluster)",
    )  # fmt: skip
    options.data(parser)
    options.storage(parser)
    slurm = parser.add_argument_group("slurm")
    slurm.add_argument(
        "--time", type=numbers.duration, metavar="TIME",
        help="time limit of a job, which is requeued at its end: 4h, 2d (default: 12h)",
    )  # fmt: skip
    slurm.add_argument("--partition", metavar="NAME", help="partition (default: that of the cluster)")
    slurm.add_argument(
        "--option", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="another option of sbatch, as in account=cells or qos=low; may be repeated",
    )  # fmt: skip


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Submits jobs and ends, or places tasks and waits for them."""
    from cellsearch.report.formatting import HOUR, plural
    from cellsearch.study import studies
    from cellsearch.study.launch import place, ray, slurm
    from cellsearch.study.studies import RESULTS
    from cellsearch.study.system.signals import listening
    from cellsearch.study.workers.run import default_url

    if args.on != "slurm":
        for option in SLURM:
            if getattr(args, option):
                raise UsageError(f"--{option} is of Slurm; {args.on} has no such thing")
    place.check(args.storage or default_url(RESULTS, args.name))
    studies.opened(args.name, args.storage)  # fails early if there is no such search
    places = place.Places(
        args.count, args.workers, args.gpus, args.time and args.time / HOUR, args.memory, args.partition,
        dict(option.split("=", 1) for option in args.option),
    )  # fmt: skip
    config = place.config_of(args.name, args.storage, places, RESULTS, args.data)
    if args.on == "slurm":
        jobs = slurm.launch(config, places)
        array = str(jobs[0].job_id).partition("_")[0]
        terminal.tell(
            f"{plural(len(jobs), 'job')} submitted; they run until the search is done.\n"
            f"`squeue --job {array}` shows them, `scancel {array}` cancels them; `cellsearch status` shows "
            f"their progress"
        )
        return 0
    terminal.tell(
        f"{plural(args.count, 'agent')} on Ray; Ctrl-C stops them and returns open trials to the queue"
    )
    with listening() as signals:
        code = ray.launch(
            config, places, signals, lambda message: terminal.tell(printable(message, 1_000), "yellow")
        )
    terminal.tell("stopped; open trials were returned to the queue" if code else "nothing is left to do")
    return code


VERBS = (
    Verb(
        "launch", "start workers on a Slurm or a Ray cluster", arguments, run,
        "cellsearch launch big --on slurm --count 64 --gpus 1 --time 12h --storage postgresql://user@host/db\n"
        "cellsearch launch big --on ray --count 8 --storage postgresql://user@host/db",
        "Workers take trials from the database; a cancelled job returns its open trials to the queue. Put a "
        "password in ~/.pgpass, which every node must see.",
        order=12,
    ),
)  # fmt: skip
