"""A space on the user's own text: overrides that replace the tasks of a space by the text."""

from pathlib import Path

from cellsearch.errors import DataError, printable
from cellsearch.files import near
from cellsearch.study.space.model import Space
from cellsearch.study.space.stages import named_after
from cellsearch.study.space.yaml_emit import flow
from cellsearch.study.space.yaml_text import Plain
from cellsearch.tasks.files import exists, read_text

LEAST = 10_000  # minimum characters; validation on a fifth gives the accuracy a standard error of 0.01
VALID = 5_000  # characters for validation, if the text is long enough: a standard error of 0.007
SHARES = (0.1, 0.2)  # minimum and maximum share of a text for validation, and for test


def text_overrides(space: Space, path: str) -> list[str]:
    """Overrides of `space` that replace its tasks by the task `text` on the file `path`, and its name. Parts
    are as long as those of the space's longest task, so that a search takes about as long as one of `space`,
    or shorter if the text is short. Raises DataError if the text is missing, binary or too short.
    """
    shown = printable(path, 300)
    if not path or not exists(Path(path)):
        remedy = f"{near(path) if path else ''}check the path after --text"
        raise DataError(f"there is no file {shown or 'without a name'}\n{remedy}")
    if not path.isprintable():
        raise DataError(f"{shown}: a space cannot store this file name\nrename it without special characters")
    text = read_text(Path(path), "the text after --text")
    if "\0" in text:
        raise DataError(f"{shown} is a binary file: it holds NUL characters\ngive --text a text in UTF-8")
    if len(text) < LEAST:
        raise DataError(
            f"{shown} has {len(text):,} characters, too few to rank cells on\ngive --text at least {LEAST:,}"
        )
    share = round(min(SHARES[1], max(SHARES[0], VALID / len(text))), 3)
    options: dict[str, Plain] = {
        "path": str(Path(path).absolute()), "valid_fraction": share, "test_fraction": share,
        **{part: _longest(space, part) for part in ("train", "valid", "test")},
    }  # fmt: skip
    name = named_after(f"{Path(path).stem[:60]}-{space.name[:38]}")
    return [f"tasks={flow([{'name': 'text', 'options': options}])}", f"name={flow(name)}"]


def _longest(space: Space, part: str) -> Plain:
    """The largest size of a part over the tasks of the space; None if none is given."""
    sizes = [stage.options[part] for stage in space.tasks]
    return max((size for size in sizes if isinstance(size, int)), default=None)
