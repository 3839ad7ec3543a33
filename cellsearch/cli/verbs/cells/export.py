"""`cellsearch export`: files that work without cellsearch."""

import argparse
from typing import TYPE_CHECKING

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb
from cellsearch.exporters.formats import FORMATS

if TYPE_CHECKING:
    from cellsearch.compiler.torch.recurrent import Recurrent
    from cellsearch.dsl.graph import Cell


def arguments(parser: Parser) -> None:
    """The cell, the kinds of file, and their directory."""
    options.cell(parser)
    kinds = ", ".join(f"{kind} ({form.about})" for kind, form in FORMATS.items())
    parser.add_argument(
        "--to", metavar="KINDS", type=numbers.words(tuple(FORMATS)), default=[],
        help=f"comma-separated kinds of file: {kinds} (default: torch)",
    )  # fmt: skip
    parser.add_argument(
        "--out", default=".", metavar="PATH",
        help=f"directory, or one file that ends in {', '.join(form.suffix for form in FORMATS.values())} "
        "(default: the current directory)",
    )  # fmt: skip
    parser.add_argument("--name", default="", help="name of the cell, its class and its files")
    sizes = parser.add_argument_group("sizes of an ONNX model (its weights are random)")
    sizes.add_argument("--input-size", type=numbers.whole(1), metavar="D", help="width of the input")
    sizes.add_argument("--hidden-size", type=numbers.whole(1), metavar="H", help="units per layer")
    sizes.add_argument("--layers", type=numbers.whole(1), default=1, metavar="L", help="layers (default: 1)")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Writes the files and prints their paths."""
    from rich.text import Text

    from cellsearch.cli.find import chosen
    from cellsearch.errors import printable
    from cellsearch.exporters.write import export

    found = chosen(args, terminal.note)
    sized = args.input_size or args.hidden_size
    written = export(
        _module(found.cell, args) if sized else found.cell,
        args.out,
        args.to,
        name=args.name,
        provenance=found.provenance or None,
        overwrite=args.force,
    )
    if args.json:
        terminal.json(
            {"cell": args.name or found.cell.name, "origin": found.where, "files": [str(p) for p in written]}
        )
        return 0
    terminal.print([Text(printable(str(path), 4_000)) for path in written])
    return 0


def _module(cell: "Cell", args: argparse.Namespace) -> "Recurrent":
    """The cell with the given sizes and random weights."""
    from cellsearch.compiler.torch.recurrent import Recurrent
    from cellsearch.errors import UsageError

    if not args.input_size or not args.hidden_size:
        raise UsageError("give both --input-size and --hidden-size")
    return Recurrent(cell, args.input_size, args.hidden_size, args.layers)


VERBS = (
    Verb(
        "export", "export a cell as files that run without cellsearch", arguments, run,
        "cellsearch export quick:1 --to torch,latex --out winner",
        "Executable exports are compared with the compiled cell before they are written. A PyTorch file "
        "imports only torch.",
        order=32,
    ),
)  # fmt: skip
