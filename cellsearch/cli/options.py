"""Arguments of several verbs."""

from argparse import ArgumentParser as Parser

from cellsearch.cli import numbers
from cellsearch.report.columns import FORMATS


def json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def table(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--json", action="store_true", help="one JSON document on stdout")
    which.add_argument(
        "--format", type=numbers.one_of(FORMATS, "format"), metavar="FORMAT",
        help="print the table as csv, with numbers in full, or as markdown",
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
        help="where to train: cpu, cuda, cuda:1 (default: cpu)",
    )


def devices(parser: Parser) -> None:
    parser.add_argument(
        "--devices", "--device", type=numbers.devices, default=["cpu"], metavar="WHERE",
        help="where to train: cpu, cuda, cuda:1, several with commas between them, or all: a worker on each "
        "GPU (default: cpu)",
    )  # fmt: skip


def data(parser: Parser) -> None:
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="directory with the files that tasks need (ptb, and text where its file "
        "is not in the folder of the YAML file)",
    )


def rows(parser: Parser) -> None:
    parser.add_argument(
        "--rows", type=numbers.whole(0), default=10, metavar="N",
        help="how many cells the leaderboard shows (default: 10), and the seeds, LSTM and GRU, besides",
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
        help="leave out a gate, by its name, letter (i f o z r d) or role, or the input_activation or "
        "output_activation; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--couple", action="append", default=[], metavar="GATE,BY", help="make a gate 1 - another: f,i"
    )
    parser.add_argument(
        "--peepholes", metavar="GATES", help="all, none, or the gates that look at the cell state: i,f"
    )


def workers(parser: Parser) -> None:
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), default=1, metavar="N",
        help="processes that train, for each device (default: 1)",
    )  # fmt: skip
