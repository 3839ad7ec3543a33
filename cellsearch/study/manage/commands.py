"""The command that continues a search: its name, with its recorded space and seed, and with the options for
workers, devices and storage of the command that started it."""

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cellsearch.errors import SpaceError, UsageError, did_you_mean, printable
from cellsearch.study import lookup, studies
from cellsearch.study import space as spaces
from cellsearch.study.space import Space, difference, load_space, parse_space, with_cells
from cellsearch.study.space.load import SUFFIXES
from cellsearch.study.studies import RESULTS, Study
from cellsearch.study.tables import cellrecords, database, records
from cellsearch.study.tables.database import pasted, shown
from cellsearch.study.workers.run import NAME, default_url

KEPT = ("--trials", "--proposals", "--time", "--workers", "--devices", "--device", "--data", "--rows")
# options that are dropped with their values
OTHERS = ("--name", "--set", "--seed", "--storage", "--text", "--replay", "--strategies", "--repeats")


def meant(
    word: str | None,
    name: str | None,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    results: Path = RESULTS,
    own_text: str | None = None,
) -> tuple[Space, str]:
    """The space and the name of the search of `cellsearch search WORD --name NAME`; at least one of the two
    is given. An existing search continues with its own space if `word` is its name and not that of a space,
    or if only `name` is given. Otherwise `word` is a space, with `own_text` as for `load_space`. Raises
    CellsearchError if there is none.
    """
    if own_text is not None:
        if word is None:
            raise UsageError("--text needs a SPACE, as in `cellsearch search quick --text FILE`")
        chosen = load_space(word, overrides, own_text, lookup.seeds(storage, results))
        return chosen, name or chosen.name
    asked = word or name or ""
    file = word is not None and (word.endswith(SUFFIXES) or bool(set(word) & {"/", os.sep}))
    bundled = word in spaces.names()
    known = None if file or name not in (None, asked) else _recorded(asked, storage, results)
    if known is not None:
        text, seeds = known
        found = with_cells(parse_space(text, f"{asked}/space.yaml", overrides), seeds)
        if not bundled or not difference(load_space(asked, overrides), found):
            return found, asked
    if word is None:
        studies.opened(asked, storage, results)  # the error lists the searches
        raise AssertionError("it was not found above")
    if not (file or bundled or storage) and (there := studies.listed(results)):
        hint = did_you_mean(word, [*spaces.names(), *there])
        known_words = f"spaces: {', '.join(spaces.names())}; searches: {printable(', '.join(there), 400)}"
        message = f"there is no search space or search '{printable(word, 60)}'"
        raise SpaceError(message, remedy=f"{hint}{known_words}\na path of a file must end in .yaml")
    space = load_space(word, overrides, find=lookup.seeds(storage, results))
    return space, name or space.name


def _recorded(name: str, storage: str | None, results: Path) -> tuple[str, dict[str, str]] | None:
    """The text of the space of a search, if known, and the texts of its seeds by name."""
    if not NAME.match(name) or name.endswith("."):
        return None
    store = records.find(storage or default_url(results, name), name, read_only=True)
    if store is None:
        return None
    try:
        seeds = cellrecords.recorded_cells(store, seeds=True)
        return records.facts(store).space, {seed.name: seed.text for seed in seeds}
    finally:
        store.engine.dispose()


def public(words: Sequence[str], storage: str | None) -> list[str]:
    """The words of a command, with the password removed from its storage URL."""
    return [word if storage is None else word.replace(storage, shown(storage)) for word in words]


def continuing(words: Sequence[str], name: str, space: Space, storage: str | None) -> list[str]:
    """The words of the command that continues the search `name`, which the command `words` started."""
    named = ["search", name] if by_name(name, space) else ["search", "--name", name]
    place = [] if storage is None else ["--storage", pasted(storage)]
    return [*named, *_kept(words), *place]


def by_name(name: str, space: Space) -> bool:
    """Whether `cellsearch search NAME` means the search: no other space or file has that name."""
    if name.endswith(SUFFIXES):
        return False
    return name not in spaces.names() or not difference(load_space(name), space)


def _kept(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        option, equals, _ = word.partition("=")
        value = [] if equals or option not in (*KEPT, *OTHERS) else [next(rest, "")]
        kept += [word, *value] if option in KEPT else []
    return kept


def changed(words: Sequence[str], option: str, value: str) -> list[str]:
    """The words with another value of `option`, appended."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == option:
            next(rest, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return [*kept, option, value]


def duration_option(seconds: float) -> str:
    """A time limit in the form 90s, 15m, 2h."""
    if seconds < 600:
        return f"{max(1, round(seconds))}s"
    return f"{round(seconds / 60)}m" if seconds < 7_200 else f"{round(seconds / 3_600)}h"


def line(words: Sequence[str]) -> str:
    """A command as one quoted line for a shell."""
    return printable(shlex.join(["cellsearch", *words]), 1_000)


def given(study: Study) -> list[str]:
    """The words of the latest command of a search; empty if it was started from Python."""
    return records.command(study.store)


def of(study: Study) -> str:
    """The command that continues a search, with a longer time limit if it was reached; "" for a copy."""
    store = study.store
    file = database.file_of(store.url)
    if file and file.parent.parent == RESULTS and file.parent.name != store.name:
        return ""
    storage: str | None = store.url
    with suppress(UsageError):  # an invalid name of a folder
        storage = None if store.url == default_url(RESULTS, store.name) else store.url
    words = continuing(given(study), store.name, study.space, storage)
    if study.facts.halted and any(word.partition("=")[0] == "--time" for word in words):
        words = changed(words, "--time", duration_option(2 * study.facts.seconds))
    return line(words)
