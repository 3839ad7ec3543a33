"""What a process remembers between calls."""

import gc
import importlib
import pkgutil
from collections.abc import Iterator
from functools import _lru_cache_wrapper

import cellsearch


def caches() -> Iterator[tuple[str, _lru_cache_wrapper]]:
    """All caches of functions in the package, by name."""
    for found in pkgutil.walk_packages(cellsearch.__path__, "cellsearch."):
        if found.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("cellsearch"):
                raise
            continue  # of an extra that is not installed: nothing has run there
        for name, value in vars(module).items():
            if isinstance(value, _lru_cache_wrapper) and value.__module__ == found.name:
                yield f"{found.name}.{name}", value


def clear() -> None:
    """Empties them."""
    for _, cache in caches():
        cache.cache_clear()
    gc.collect()
