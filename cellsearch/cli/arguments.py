"""Parse a command line into checked arguments. A UsageError names the fault and the remedy."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from cellsearch.cli.help import formatter
from cellsearch.cli.numbers import nearest
from cellsearch.cli.verb import Verb
from cellsearch.errors import UsageError, printable
from cellsearch.version import PYTHON, TESTED, installed, untested
from cellsearch.version import version as own

ABOUT = "Search for recurrent cells: from a few equations to a leaderboard beside LSTM and GRU, and to code."
START = """\
start here:
  cellsearch search quick       run a whole search in a few minutes
  cellsearch show lstm          see what a cell is
  cellsearch VERB --help        read about a verb, with an example"""


class _Parser(argparse.ArgumentParser):
    """A parser that raises UsageError."""

    def error(self, message: str) -> NoReturn:
        words = "\n".join(printable(line, 400) for line in message.split("\n"))
        raise UsageError(f"{words}\nsee `{self.prog} --help`")


class _Version(argparse.Action):
    """Prints the versions that results depend on, and a warning if one is newer than the tested version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        print(versions())
        if said := warning():
            print(said, file=sys.stderr)
        parser.exit()


def versions() -> str:
    """One line with the versions of cellsearch, torch, optuna and Python."""
    torch, optuna = (installed(package) or "not installed" for package in ("torch", "optuna"))
    return f"cellsearch {own()} (torch {torch}, optuna {optuna}, Python {installed(PYTHON)})"


def warning() -> str:
    """One line for the packages newer than the tested versions, else ""."""
    newer = ", ".join(f"{package} {here} (tested: {TESTED[package]})" for package, here in untested().items())
    if not newer:
        return ""
    return f"warning: newer than the tested version: {newer}; report failures, or install the tested version"


def parsers(verbs: Sequence[Verb]) -> tuple[_Parser, dict[str, _Parser]]:
    debug: dict[str, Any] = {"action": "store_true", "help": "show a traceback with every error"}
    top = _Parser(
        "cellsearch", description=ABOUT, epilog=START, formatter_class=formatter, allow_abbrev=False
    )
    top.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        help="print the versions of cellsearch, torch, optuna and Python",
    )
    top.add_argument("--debug", default=False, **debug)
    words = top.add_subparsers(dest="verb", metavar="VERB", title="verbs", parser_class=_Parser)
    found = {}
    for verb in verbs:
        parser = words.add_parser(
            verb.name, help=verb.about, description=_described(verb),
            epilog=_examples(verb), formatter_class=formatter, allow_abbrev=False,
        )  # fmt: skip
        verb.arguments(parser)
        parser.add_argument("--debug", default=argparse.SUPPRESS, **debug)
        found[verb.name] = parser
    return top, found


def _described(verb: Verb) -> str:
    first = f"{verb.about[0].upper()}{verb.about[1:]}."
    return f"{first}\n\n{verb.more}" if verb.more else first


def _examples(verb: Verb) -> str:
    lines = verb.example.splitlines()
    return "\n".join([f"example{'s' if len(lines) > 1 else ''}:", *(f"  {line}" for line in lines)])


def parse(argv: Sequence[str], verbs: Sequence[Verb]) -> argparse.Namespace:
    """Parsed arguments; without a verb, prints help and sets `verb` to "". Raises UsageError for invalid
    ones."""
    top, by_name = parsers(verbs)
    word = next((word for word in argv if not word.startswith("-")), None)
    if word is not None and word not in by_name:
        known = ", ".join(by_name)
        raise UsageError(f"there is no verb '{printable(word, 40)}'\n{nearest(word, by_name)}({known})")
    args, rest = top.parse_known_args(argv)
    if rest:
        parser = by_name[word] if word else top
        options = [option for action in parser._actions for option in action.option_strings]
        first = rest[0].partition("=")[0]
        what = "option" if first.startswith("-") else "argument"
        hint = nearest(first, options) if what == "option" else ""
        words = first if what == "option" else rest[0]  # a value may be a password
        raise UsageError(
            f"{parser.prog} has no {what} '{printable(words, 60)}'\n{hint}see `{parser.prog} --help`"
        )
    args.words = list(argv)
    if args.verb is None:
        top.print_help()
        args.verb = ""
    return args
