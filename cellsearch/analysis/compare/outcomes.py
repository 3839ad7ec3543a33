"""The trainings of a comparison on disk: `outcomes.jsonl`, a training a line, by its key.

Writing is atomic: a kill loses only the population in training.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import get_type_hints

from cellsearch import files
from cellsearch.analysis.compare.work import Trained
from cellsearch.errors import RunError, printable

NAME = "outcomes.jsonl"
MOST = 256 << 20  # maximal size in bytes: about a million trainings
_KINDS = get_type_hints(Trained)


def read(folder: Path) -> dict[str, Trained]:
    """The recorded trainings by key, in the order of the file; empty without a file. Raises RunError if it
    cannot be read or has an invalid line."""
    path = folder / NAME
    try:
        data = files.read(path, MOST)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, files.NotRegularError) as error:
        raise RunError(f"cannot read {printable(str(path))}: {error}\ngive another --out") from error
    found = {}
    for number, line in enumerate(data.splitlines(), 1):
        try:
            one = _trained(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RunError(
                f"{printable(str(path))}:{number}: not a training of a comparison\n"
                "remove that line, or give another --out"
            ) from error
        found[one.key] = one
    return found


def _trained(values: Mapping[str, object]) -> Trained:
    one = Trained(**{field.name: values[field.name] for field in fields(Trained)})  # type: ignore[arg-type]
    for field in fields(Trained):
        value = getattr(one, field.name)
        if not isinstance(value, _KINDS[field.name]) or isinstance(value, bool):
            raise TypeError(field.name)
    return one


def write(folder: Path, trained: Iterable[Trained]) -> None:
    """Writes all trainings. Raises RunError on failure."""
    lines = (json.dumps(asdict(one), allow_nan=False) for one in trained)
    files.write_text(folder / NAME, "".join(f"{line}\n" for line in lines))
