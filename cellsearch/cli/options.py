"""Arguments that several verbs share."""

from argparse import ArgumentParser as Parser

from cellsearch.cli import numbers
from cellsearch.report.columns import FORMATS


def json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def table(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    which.add_argument(
        "--format", type=numbers.one_of(FORMATS, "format"), metavar="FORMAT",
        help="print the table as csv, with full precision, or as markdown",
    )  # fmt: skip


def storage(parser: Parser) -> None:
    parser.add_argument(
        "--storage", metavar="URL", help="database of the search (default: results/NAME/study.db)"
    )


def device(parser: Parser) -> None:
    parser.add_argument(
        "--device",
        type=numbers.device,
        default="cpu",
        help="device to train on: cpu, cuda, cuda:1 (default: cpu)",
    )


def devices(parser: Parser) -> None:
    parser.add_argument(
        "--devices", "--device", type=numbers.devices, default=["cpu"], metavar="WHERE",
        help="devices to train on: cpu, cuda, cuda:1, a comma-separated list, or all for a worker on each "
        "" "GPU (default: cpu)",
    )  # fmt: skip


def data(parser: Parser) -> None:
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="directory with the data files of tasks (ptb, and text files that are not in the folder of the "
        "YAML file)",
    )


def rows(parser: Parser) -> None:
    parser.add_argument(
        "--rows", type=numbers.whole(0), default=10, metavar="N",
        help="number of cells on the leaderboard, in addition to the seeds, LSTM and GRU (default: 10)",
    )  # fmt: skip


def cell(parser: Parser, *, variants: bool = True) -> None:
    parser.add_argument(
        "cell", metavar="CELL",
        help="a zoo name, a .cell file, NAME:RANK of a search (quick:1, or quick:m12 by the cell's name), or "
        "the first letters of a fingerprint; looked up in this order",
    )  # fmt: skip
    storage(parser)
    if variants:
        variant(parser)


def variant(parser: Parser) -> None:
    parser.add_argument(
        "--without", action="append", default=[], metavar="PART",
        help="remove a gate by name, letter (i f o z r d) or role, or input_activation or "
        "" "output_activation; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--couple",
        action="append",
        default=[],
        metavar="GATE,BY",
        help="replace a gate by 1 minus another one: f,i",
    )
    parser.add_argument(
        "--peepholes", metavar="GATES", help="gates with a peephole to the cell state: i,f, all or none"
    )


def workers(parser: Parser) -> None:
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), default=1, metavar="N",
        help="worker processes per device (default: 1)",
    )  # fmt: skip
