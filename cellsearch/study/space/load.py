"""Load a search space: from YAML to a frozen, fully checked `Space`.

Each stage (the filter and every task) carries its own grid and training, with its overrides merged.
`Space.text` is the space in full, as a study records it; `difference` compares two. Every error in a file or
an override is a located SpaceError.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.load import load
from cellsearch.dsl.text import parse as parse_cell
from cellsearch.errors import CellsearchError, SpaceError, nearest, printable
from cellsearch.options import fields_of
from cellsearch.study.space.faults import Faults
from cellsearch.study.space.model import FILTER, Budget, Space, plain
from cellsearch.study.space.overrides import override
from cellsearch.study.space.own_text import text_overrides
from cellsearch.study.space.sections import RANKED, Find, label, read_space
from cellsearch.study.space.yaml_emit import flow
from cellsearch.study.space.yaml_text import Plain, parse, read_text
from cellsearch.tasks import TASKS
from cellsearch.tasks.options import paths

#: Keys that do not affect results: a study may continue with other values.
MAY_CHANGE = tuple(
    f"{section}{name}"
    for section, kind in (("", Space), ("budget.", Budget))
    for name, field in fields_of(kind).items()
    if field.metadata["free"]
)

SUFFIXES = (".yaml", ".yml")


def names() -> list[str]:
    """The names of the bundled spaces, sorted."""
    files = (entry.name for entry in shipped().iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def source_of(name: str) -> str:
    """The YAML of a bundled space. Raises SpaceError if there is none of this name."""
    if name not in names():
        remedy = f"{nearest(name, names())}\na path of a file must end in .yaml"
        raise SpaceError(f"there is no search space '{printable(name, 60)}'", remedy=remedy)
    return (shipped() / f"{name}.yaml").read_text(encoding="utf-8")


def shipped() -> Traversable:
    """The folder of the bundled spaces."""
    inside = resources.files("cellsearch") / "search_spaces"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "search_spaces"  # in a working copy


def load_space(
    name_or_path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    own_text: str | None = None,
    find: Find | None = None,
) -> Space:
    """The space of this name or in this file (which ends in .yaml), with `overrides` like `budget.trials=20`.

    `own_text` is the path of a text that replaces its tasks, before the overrides. Reads the seeds too; those
    of other searches only with `find`. Raises SpaceError, with all errors of the file at once, and DataError
    for the text.

        >>> cs.load_space("quick", ["budget.trials=20", "grid.layers=[1,2]"]).budget.trials
        20
    """
    if own_text is not None:
        overrides = [*text_overrides(load_space(name_or_path), own_text), *overrides]
    given = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and not given.endswith(SUFFIXES) and not set(given) & {"/", os.sep}:
        return parse_space(source_of(given), f"{given}.yaml", overrides, Path(), True, find)
    path = Path(given)
    return parse_space(read_text(path), given, overrides, path.parent, True, find)


def parse_space(
    text: str,
    file: str = "<text>",
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    check: bool = False,
    find: Find | None = None,
) -> Space:
    """The space in `text`. Paths are relative to `folder`; `check` says whether seeds must be readable.
    Without `folder`, as for the text of a study, paths are not resolved. Raises SpaceError with all errors of
    the text and of the overrides; only those of the text if it is not YAML.
    """
    faults = Faults()
    root = parse(text, file)
    for change in overrides:
        root = faults.take(root, override, root, change)
    space = faults.take(None, read_space, root, text, file, folder, check, find)
    faults.check()
    assert space is not None
    return space


def check_seeds(space: Space) -> dict[str, Cell]:
    """The seeds by label (a zoo name, or that of a file without `.cell`). Raises SpaceError if one is not a
    cell."""
    found = {}
    for seed in space.seeds:
        text = space.found.get(seed)
        if text is None and RANKED.match(seed):
            raise SpaceError(
                f"the seed '{printable(seed)}' is a cell of another search, which is not available here",
                remedy="`cellsearch search` looks it up; elsewhere export it with `--to cell` and name the "
                "file",
            )
        try:
            found[label(seed)] = load(seed) if text is None else parse_cell(text)
        except CellsearchError as failure:
            raise SpaceError(f"the seed '{printable(seed)}' cannot be read\n{failure}") from None
    return found


def with_cells(space: Space, texts: Mapping[str, str]) -> Space:
    """The space with the recorded texts of its seeds by label."""
    known = {seed: texts[label(seed)] for seed in space.seeds if label(seed) in texts}
    return replace(space, found=known)


def difference(a: Space, b: Space, ignore: Sequence[str] = MAY_CHANGE) -> list[str]:
    """The differences, one line per key in override form: `tasks.0.options.train: 1000 before, 2000 now`.
    Ignores the keys in `ignore` and paths of data, whose hash is compared instead.
    """
    before, now = _leaves(a), _leaves(b)
    lines = []
    for key in [*before, *(key for key in now if key not in before)]:
        was, is_now = before.get(key, "nothing"), now.get(key, "nothing")
        if was != is_now and key not in ignore:
            lines.append(f"{key}: {was} before, {is_now} now")
    return lines


def _leaves(space: Space) -> dict[str, str]:
    """Path of each value in override form -> the value as YAML."""
    stages = {f"tasks.{k}": stage.task for k, stage in enumerate(space.tasks)}
    if space.filter:
        stages[FILTER] = space.filter.task
    skipped = {
        f"{path}.options.{name}" for path, task in stages.items() for name in paths(TASKS[task].options)
    }

    def walk(value: Plain, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            value = {str(k): item for k, item in enumerate(value)}
        if isinstance(value, dict) and value:
            for key, item in value.items():
                yield from walk(item, f"{path}.{key}" if path else key)
        elif path not in skipped:
            yield path, flow(value)

    return dict(walk(plain(space), ""))
