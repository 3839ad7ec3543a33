"""What a recorded step reads belongs to what holds the step. A CUDA graph knows addresses alone: here the same
calls without a graph, and a look at what would have been read."""

import gc
import types
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import caches
import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cellsearch.compiler import graphs
from cellsearch.compiler.run import layer, structures
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.train import model, windows
from cellsearch.train.steps import Data, Steps

MADE = "cell made(x; h)\na = tanh[x@blocks(2), h@skew]\nh' = a * sigmoid[x@rank(2), h@toeplitz]\n"


class Reads(TorchDispatchMode):
    """The storages that calls read and did not make themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[int, StorageWeakRef] = {}
        self.made: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        for storage in storages((args, kwargs)):
            if storage._cdata not in self.made:
                self.read.setdefault(storage._cdata, StorageWeakRef(storage))
        result = func(*args, **(kwargs or {}))
        self.made |= {s._cdata for s in storages(result)} - set(self.read)
        return result


def storages(values: object) -> Iterator[torch.UntypedStorage]:
    return (t.untyped_storage() for t in tree_leaves(values) if isinstance(t, torch.Tensor))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[int, StorageWeakRef]:
    """What all recorded steps have read, whose calls are made once more each time they are replayed."""
    found: dict[int, StorageWeakRef] = {}

    def capture(step: graphs.Step, changed: Sequence[torch.Tensor], at: object) -> graphs.Step:
        tensors = list(changed)
        before = [t.clone() for t in tensors]
        step()
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)
        reads = Reads()
        with reads:
            step()
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)
        found.update(reads.read)
        return step

    monkeypatch.setattr(graphs, "capture", capture)
    return found


def steps(cell: Cell) -> Steps:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(7, (2, 10), generator=generator)
    targets = tokens.roll(-1, 1).clone()
    targets[torch.rand(2, 10, generator=generator) >= 0.7] = -1
    cut = windows.cut(tokens, targets, 4)
    shape = model.Shape(cell, 7, 2, 4)
    rows = model.first_rows(shape, [1.0, 0.7], [1, 2], torch.float64)
    return Steps(
        shape, Data(cut, cut), rows, torch.ones(2, dtype=torch.float64), recorded=True, engine="eager"
    )


def train(made: Steps) -> list[np.ndarray]:
    for walk in (made.train(np.array([0.5, 0.3])), made.score()):
        for _ in walk:
            pass
    return [*made.found(), made.rows.numpy().copy()]


@pytest.mark.long
@pytest.mark.parametrize(
    "cell", [zoo.load("clockwork"), zoo.load("qrnn"), parse(MADE)], ids=["clockwork", "qrnn", "made"]
)
def test_what_a_recorded_step_reads_outlives_every_cache(
    cell: Cell, recorded: dict[int, StorageWeakRef]
) -> None:
    """Caches are emptied between recording and replaying."""
    caches.clear()
    made = steps(cell)
    first, second = train(made), train(made)
    again = steps(cell)
    recorded.clear()
    assert all(np.array_equal(a, b) for a, b in zip(train(again), first, strict=True))
    assert len(recorded) > 5
    held = weakref.ref(again.shape.stack.layers[0])
    caches.clear()
    assert not [ref for ref in recorded.values() if ref.expired()]
    assert all(np.array_equal(a, b) for a, b in zip(train(again), second, strict=True))
    del again, made
    gc.collect()
    assert all(ref.expired() for ref in recorded.values()) and held() is None  # nothing else holds them


def test_a_tensor_that_a_cache_alone_holds_is_found(
    recorded: dict[int, StorageWeakRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake that was there: masks and clock periods in caches of functions."""
    plain = structures._mask.__wrapped__  # type: ignore[attr-defined]
    cached = lru_cache(maxsize=256)(lambda lay, device, dtype: plain(lay, device, dtype))
    monkeypatch.setattr(structures, "_mask", cached)
    made = steps(zoo.load("clockwork"))
    train(made)
    cached.cache_clear()
    gc.collect()
    assert [ref for ref in recorded.values() if ref.expired()]


def tensors(root: object) -> list[torch.Tensor]:
    """The tensors that something holds, at any depth. Functions, classes and modules are not looked into, and
    weak references hold nothing."""
    skipped = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, weakref.ref, str, bytes)
    seen, left, found = {id(root)}, [root], []
    while left:
        for held in gc.get_referents(left.pop()):
            if id(held) not in seen and not isinstance(held, skipped):
                seen.add(id(held))
                found += [held] if isinstance(held, torch.Tensor) else []
                left.append(held)
    return found


@pytest.mark.long
@pytest.mark.parametrize("engine", ["eager", "native"])
def test_no_cache_of_a_function_holds_a_tensor(engine: str) -> None:
    caches.clear()
    for cell in (zoo.load("clockwork"), parse(MADE)):
        made = steps(cell)
        made.engine = engine if layer.choose_engine("auto", made.rows) == "native" else "eager"
        train(made)
        assert tensors(made.shape)  # masks and periods: they lie with the layouts
        for name, cache in caches.caches():
            assert not tensors(cache), name


def test_a_cached_tensor_is_found() -> None:
    cache: Any = lru_cache(maxsize=4)(lambda n: {"deep": [torch.zeros(n)]})
    assert not tensors(cache)
    cache(2)
    assert len(tensors(cache)) == 1
