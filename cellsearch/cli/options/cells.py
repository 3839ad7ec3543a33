"""Arguments of verbs about cells, tasks, spaces and speed."""

from argparse import ArgumentParser as Parser
from collections.abc import Callable

from cellsearch.cli import numbers
from cellsearch.cli.options import common

TARGETS = ("torch", "latex")


def cell(parser: Parser) -> None:
    parser.add_argument(
        "cell", metavar="CELL",
        help="a zoo name, a .cell file, NAME:RANK of a search (quick:1, or quick:m12 by the cell's name), or "
        "the first letters of a fingerprint; looked up in this order",
    )  # fmt: skip
    common.storage(parser)


def show(parser: Parser) -> None:
    cell(parser)
    parser.add_argument(
        "--input", type=numbers.whole(1, 10**6), default=100, metavar="D", help="inputs (default: 100)"
    )
    parser.add_argument(
        "--hidden", type=numbers.whole(1, 10**6), default=100, metavar="H", help="units (default: 100)"
    )
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
    common.json(parser)


def check(parser: Parser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .cell or .yaml file, or the name of a cell or of a space, or the database of a search",
    )
    common.data(parser)
    common.json(parser)


def cells(parser: Parser) -> None:
    parser.add_argument(
        "--check", action="store_true",
        help="compare every compiled cell with the plain loop over its equations, gradients included",
    )  # fmt: skip
    common.table(parser)


def tasks(parser: Parser) -> None:
    parser.add_argument("name", metavar="TASK", nargs="?", help="with all its options (default: all tasks)")
    common.table(parser)


def spaces(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="SPACE", nargs="?", help="its YAML, to be copied and changed (default: a list)"
    )
    parser.add_argument(
        "--keys", action="store_true", help="list every key of a space: default, allowed values and reason"
    )
    common.table(parser)


def export(parser: Parser) -> None:
    cell(parser)
    parser.add_argument(
        "--to", metavar="KINDS", type=numbers.words(TARGETS), default=[],
        help=f"kinds of file, with commas between them: {','.join(TARGETS)} (default: torch)",
    )  # fmt: skip
    parser.add_argument(
        "--out", default=".", metavar="PATH",
        help="a directory, or one file that ends in .py or .tex (default: this directory)",
    )  # fmt: skip
    parser.add_argument("--name", default="", help="another name for the cell, its class and its files")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    common.json(parser)


def import_(parser: Parser) -> None:
    parser.add_argument(
        "file", metavar="FILE",
        help="recipes of NAS-Bench-NLP (.json), genotypes of DARTS (.py), or a log with genotypes in it",
    )  # fmt: skip
    parser.add_argument(
        "--to", metavar="DIR", help="write a .cell file for each cell there (default: print them)"
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    common.json(parser)


def bench(parser: Parser) -> None:
    def several(low: int, high: int) -> Callable[[str], list[int]]:
        return lambda text: [numbers.whole(low, high)(word) for word in text.split(",")]

    parser.add_argument(
        "--cell", type=lambda text: text.split(","), metavar="CELLS",
        default=["lstm", "gru", "gru_torch", "mut1", "mutant_12", "mutant_24"],
        help="cells, with commas between them; mutant_12 and mutant_24 are random mutants of 12 and 24 nodes "
        "(default: lstm,gru,gru_torch,mut1,mutant_12,mutant_24)",
    )  # fmt: skip
    parser.add_argument(
        "--hidden", type=several(1, 16384), default=[64], metavar="H",
        help="units of a layer, several with commas between them (default: 64)",
    )  # fmt: skip
    parser.add_argument(
        "--population", type=several(1, 65536), default=[20], metavar="K",
        help="members trained at once, several with commas between them (default: 20)",
    )  # fmt: skip
    for name, default, about in (
        ("batch", 20, "sequences of a minibatch"), ("steps", 35, "steps of a window"),
        ("layers", 1, "layers"), ("vocabulary", 50, "symbols, of embedding and output"),
        ("threads", 1, "CPU threads"), ("rounds", 9, "measurements of each"),
    ):  # fmt: skip
        reader = numbers.whole(1, 100_000)
        parser.add_argument(
            f"--{name}", type=reader, default=default, metavar="N", help=f"{about} (default: {default})"
        )
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes a while")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--profile", action="store_true", help="instead of the others: where the time of a step goes"
    )
    instead.add_argument(
        "--mix", metavar="SPACE",
        help="instead of one size: 20 settings of this search space, in the groups of layers and units that "
        "they fall into; batch and steps are the space's",
    )  # fmt: skip
    common.device(parser)
    common.json(parser)
