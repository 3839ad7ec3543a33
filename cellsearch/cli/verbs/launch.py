"""`cellsearch launch`: workers on a Slurm or a Ray cluster."""

import argparse

from cellsearch.cli.terminal import Terminal
from cellsearch.errors import UsageError, printable
from cellsearch.report.formatting import HOUR, plural
from cellsearch.study import studies
from cellsearch.study.launch import place, ray, slurm
from cellsearch.study.launch.place import Places
from cellsearch.study.studies import RESULTS
from cellsearch.study.system.signals import listening
from cellsearch.study.workers.run import default_url

SLURM = ("time", "partition", "option")  # options of Slurm alone


def run_launch(args: argparse.Namespace, terminal: Terminal) -> int:
    """Submits jobs and ends, or places tasks and waits for them."""
    if args.on != "slurm":
        for option in SLURM:
            if getattr(args, option):
                raise UsageError(f"--{option} is of Slurm; {args.on} has no such thing")
    place.check(args.storage or default_url(RESULTS, args.name))
    studies.opened(args.name, args.storage)  # says at once where there is no such search
    places = Places(
        args.count, args.workers, args.gpus, args.time and args.time / HOUR, args.memory, args.partition,
        dict(option.split("=", 1) for option in args.option),
    )  # fmt: skip
    config = place.config_of(args.name, args.storage, places, RESULTS, args.data)
    if args.on == "slurm":
        jobs = slurm.launch(config, places)
        array = str(jobs[0].job_id).partition("_")[0]
        terminal.tell(
            f"{plural(len(jobs), 'job')} submitted; they work until nothing is left.\n"
            f"`squeue --job {array}` shows them, `scancel {array}` ends them; `cellsearch status` "
            "shows what they do"
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
