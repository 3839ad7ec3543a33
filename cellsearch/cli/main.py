"""The command `cellsearch`: runs a command line and returns an exit code.

0 done    1 failed    2 wrong usage    130 interrupted    143 terminated
"""

import argparse
import sys
import traceback
from collections.abc import Sequence

from rich.text import Text

from cellsearch.cli import completion, table
from cellsearch.cli.arguments import parse
from cellsearch.cli.terminal import Terminal, hush, open_terminal
from cellsearch.errors import CellsearchError, LocatedError, SpaceError, printable

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and reports its errors."""
    words = list(sys.argv[1:] if argv is None else argv)
    terminal = open_terminal()
    try:
        return _guarded(words, terminal)
    except BrokenPipeError:  # a reader like `head` closed the pipe
        hush()
        return 0


def _guarded(words: Sequence[str], terminal: Terminal) -> int:
    debug = "--debug" in words
    try:
        code = _run(words, terminal)
        terminal.out.file.flush()
        return code
    except KeyboardInterrupt:
        terminal.tell("interrupted")
        return INTERRUPTED
    except CellsearchError as error:
        if debug:
            _trace(terminal)
        terminal.tell(_shown(error))
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:  # stdout on a full disk, or a file that disappeared
        if debug:
            _trace(terminal)
        if not error.filename:
            hush()  # else Python would flush the buffer at exit and fail again
        where = f"{printable(str(error.filename))}: " if error.filename else ""
        terminal.tell(_shown(CellsearchError(f"{where}{error.strerror or error}")))
        return 1
    except Exception as error:
        if debug:
            _trace(terminal)
        said = printable(f"{type(error).__name__}: {error}", 400)
        again = "" if debug else "\nrun the command again with --debug and report the output"
        terminal.tell(_shown(CellsearchError(f"{said}\nthis is a defect of cellsearch, not yours{again}")))
        return 1


def _run(words: Sequence[str], terminal: Terminal) -> int:
    verbs = table.verbs()
    if completion.asked():
        completion.answer(verbs)
    try:
        args = parse(words, verbs)
    except SystemExit as end:  # --help and --version have printed
        return int(end.code or 0)
    if not args.verb:
        return 0
    verb = next(verb for verb in verbs if verb.name == args.verb)
    try:
        return verb.run(args, terminal)
    except (
        ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
    ) as error:  # fmt: skip
        if found := _damaged(args):
            raise found from error
        raise


def _damaged(args: argparse.Namespace) -> CellsearchError | None:
    """The damage of the database, if that explains an error in code that trusts its records."""
    if not hasattr(args, "storage"):
        return None
    from cellsearch.study import studies  # imported here: most verbs read no database

    name = getattr(args, "name", None) or getattr(args, "cell", "").partition(":")[0] or None
    try:
        return studies.suspected(name, args.storage)
    except CellsearchError as error:
        return error


def _shown(error: CellsearchError) -> Text:
    """An error for a terminal, with the first line of each error in bold."""
    if isinstance(error, SpaceError) and len(error.parts) > 1:
        count = Text(f"{len(error.parts)} errors", "bold")
        return Text("\n\n").join([*(_shown(part) for part in error.parts), count])
    first, _, rest = str(error).partition("\n")
    located = isinstance(error, LocatedError) and error.place is not None
    shown = Text() if located else Text().append("error: ", "bold red")
    shown.append(first, "bold")
    return shown.append(f"\n{rest}" if rest else "")


def _trace(terminal: Terminal) -> None:
    terminal.tell(traceback.format_exc().rstrip())
