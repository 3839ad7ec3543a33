"""`export`: a cell as files that work without cellsearch, each checked, then written whole or not at all.

In: a cell, a directory or a file's path, and the kinds of file. Out: the paths. Everything is made and
checked before the first file is written; a file is written beside its place and then moved there.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellsearch import files
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.limits import check_name
from cellsearch.errors import ExportError, did_you_mean, printable
from cellsearch.exporters.formats import FORMATS, Subject
from cellsearch.exporters.header import Provenance
from cellsearch.exporters.names import file_stem

if TYPE_CHECKING:
    from cellsearch.compiler.torch.recurrent import Recurrent


def export(
    cell: "Cell | Recurrent",
    path: str | os.PathLike[str] = ".",
    formats: Sequence[str] | str = (),
    *,
    name: str = "",
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write `cell` as files that work without this package, and return their paths.

    `cell` is a cell, or a `Recurrent` module, which gives an ONNX model its sizes and weights. `path` is a
    directory, made where it is missing, in which files are called after the cell; or a file whose ending says
    its kind. `formats` are kinds of file, rows of `formats.FORMATS`; left out, they follow from the file's
    ending, and for a directory it is "torch". `name` is another name for the cell. `provenance` are facts
    for the top of the files, such as the score.

    A file that is there already is left alone if it has the same contents, and else is an error unless
    `overwrite`. Raises ExportError where a file cannot be written, or where what was made and the compiled
    cell disagree; CellError where the cell has no weights by name.

        >>> [path.name for path in cs.export(cs.load("gru"), "exported", ["torch", "latex"])]
        ['gru.py', 'gru.tex']
    """
    subject = _subject(cell, name, provenance)
    kinds = [formats] if isinstance(formats, str) else list(formats)
    targets = _targets(subject.cell, Path(path), kinds)
    texts = {target: FORMATS[kind].make(subject) for kind, target in targets.items()}
    new = {target: data for target, data in texts.items() if _is_new(target, data, overwrite)}
    for target, data in new.items():
        _write(target, data)
    return list(texts)


def _subject(given: "Cell | Recurrent", name: str, provenance: Provenance | None) -> Subject:
    module = None if isinstance(given, Cell) else given
    cell = given if isinstance(given, Cell) else given.cells[0]
    return Subject(_renamed(cell, name) if name else cell, module, provenance)


def _renamed(cell: Cell, name: str) -> Cell:
    if wrong := check_name(name):
        raise ExportError(
            f"{printable(name, 80)!r} cannot be the name of a cell: {wrong}\nchoose another name"
        )
    return replace(cell, name=name)


def _targets(cell: Cell, path: Path, formats: list[str]) -> dict[str, Path]:
    """The file of each kind."""
    for kind in formats:
        if kind not in FORMATS:
            hint = did_you_mean(kind, FORMATS)
            raise ExportError(
                f"unknown format {printable(kind, 80)!r}\n{hint}(there are {', '.join(FORMATS)})"
            )
    by_suffix = {form.suffix: kind for kind, form in FORMATS.items()}
    try:
        is_file = path.suffix in by_suffix and not path.is_dir()
    except (OSError, ValueError) as error:
        raise _failed(path, error) from None
    if not is_file:
        return {kind: path / (file_stem(cell.name) + FORMATS[kind].suffix) for kind in formats or ["torch"]}
    kind = by_suffix[path.suffix]
    if formats not in ([], [kind]):
        raise ExportError(
            f"{printable(str(path))} is one file of kind {kind}, and {', '.join(formats)} are asked for\n"
            "name a directory for several files"
        )
    return {kind: path}


def _is_new(target: Path, data: bytes, overwrite: bool) -> bool:
    """Whether the file has to be written; ExportError where something else is in its place."""
    try:
        if target.is_dir():
            raise ExportError(f"{printable(str(target))} is a directory\nname another file")
        if not os.path.lexists(target):
            return True
        if target.is_file() and target.read_bytes() == data:
            return False
    except (OSError, ValueError) as error:
        raise _failed(target, error) from None
    if not overwrite:
        raise ExportError(
            f"{printable(str(target))} already exists with other contents\n"
            "write over it with --force (overwrite=True), or name another directory"
        )
    return True


def _write(target: Path, data: bytes) -> None:
    """Writes `target` whole, and reads it again."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(target, data)
        written = target.read_bytes()
    except (OSError, ValueError) as error:
        raise _failed(target, error) from error
    if written != data:
        raise ExportError(
            f"{printable(str(target))} reads back with other contents than were written\n"
            "export again, to another disk if this one is failing"
        )


def _failed(path: Path, error: Exception) -> ExportError:
    return ExportError(
        f"cannot write {printable(str(path))}: {files.reason(error)}\n"
        "free some space, change the permissions, or name another directory"
    )
