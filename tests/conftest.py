"""What all tests share: one thread per process, no deadline for hypothesis on busy machines, and the
tiers of tests."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
settings.register_profile("cellsearch", deadline=None)
settings.load_profile("cellsearch")
# before they are loaded, by whichever test
pytest.register_assert_rewrite("tests.faults.witness", "tests.faults.processes")


#: The tiers beyond `pytest` alone, each with the marker by its name; a tier runs those before it too.
TIERS = {
    "long": "run the tests that take more than a second or two as well",
    "soak": "run the tests that take minutes as well, hours in all",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, about in TIERS.items():
        parser.addoption(f"--{name}", action="store_true", help=about)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    names = list(TIERS)
    last = max((names.index(name) for name in names if config.getoption(name)), default=-1)
    beyond = names[last + 1 :]
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        (left if any(map(item.get_closest_marker, beyond)) else kept).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept
