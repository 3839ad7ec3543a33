"""How many workers a machine gets, and on which devices."""

import pytest

from cellsearch.study.system import processes
from cellsearch.study.workers import pool


@pytest.mark.parametrize(
    ("cores", "asked", "given"),
    [(2, None, 2), (64, None, 8), (2, 1, 1), (2, 8, 8), (2, 1_000, 8), (64, 200, 200), (64, 1_000, 256)],
)
def test_the_cpu_gets_as_many_as_do_work(
    cores: int, asked: int | None, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "cores", lambda: cores)
    assert pool.places(["cpu"], asked) == ("cpu",) * given


def test_every_device_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 2)
    assert pool.places(["cuda:0", "cuda:1"], None) == ("cuda:0", "cuda:1")
    assert pool.places(["cuda:0", "cuda:1"], 2) == ("cuda:0", "cuda:1", "cuda:0", "cuda:1")
    assert pool.places(["cpu", "cuda:0"], 20).count("cpu") == 8
