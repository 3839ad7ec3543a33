"""Which devices are meant, and what is said where they are not there."""

import sys
from types import SimpleNamespace

import pytest

from cellsearch.errors import RunError
from cellsearch.train.resources import devices
from cellsearch.train.resources.devices import Gone

FOUR = ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (["cpu"], ["cpu"]),
        (["all"], FOUR),
        (["cuda"], ["cuda:0"]),
        (["cuda:2", "cuda:0"], ["cuda:2", "cuda:0"]),
        (["cpu", "cuda:1", "cpu"], ["cpu", "cuda:1"]),
        (["all", "cuda:1"], FOUR),
    ],
)
def test_names_mean_devices(wanted: list[str], meant: list[str]) -> None:
    assert devices.chosen(wanted, lambda: FOUR) == tuple(meant)


def test_for_the_cpu_nothing_is_looked_for() -> None:
    assert devices.chosen(["cpu"], lambda: pytest.fail("looked for GPUs")) == ("cpu",)


def test_a_device_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(RunError, match=r"there is no cuda:7 here\nthere: cuda:0, cuda:1"):
        devices.chosen(["cuda:0", "cuda:7"], lambda: FOUR[:2])


def torch_of(monkeypatch: pytest.MonkeyPatch, cuda: str | None) -> None:
    monkeypatch.setitem(
        sys.modules, "torch", SimpleNamespace(__version__="2.13", version=SimpleNamespace(cuda=cuda))
    )


def test_without_a_gpu_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    torch_of(monkeypatch, None)
    with pytest.raises(RunError, match=r"no GPU here for `--devices all`\n.*torch 2.13 is one without CUDA"):
        devices.chosen(["all"], list)
    torch_of(monkeypatch, "12.8")
    with pytest.raises(RunError, match="nvidia-smi"):
        devices.chosen(["cuda"], list)
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        with pytest.raises(RunError, match="hides all GPUs; unset it"):
            devices.chosen(["cuda:1"], list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(RunError, match="nvidia-smi"):
        devices.chosen(["all"], list)


def test_a_device_that_does_not_answer_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    devices.check("cpu")

    def ones(*_: object, device: str) -> object:
        raise RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(ones=ones))
    with pytest.raises(Gone, match=r"^cuda:1 does not respond: CUDA error: device-side assert triggered$"):
        devices.check("cuda:1")


def test_this_machine_answers_one_way_or_the_other() -> None:
    found = devices.gpus()
    if found:
        devices.check(found[0])
    else:
        with pytest.raises(Gone, match="cuda:0 does not respond"):
            devices.check("cuda:0")
