"""Shell completion for bash, zsh and fish, by argcomplete: at each Tab the shell runs `cellsearch` with
`_ARGCOMPLETE` set and reads candidates from it."""

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from cellsearch.cli.verb import Verb

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """The code that the shell evaluates once."""
    import argcomplete  # imported here and below: only completion needs it

    text: str = argcomplete.shellcode(["cellsearch"], shell=shell)
    return text


def asked() -> bool:
    """Whether a shell requests candidates."""
    return "_ARGCOMPLETE" in os.environ


def answer(verbs: Sequence[Verb]) -> None:
    """Prints the candidates and ends the process."""
    import argcomplete

    from cellsearch.cli.arguments import parsers

    top, by_name = parsers(verbs)
    for parser in by_name.values():
        for action in parser._actions:
            completer = _completer(action)
            if completer is not None:
                action.completer = lambda completer=completer, **_: completer()  # type: ignore[attr-defined]
    argcomplete.autocomplete(top)


def _completer(action: argparse.Action) -> Callable[[], Iterable[str]] | None:
    """The candidates of an argument; None for file names and free text."""
    names = action.metavar if isinstance(action.metavar, str) else ""
    if names == "NAME" and action.option_strings:  # the name of something new
        return None
    if "|" in names:
        return lambda: names.split("|")
    return COMPLETERS.get(names)


def _cells() -> Iterable[str]:
    from cellsearch.dsl import zoo

    return [*zoo.names(), *(f"{name}:1" for name in _searches())]


def _spaces() -> Iterable[str]:
    from cellsearch.study import space

    return [*space.names(), *_searches()]


def _tasks() -> Iterable[str]:
    from cellsearch.tasks import TASKS

    return list(TASKS)


def _topics() -> Iterable[str]:
    from cellsearch.cli.actions.docs import pages

    return list(pages())


def _exports() -> Iterable[str]:
    from cellsearch.exporters.formats import FORMATS

    return list(FORMATS)


def _formats() -> Iterable[str]:
    from cellsearch.report.columns import FORMATS

    return list(FORMATS)


def _searches() -> Iterable[str]:
    from cellsearch.study.studies import listed

    return listed()


#: Metavar of an argument -> its candidates.
COMPLETERS: Mapping[str, Callable[[], Iterable[str]]] = {
    "CELL": _cells,
    "CELLS": _cells,
    "SPACE": _spaces,
    "TASK": _tasks,
    "TOPIC": _topics,
    "KINDS": _exports,
    "FORMAT": _formats,
    "NAME": _searches,
    "OLD": _searches,
    "SHELL": lambda: SHELLS,
    "WHERE": lambda: ("all", "cpu", "cuda"),
}
