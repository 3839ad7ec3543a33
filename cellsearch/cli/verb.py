"""The type of a verb: its row in `--help`, its arguments, and the function that runs it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from cellsearch.cli.terminal import Terminal

Parser = argparse.ArgumentParser
LAST = 1_000


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of the command line."""

    name: str
    about: str  # its line in `cellsearch --help`
    arguments: Callable[[Parser], None]  # adds them to its parser
    run: Callable[[argparse.Namespace, Terminal], int]  # the exit code
    example: str  # one per line
    more: str = ""  # further text of its help
    order: int = LAST  # position in `cellsearch --help`, then by name
