"""`cellsearch completion`: shell completion."""

import argparse

from cellsearch.cli import completion, numbers
from cellsearch.cli.terminal import Terminal
from cellsearch.cli.verb import Parser, Verb


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "shell", metavar="SHELL", type=numbers.one_of(completion.SHELLS, "shell"), help="bash, zsh or fish"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the code that a shell evaluates when it starts."""
    terminal.text(completion.script(args.shell))
    return 0


VERBS = (
    Verb(
        "completion", "print the shell completion script", arguments, run,
        'eval "$(cellsearch completion bash)"      in ~/.bashrc; zsh likewise in ~/.zshrc\n'
        "cellsearch completion fish > ~/.config/fish/completions/cellsearch.fish",
        order=90,
    ),
)  # fmt: skip
