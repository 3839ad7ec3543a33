"""`cellsearch search --replay NAME`: compares strategies on recorded results, without training."""

import argparse
from pathlib import Path

from cellsearch.analysis import cost_curve
from cellsearch.analysis import replay as replaying
from cellsearch.cli.numbers import nearest
from cellsearch.cli.terminal import Terminal
from cellsearch.errors import UsageError, printable
from cellsearch.report.searches import replay as report
from cellsearch.study import studies
from cellsearch.study.strategies import STRATEGIES
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.study.workers.worker import check_data

SEARCHING = ("name", "text", "time", "workers")  # options of a search that a replay does not use


def replay(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the table of all strategies, or of the named ones."""
    if args.space is not None:
        raise UsageError(
            f"a replay uses the space of the search: `cellsearch search --replay {args.replay}`, without "
            f"{printable(args.space, 60)}"
        )
    for option in SEARCHING:
        if getattr(args, option) is not None:
            raise UsageError(f"--{option} does not apply to a replay")
    names = _strategies(args.strategies)
    study = studies.opened(args.replay, args.storage, copies=terminal.note)
    evaluator = TorchEvaluator(study.space, study.facts.seed, Path(args.data) if args.data else None)
    check_data(study.facts, evaluator)

    def tell(name: str, repeat: int) -> None:
        terminal.tell(f"{name}: {repeat} of {args.repeats}", "dim")

    first = 1 if args.seed is None else args.seed
    found = replaying.replay(
        study, cost_curve.amounts(evaluator), names, range(first, first + args.repeats),
        replaying.ENDLESS if args.trials is None else args.trials, args.set, tell,
    )  # fmt: skip
    if args.json:
        terminal.json(report.as_json(found, study.facts.name))
    else:
        terminal.print(report.lines(found, study.facts.name, terminal.out.width))
    return 0


def _strategies(words: str | None) -> list[str]:
    """The named strategies; all for None."""
    if words is None:
        return list(STRATEGIES)
    names = list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    for name in names:
        if name not in STRATEGIES:
            hint = nearest(name, list(STRATEGIES))
            raise UsageError(f"there is no strategy '{printable(name, 40)}'\n{hint}({', '.join(STRATEGIES)})")
    if not names:
        raise UsageError(f"name at least one of {', '.join(STRATEGIES)}")
    return names
