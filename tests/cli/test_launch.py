"""`cellsearch launch`, and the devices of `search` and `worker`: what is refused before anything starts."""

import pytest
from cli.conftest import Run

from cellsearch.cli import numbers
from cellsearch.study.workers import agent
from cellsearch.study.workers.agent import AgentConfig


@pytest.mark.parametrize("on", ["slurm", "ray"])
def test_a_search_in_a_file_is_not_launched(run: Run, study: str, on: str) -> None:
    for words in ((), ("--storage", "sqlite:///study.db")):
        done = run("launch", study, "--on", on, *words)
        assert (done.code, done.out) == (2, "")
        assert "need a server" in done.err and "--storage postgresql://" in done.err


def test_options_of_slurm_are_of_slurm(run: Run) -> None:
    for words in (("--partition", "gpu"), ("--time", "2h"), ("--option", "qos=low")):
        done = run("launch", "s", "--on", "ray", "--storage", "postgresql://h/d", *words)
        assert done.code == 2 and f"{words[0]} is of Slurm" in done.err


def test_no_password_is_told(run: Run) -> None:
    done = run("launch", "s", "--on", "slurm", "--storage", "postgresql://me:geheim@127.0.0.1:9/d")
    assert done.code == 1 and "geheim" not in done.out + done.err


def test_devices_are_read(run: Run) -> None:
    assert numbers.devices("all") == ["all"]
    assert numbers.devices("cuda:0, cuda:2,cpu") == ["cuda:0", "cuda:2", "cpu"]
    for verb in (("search", "quick"), ("worker", "s")):
        for wrong in ("gpu", "all,cpu", "cuda:", ""):
            done = run(*verb, "--devices", wrong)
            assert done.code == 2 and "is not a device" in done.err


def test_a_worker_goes_to_the_devices_that_are_named(
    run: Run, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[AgentConfig] = []

    def join(posting: AgentConfig, tell: object) -> int:
        seen.append(posting)
        return 0

    monkeypatch.setattr(agent, "join", join)
    for option in ("--devices", "--device"):
        done = run("worker", study, option, "cpu", "--workers", "3")
        assert done.code == 0 and "3 workers on s (cpu)" in done.err
    assert [(posting.devices, posting.workers) for posting in seen] == [(("cpu",), 3)] * 2
