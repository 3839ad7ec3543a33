"""`cellsearch bench`: a training step of a population, compared with the alternatives."""

import argparse
from collections.abc import Callable

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb

SIZES = (
    ("batch", 20, "sequences per minibatch"), ("steps", 35, "steps per window"),
    ("layers", 1, "layers"), ("vocabulary", 50, "symbols of embedding and output"),
    ("threads", 1, "CPU threads"), ("rounds", 9, "measurements per contestant"),
)  # fmt: skip


def arguments(parser: Parser) -> None:
    """The cells, the sizes, and which comparison."""
    parser.add_argument(
        "--cell", type=lambda text: text.split(","), metavar="CELLS",
        default=["lstm", "gru", "gru_torch", "mut1", "mutant_12", "mutant_24"],
        help="comma-separated cells; mutant_12 and mutant_24 are random mutants with 12 and 24 nodes "
        "(default: lstm, gru, gru_torch, mut1, mutant_12, mutant_24)",
    )  # fmt: skip
    parser.add_argument(
        "--hidden", type=_several(1, 16384), default=[64], metavar="H",
        help="units per layer, or a comma-separated list (default: 64)",
    )  # fmt: skip
    parser.add_argument(
        "--population", type=_several(1, 65536), default=[20], metavar="K",
        help="members trained at once, or a comma-separated list (default: 20)",
    )  # fmt: skip
    for name, default, about in SIZES:
        parser.add_argument(
            f"--{name}", type=numbers.whole(1, 100_000), default=default, metavar="N",
            help=f"{about} (default: {default})",
        )  # fmt: skip
    parser.add_argument(
        "--compile", action="store_true", help="also measure torch.compile, which takes a while"
    )
    parser.add_argument(
        "--no-jax", action="store_true", help="leave out JAX, which is measured where it is installed"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--profile", action="store_true", help="profile the parts of a step instead of comparing"
    )
    instead.add_argument(
        "--mix", metavar="SPACE",
        help="measure 20 settings of this search space instead of one size, in their groups of layers and "
        "units; batch and steps are those of the space",
    )  # fmt: skip
    options.variant(parser)
    options.device(parser)
    options.json(parser)


def _several(low: int, high: int) -> Callable[[str], list[int]]:
    return lambda text: [numbers.whole(low, high)(word) for word in text.split(",")]


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measures, and prints a row per contestant."""
    from rich.text import Text

    from cellsearch.analysis.bench import cells, jax
    from cellsearch.analysis.bench.measure import bench
    from cellsearch.analysis.bench.mix import mixed
    from cellsearch.analysis.bench.profile import profiled
    from cellsearch.analysis.bench.work import Sizes
    from cellsearch.cli.find import varied
    from cellsearch.report import bench as report
    from cellsearch.study.lookup import find_cell
    from cellsearch.study.space import load_space

    named = [cells.load(word) if word in cells.MUTANTS else find_cell(word).cell for word in args.cell]
    chosen = [varied(cell, args) for cell in named]
    sizes = Sizes(steps=args.steps, batch=args.batch, layers=args.layers, vocabulary=args.vocabulary)
    common = {
        "device": args.device,
        "threads": args.threads,
        "rounds": args.rounds,
        "say": lambda what: terminal.tell(Text(what, "dim")),
    }
    if args.mix:
        space = load_space(args.mix)
        sizes = Sizes(steps=space.training.steps, batch=space.training.batch, vocabulary=args.vocabulary)
        found = mixed(chosen, space.grid, space.name, sizes, **common)
    elif args.profile:
        found = profiled(chosen, args.hidden, args.population, sizes, **common)
    else:
        with_jax = bool(jax.installed()) and not args.no_jax
        found = bench(
            chosen, args.hidden, args.population, sizes, compiled=args.compile, with_jax=with_jax, **common
        )
    if args.json:
        terminal.json(found.as_json())
    else:
        terminal.print(report.lines(found.as_json(), terminal.out.width))
    return 0


VERBS = (
    Verb(
        "bench", "compare a training step with the alternatives", arguments, run,
        "cellsearch bench --cell lstm --hidden 64,128\ncellsearch bench --profile --population 1,20\n"
        "cellsearch bench --mix jozefowicz2015 --cell lstm,mut1",
        "All contestants do the same work, in turn, in one process; losses that differ are an error. The "
        "first row is this program.",
        order=34,
    ),
)  # fmt: skip
