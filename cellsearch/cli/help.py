"""Wrap help to the width of the terminal. Long commands in examples continue after a backslash, so that they
can be pasted."""

import argparse
import re
import textwrap
from typing import Any

_ENTRY = re.compile(r"(  \S.*?\S {2,})(\S.*)")  # a command, spaces, its description
_VALUE = re.compile(r"(?<= )(--?[a-z]\S*) (?=[^-|\s])")  # an option with a value behind it
_GLUE = "\0"  # joins both while a command is wrapped


def filled(text: str, width: int) -> str:
    """`text` in lines of at most `width` columns: paragraphs wrapped, commands (lines that begin with two
    spaces) continued with a backslash, and the description of a command wrapped beside it. Words longer than
    a line are not broken."""
    return "\n".join(part for line in text.split("\n") for part in _filled(line, width))


def _filled(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    entry = _ENTRY.fullmatch(line)
    if entry is not None:
        room = max(width - len(entry[1]), 12)
        first, *rest = textwrap.wrap(entry[2], room, break_long_words=False, break_on_hyphens=False)
        return [entry[1] + first, *(" " * len(entry[1]) + part for part in rest)]
    command = line.startswith("  ")
    end = " \\" if command else ""
    if command:
        line = _VALUE.sub(rf"\g<1>{_GLUE}", line)
    parts = textwrap.wrap(
        line.strip(), max(width - len(end), 12), initial_indent="  " * command,
        subsequent_indent="      " * command, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [f"{part}{end}".replace(_GLUE, " ") for part in parts[:-1]] + [parts[-1].replace(_GLUE, " ")]


def _capitalised(title: str) -> str:
    return title[:1].upper() + title[1:]


def formatter(prog: str) -> Any:
    """The formatter of argparse's help; coloured on a terminal."""
    from rich_argparse import RawDescriptionRichHelpFormatter  # imported here: only help and usage need it

    class Formatter(RawDescriptionRichHelpFormatter):
        """Help text without markup: brackets are printed literally."""

        help_markup = text_markup = False
        group_name_formatter = staticmethod(_capitalised)  # type: ignore[assignment]

        def add_argument(self, action: argparse.Action) -> None:
            """Widens the column to the longest verb: argparse ignores the extra indentation of verbs."""
            super().add_argument(action)
            for verb in action._get_subactions() if isinstance(action, argparse._SubParsersAction) else ():
                self._action_max_length = max(self._action_max_length, len(verb.dest) + 6)

        def add_text(self, text: Any) -> None:
            """Wraps a description or examples."""
            super().add_text(filled(text, self._width) if isinstance(text, str) else text)

    return Formatter(prog, max_help_position=28)
