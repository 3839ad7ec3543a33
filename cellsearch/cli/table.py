"""The table of verbs, read from the modules in `cli.verbs`: a new module adds its verbs."""

import importlib
import pkgutil

from cellsearch.cli import verbs as folder
from cellsearch.cli.verb import Verb


def verbs() -> tuple[Verb, ...]:
    """All verbs, in the order of `cellsearch --help`."""
    found = pkgutil.walk_packages(folder.__path__, f"{folder.__name__}.")
    modules = (importlib.import_module(module.name) for module in found)
    rows = (row for module in modules for row in getattr(module, "VERBS", ()))
    return tuple(sorted(rows, key=lambda row: (row.order, row.name)))
