"""`cellsearch train`: train a cell into a model folder that works without cellsearch."""

import argparse
import time
from pathlib import Path

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb

OFTEN = 2.0  # seconds between two lines of progress


def arguments(parser: Parser) -> None:
    """The cell, the task, changed settings, and the model's folder."""
    options.cell(parser)
    parser.add_argument(
        "--task", metavar="TASK", help="task of the cell's search or of --space, or one of `cellsearch tasks`"
    )
    parser.add_argument(
        "--seeds", type=numbers.whole(1, 1_000), default=3, metavar="N",
        help="number of trainings with different initial weights; the best on the validation part is kept "
        "(default: 3)",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="DIR",
        help="folder of the model (default: results/NAME/models/CELL-TASK; models/CELL-TASK for a cell that "
        "no search found)",
    )  # fmt: skip
    changes = parser.add_argument_group("changes to the recorded setting or the defaults")
    changes.add_argument(
        "--setting", metavar="VALUES", help="changed values, as in learning_rate=0.5,layers=2"
    )
    changes.add_argument(
        "--hidden", "--width", type=numbers.whole(1, 1_000_000), metavar="H", help="units per layer"
    )
    changes.add_argument("--layers", type=numbers.whole(1, 64), metavar="L", help="layers")
    changes.add_argument(
        "--epochs", type=numbers.whole(1, 1_000_000), metavar="N",
        help="maximum number of epochs; the schedule of the task may end earlier",
    )  # fmt: skip
    changes.add_argument(
        "--set", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="value of the task, as in options.train=100000 or training.patience=5; may be repeated",
    )  # fmt: skip
    changes.add_argument(
        "--seed", type=numbers.whole(0, 2**63 - 1), metavar="N",
        help="first random seed, also of generated data (default: that of the search, or 1)",
    )  # fmt: skip
    changes.add_argument(
        "--space",
        metavar="SPACE",
        help="search space with the task, for a cell that no search found",
    )
    options.device(parser)
    options.data(parser)
    parser.add_argument(
        "--memory", type=numbers.whole(1, 1_000_000), default=16, metavar="GB",
        help="memory in gigabytes for the seeds that train at once (default: 16)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite an existing model")
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Trains, and prints the scores."""
    # imported here: parsing arguments does not need them
    from cellsearch.analysis.training.model import trained
    from cellsearch.analysis.training.plan import Wanted, plan
    from cellsearch.cli.find import chosen
    from cellsearch.report import models
    from cellsearch.train.resources import devices

    found = chosen(args, terminal.note)
    (device,) = devices.chosen([args.device])
    devices.check(device)
    wanted = Wanted(
        args.task, args.setting, args.seeds, args.seed, args.hidden, args.layers, args.epochs, args.space,
        tuple(args.set),
    )  # fmt: skip
    made = plan(found, wanted, Path(args.data) if args.data else None)
    last = time.monotonic()

    def progress(label: str, epoch: int, running: int, best: float | None) -> None:
        nonlocal last
        if time.monotonic() - last >= OFTEN:
            terminal.tell(models.epoch_line(label, epoch, running, best), "dim")
            last = time.monotonic()

    model = trained(
        made, Path(args.out) if args.out else made.folder, device=device, memory=args.memory,
        overwrite=args.force, progress=progress,
    )  # fmt: skip
    if args.json:
        terminal.json({"folder": str(model.folder), "new": model.new, **model.facts})
    else:
        terminal.print(models.lines(model, terminal.out.width))
    return 0


VERBS = (
    Verb(
        "train", "train a cell and keep the model", arguments, run,
        "cellsearch train quick:1 --task arithmetic\n"
        "cellsearch train quick:1 --task text --hidden 256 --layers 2 --epochs 60 --out big\n"
        "cellsearch train gru --task xml --space quick --setting learning_rate=0.5",
        "Trains a found cell at the best setting of its search and reproduces the recorded validation "
        "accuracy. After a kill the same command resumes, bit for bit on a CPU. The folder has model.py, "
        "which needs only PyTorch, model.safetensors, config.json, a model card, and the test part.",
        order=33,
    ),
)  # fmt: skip
