"""What follows from a plan or a layout lives as long as that does: no longer, and whatever caches forget."""

import gc
import weakref

import caches
import pytest
import torch

from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run import layer, structures
from cellsearch.compiler.run.kept import kept
from cellsearch.compiler.run.layout import layout
from cellsearch.compiler.torch import custom_op
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.train import model


class Owner:
    def __init__(self) -> None:
        self.kept: dict[object, object] = {}


def test_a_result_is_kept_for_its_owner_and_arguments() -> None:
    calls = []

    @kept
    def found(owner: Owner, a: int, b: int = 0) -> int | None:
        calls.append((owner, a, b))
        return a + b or None

    first, second = Owner(), Owner()
    assert [found(first, 1), found(first, 1), found(first, 1, b=2), found(second, 1)] == [1, 1, 3, 1]
    assert found(first, 0) is None is found(first, 0)
    assert calls == [(first, 1, 0), (first, 1, 2), (second, 1, 0), (first, 0, 0)]


@pytest.mark.long
def test_a_plan_has_one_layout_for_its_widths_as_long_as_it_is_held() -> None:
    caches.clear()
    lay = layout(plan(zoo.load("gru")), 3, 4)
    assert layout(plan(zoo.load("gru")), 3, 4) is lay is not layout(plan(zoo.load("gru")), 3, 5)
    held = weakref.ref(lay), weakref.ref(lay.plan)
    caches.clear()
    assert layout(lay.plan, 3, 4) is lay
    del lay
    assert held[0]() is held[1]() is None  # without the garbage collector


@pytest.mark.long
@pytest.mark.parametrize("engine", ["eager", "native", "triton"])
def test_a_layer_that_has_run_goes_with_its_layout(engine: str) -> None:
    if engine == "native" and toolchain.compiler() is None:
        pytest.skip("no C compiler here")
    if engine == "triton":
        pytest.importorskip("triton")
    caches.clear()
    lay = layout(plan(zoo.load("clockwork")), 4, 4)
    row, x = torch.rand(2, lay.size), torch.rand(2, 3, 2, 4)
    outputs, tape = layer.forward(lay, row, x, [torch.zeros(2, 2, 4)], engine=engine)
    layer.backward(lay, row, tape, torch.ones_like(outputs), torch.zeros_like(row), engine=engine)
    held = weakref.ref(lay), weakref.ref(lay.plan), weakref.ref(kernels.forward(lay.plan)[1][0][0])
    gc.disable()
    try:
        for _, cache in caches.caches():
            cache.cache_clear()
        del lay, tape
        assert [ref() for ref in held] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.long
def test_what_a_recorded_step_reads_lies_with_its_shape() -> None:
    """A CUDA graph knows addresses alone: masks and clock periods stay where they are, whatever is forgotten."""
    shape = model.Shape(zoo.load("clockwork"), 5, 2, 8)
    kind = torch.device("cpu"), torch.float32
    tensors = [structures._mask(lay, *kind) for lay in shape.stack.layers]
    tensors += [layer._periods(lay, kind[0]) for lay in shape.stack.layers]
    refs = [weakref.ref(t) for t in tensors]
    addresses = [t.data_ptr() for t in tensors]
    del tensors
    caches.clear()
    assert [ref().data_ptr() for ref in refs] == addresses
    assert structures._mask(shape.stack.layers[0], *kind) is refs[0]()
    del shape
    caches.clear()
    assert {ref() for ref in refs} == {None}


@pytest.mark.long
def test_the_layout_of_a_compiled_call_belongs_to_the_module() -> None:
    """Masks and clock periods lie with it: a cache that forgets it must not free what a recorded call reads."""
    caches.clear()
    module = Recurrent(zoo.load("clockwork"), 8, 8)
    (level,) = module._derived.levels
    caches.clear()
    again = Recurrent(zoo.load("clockwork"), 8, 8)
    assert again._derived.levels[0].lay is level.lay
    assert custom_op._layout(level.text, 8, 8) is level.lay
    assert custom_op._parsed.cache_info().currsize == 0
    held, text = weakref.ref(level.lay), level.text
    del module, again, level
    caches.clear()
    assert held() is None
    assert custom_op._layout(text, 8, 8).hidden == 8  # without a module
