"""What all tests share: one thread per process, no deadline for hypothesis on machines that are busy, and long
tests on demand alone."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
settings.register_profile("cellsearch", deadline=None)
settings.load_profile("cellsearch")
# before they are loaded, by whichever test
pytest.register_assert_rewrite("tests.faults.witness", "tests.faults.processes")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long; run with --long"))
