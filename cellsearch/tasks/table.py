"""The table of tasks, and the construction of a `Dataset` from a name and options.

Listings, search spaces and training read this table; a new task is a new row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cellsearch.errors import DataError
from cellsearch.options import Option, listed
from cellsearch.tasks import arithmetic, memorize, ptb, text, xml
from cellsearch.tasks.data import Dataset, Measure, Part, assemble
from cellsearch.tasks.options import parse, paths, shown, suggestion

MAX_BATCH = 100_000
PARTS = ("train", "valid", "test")

Built = tuple[tuple[str, ...], dict[str, Part]]  # symbols; train, valid, test


@dataclass(frozen=True, slots=True)
class Task:
    """A row: name, description, source, options and data generator of a task."""

    name: str
    about: str
    source: str
    options: type[Any]  # a frozen dataclass; its fields are declared with `option`
    measure: Callable[[Any], Measure]
    build: Callable[[Any, int, int, Path | None], Built]  # options, batch, seed, data directory
    check: Callable[[Any], None] = lambda options: None  # raises DataError for contradictory options
    files: Callable[[Any, Path | None], Sequence[Path]] = lambda options, data: ()  # the files that it reads
    directory: bool = False  # whether its files are only in a data directory

    @property
    def listed(self) -> tuple[Option, ...]:
        """The options with default, range and help."""
        return listed(self.options)


JOZEFOWICZ = (
    "Jozefowicz, Zaremba, Sutskever (2015), An Empirical Exploration of Recurrent Network Architectures"
)

_ROWS = (
    Task(
        "memorize",
        "read symbols, then reproduce them in the same order; the filter for mutants",
        f"{JOZEFOWICZ}, section 3.1",
        memorize.Memorize,
        lambda options: "loss",
        lambda o, batch, seed, data: (memorize.symbols(o), memorize.generate(o, batch=batch, seed=seed)),
    ),
    Task(
        "arithmetic",
        "sums and differences of two numbers, with meaningless letters in between",
        f"{JOZEFOWICZ}, section 3.5",
        arithmetic.Arithmetic,
        lambda options: "loss",
        lambda o, batch, seed, data: (arithmetic.SYMBOLS, arithmetic.generate(o, batch=batch, seed=seed)),
    ),
    Task(
        "xml",
        "nested tags with random names; predict every character",
        f"{JOZEFOWICZ}, section 3.5",
        xml.Xml,
        lambda options: "loss",
        lambda o, batch, seed, data: (xml.SYMBOLS, xml.generate(o, batch=batch, seed=seed)),
        xml.check,
    ),
    Task(
        "ptb",
        "Penn Treebank, next word; needs the files in a data directory",
        f"Mikolov et al. (2010), Recurrent Neural Network Based Language Model; {JOZEFOWICZ}, section 3.5",
        ptb.Ptb,
        lambda options: "perplexity",
        lambda o, batch, seed, data: ptb.load(o, batch=batch, data=data),
        files=lambda options, data: list(ptb.files(data).values()),
        directory=True,
    ),
    Task(
        "text",
        "next character or word of any UTF-8 file, or of Python's own documentation",
        "the user's file, or the Python Software Foundation's language reference (pydoc_data.topics)",
        text.Text,
        lambda options: "perplexity" if options.level == "word" else "bits",
        lambda o, batch, seed, data: text.load(o, batch=batch, data=data),
        text.check,
        text.files,
    ),
)

TASKS: Mapping[str, Task] = {row.name: row for row in _ROWS}


def task(name: str) -> Task:
    """The row `name`; raises DataError with a suggestion for an unknown name."""
    if not isinstance(name, str) or name not in TASKS:
        raise DataError(
            f"unknown task {shown(name)}.{suggestion(name, tuple(TASKS))} Tasks: {', '.join(TASKS)}."
        )
    return TASKS[name]


def parse_options(name: str, mapping: Mapping[str, object]) -> Any:
    """The options dataclass of task `name` with `mapping` filled in.

    Checks type and range of every value, and their consistency. A DataError names the key, the value, the
    allowed values, and a suggestion.
    """
    row = task(name)
    options = parse(row.options, mapping, name)
    row.check(options)
    return options


def build(name: str, options: Mapping[str, object], *, batch: int, seed: int, data: Path | None) -> Dataset:
    """The data set of task `name` in `batch` rows.

    `seed` affects only generated data; `data` is the directory for the tasks' files, or None.
    The same arguments give the same digest on every machine. Raises DataError for invalid options and for
    missing, damaged or too short data.
    """
    row = task(name)
    parsed = parse_options(name, options)
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= MAX_BATCH:
        raise DataError(f"the batch must be a whole number from 1 to {MAX_BATCH:,}, not {shown(batch)}.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise DataError(f"the seed must be a whole number from 0 to 2^64 - 1, not {shown(seed)}.")
    symbols, parts = row.build(parsed, batch, seed, data)
    return assemble(name, asdict(parsed), symbols, parts, row.measure(parsed), paths(row.options))
