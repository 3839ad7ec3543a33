"""`cellsearch export`: a cell as files that work without cellsearch."""

import argparse

from cellsearch.cli import numbers, options
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb
from cellsearch.exporters import FORMATS


def arguments(parser: Parser) -> None:
    """The cell, the kinds of file, and where they are written."""
    options.cell(parser)
    kinds = ", ".join(f"{kind} ({form.about})" for kind, form in FORMATS.items())
    parser.add_argument(
        "--to", metavar="KINDS", type=numbers.words(tuple(FORMATS)), default=[],
        help=f"kinds of file, with commas between them: {kinds} (default: torch)",
    )  # fmt: skip
    parser.add_argument(
        "--out", default=".", metavar="PATH",
        help=f"a directory, or one file that ends in {', '.join(form.suffix for form in FORMATS.values())} "
        "(default: this directory)",
    )  # fmt: skip
    parser.add_argument("--name", default="", help="another name for the cell, its class and its files")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    options.json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Writes the files and names them."""
    from rich.text import Text

    from cellsearch.cli.find import chosen
    from cellsearch.errors import printable
    from cellsearch.exporters.write import export

    found = chosen(args, terminal.note)
    written = export(
        found.cell,
        args.out,
        args.to,
        name=args.name,
        provenance=found.provenance or None,
        overwrite=args.force,
    )
    if args.json:
        terminal.json(
            {"cell": args.name or found.cell.name, "origin": found.origin, "files": [str(p) for p in written]}
        )
        return 0
    terminal.print([Text(printable(str(path), 4_000)) for path in written])
    return 0


VERBS = (
    Verb(
        "export", "a cell as files that work without cellsearch", arguments, run,
        "cellsearch export quick:1 --to torch,latex --out winner",
        "A PyTorch file imports torch alone, and is compared with the compiled cell before it is written.",
        order=32,
    ),
)  # fmt: skip
