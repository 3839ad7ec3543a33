"""Triton's launches as far as they go without a device: kernels are compiled for compute capability 9.0 and
started nowhere."""

from types import SimpleNamespace

import pytest

from cellsearch.compiler.engines.triton import loop


class Device:
    """A driver of Triton that loads and starts nothing, and counts what it would have started."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.utils = SimpleNamespace(
            get_device_properties=lambda device: {"max_shared_mem": 1 << 20, "max_num_regs": 1 << 16},
            load_binary=lambda name, *rest: (0, self.started.append(name) or 0, 32, 0, 1024),
            unload_module=lambda module: None,
        )

    def launcher_cls(self, src: object, metadata: object) -> object:
        return lambda *args: self.started.append("launch")

    def get_current_target(self) -> object:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def launched(monkeypatch: pytest.MonkeyPatch) -> Device:
    """From now on the Triton engine compiles and launches for tensors on a CPU too, on a device that does
    nothing."""
    from triton.runtime import driver

    device = Device()
    monkeypatch.setattr(driver, "_active", device)
    compiled = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(loop.Runner, "interpreted", compiled, raising=False)
    return device
