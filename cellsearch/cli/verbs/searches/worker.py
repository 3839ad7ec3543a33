"""`cellsearch worker`: a process that joins a search."""

import argparse

from cellsearch.cli import options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    """The search, and where to train."""
    parser.add_argument("name", metavar="NAME", help="name of a running search")
    options.storage(parser)
    options.workers(parser)
    options.devices(parser)
    options.data(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Works on a search until it is done or the worker is stopped."""
    from cellsearch.cli.actions.search import limited
    from cellsearch.report.formatting import plural
    from cellsearch.study import studies
    from cellsearch.study.studies import RESULTS
    from cellsearch.study.workers import agent, pool
    from cellsearch.study.workers.run import default_url
    from cellsearch.train.resources import devices

    storage = args.storage or default_url(RESULTS, args.name)
    studies.opened(args.name, args.storage)  # fails early if there is no such search
    there = devices.chosen(args.devices)
    limited(args.workers, there, terminal)
    where = plural(len(pool.places(there, args.workers)), "worker")
    terminal.tell(
        f"{where} on {args.name} ({', '.join(there)}); Ctrl-C stops and returns open trials to the queue"
    )
    config = agent.AgentConfig(args.name, storage, str(RESULTS), args.data, there, args.workers)
    code = agent.join(config, lambda message: terminal.tell(message, "yellow"))
    terminal.tell("stopped; open trials were returned to the queue" if code else "nothing is left to do")
    return code


VERBS = (
    Verb(
        "worker", "join a running search, from any machine", arguments, run,
        "cellsearch worker big --storage postgresql://user@host/db\n"
        "cellsearch worker big --storage postgresql://user@host/db --devices all",
        "Works until the search is done; when stopped earlier, returns open trials to the queue. Put a "
        "password in ~/.pgpass or $PGPASSWORD: other users of this machine can see command lines.",
        order=11,
    ),
)  # fmt: skip
