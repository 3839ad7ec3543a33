"""`cellsearch import`: cells from other tools, printed or written as `.cell` files."""

import argparse
import os
from pathlib import Path

from rich.text import Text

from cellsearch.cli.terminal import Terminal
from cellsearch.dsl import importers
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import show
from cellsearch.errors import ForeignError, RunError, printable
from cellsearch.files import reason, write_text

SHOWN = 20  # number of refused recipes or genotypes that are printed in full


def import_(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints all cells of the file, or writes each to its own file and prints the path. Reports refused
    entries; the exit code is 1 if there are any."""
    found = importers.read_each(args.file)
    if not found.cells and len(found.refused) == 1:
        raise found.refused[0]
    if found.cells:
        _import(args, terminal, found)
    _report(terminal, found)
    return 1 if found.refused else 0


def _import(args: argparse.Namespace, terminal: Terminal, found: importers.Found) -> None:
    cells = found.cells
    texts = {cell.name: show(cell) for cell in cells}
    files = [] if args.to is None else _written(Path(args.to), texts, args.force)
    if args.json:
        rows = [
            {"name": cell.name, "fingerprint": fingerprint(cell), "file": file, "text": texts[cell.name]}
            for cell, file in zip(cells, map(str, files) if files else [None] * len(cells), strict=True)
        ]
        terminal.json({"cells": rows, "refused": [_row(error) for error in found.refused]})
    elif args.to is not None:
        terminal.print([Text(printable(str(file), 4_000)) for file in files])
    else:
        terminal.text("\n".join(texts.values()))


def _report(terminal: Terminal, found: importers.Found) -> None:
    """Prints the errors of refused entries."""
    for error in found.refused[:SHOWN]:
        terminal.tell(str(error))
    if found.refused:
        more = len(found.refused) - SHOWN
        rest = f" ({more:,} more refused)" if more > 0 else ""
        terminal.tell(f"imported {len(found.cells):,}, refused {len(found.refused):,}{rest}", "bold")


def _row(error: ForeignError) -> dict[str, str | int | None]:
    place = error.place
    return {
        "line": place.line if place else None, "column": place.column if place else None,
        "message": error.message, "remedy": error.remedy,
    }  # fmt: skip


def _written(folder: Path, texts: dict[str, str], force: bool) -> list[Path]:
    """The paths of all cells. Raises an error before anything is written if one exists with other
    contents."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise RunError(f"{printable(str(folder))} is not a directory\nname another one with --to")
    files = {folder / f"{name}.cell": text for name, text in texts.items()}
    new = {file: text for file, text in files.items() if not _holds(file, text)}
    kept = [file for file in new if os.path.lexists(file)]
    if kept and not force:
        more = f", and so are {len(kept) - 1} more" if len(kept) > 1 else ""
        raise RunError(
            f"{printable(str(kept[0]))} already exists with other contents{more}\n"
            "overwrite it with --force, or name another directory"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: invalid path
        raise RunError(
            f"cannot create {printable(str(folder))}: {reason(error)}\n"
            "free some space, change the permissions, or name another directory with --to"
        ) from error
    for file, text in new.items():
        write_text(file, text)
    return list(files)


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.stat().st_size < 2**20 and file.read_bytes() == text.encode()
