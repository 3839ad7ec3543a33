"""`python -m cellsearch`, and the command `cellsearch`."""

import sys

from cellsearch.cli.interrupts import ended_in_imports


def run() -> int:
    """Runs the command of this process, and gives its exit code."""
    with ended_in_imports():
        from cellsearch.cli.main import main  # here: Ctrl-C is listened to while it is imported

        return main()


if __name__ == "__main__":
    sys.exit(run())
