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


#: What `pytest` alone leaves out, by its marker: the option that runs it as well.
TIERS = {
    "long": "run the tests that take more than a second or two as well",
    "server": "run the tests that need a PostgreSQL server as well",
    "soak": "run the tests that take minutes as well, hours in all",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, about in TIERS.items():
        parser.addoption(f"--{name}", action="store_true", help=about)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """No process beside this one for files that were named: they are up sooner, and print and debug as usual."""
    return None if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    beyond = [name for name in TIERS if not config.getoption(name)]
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        (left if any(map(item.get_closest_marker, beyond)) else kept).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept
