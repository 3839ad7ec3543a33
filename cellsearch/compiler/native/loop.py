"""Runs the C functions of a plan on the tensors of a layer."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.native import matrices, toolchain
from cellsearch.compiler.native.source import Source, Step, source
from cellsearch.compiler.parameters import matrix
from cellsearch.compiler.places import Places

_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p


class Runner:
    """The C functions of one layer with their table filled in, and the matrix products beside them."""

    multiply = staticmethod(matrices.multiply)
    gradients = staticmethod(matrices.gradients)

    def __init__(self, where: Places, above: frozenset[int]) -> None:
        self.where = where
        self.dtype = str(where.row.dtype).removeprefix("torch.")
        self.source: Source = source(where.lay.plan, above)
        self.library = toolchain.library(self.source.text, self.dtype)
        self.products = toolchain.products(self.dtype)
        self.kept: list[Tensor] = []  # tensors whose memory the tables point to
        self.tables: dict[str, tuple[Any, Any]] = {}
        self.sizes = (where.members, where.steps_count, where.batch, where.lay.hidden)

    def forward_outer(self, stage: int) -> None:
        """An outer kernel of the forward pass."""
        self._call(f"f_outer{stage}", *self._table("forward"))

    def forward_loop(self) -> None:
        """The loop forward."""
        self._loop("f_loop", self.source.forward, "forward")

    def backward_outer(self, stage: int) -> None:
        """An outer kernel of the backward pass."""
        self._call(f"b_outer{stage}", *self._table("backward"))

    def backward_loop(self) -> None:
        """The loop backward; the result lies in `where.old`."""
        self._loop("b_loop", self.source.backward, "backward")
        if self.where.steps_count % 2 == 0:
            self.where.new, self.where.old = self.where.old, self.where.new

    def _table(self, direction: str) -> tuple[Any, Any]:
        """Base pointers and strides of every ref of the source, made once; the forward pass touches only
        values, and the rows of gradients stay empty in its table."""
        if direction in self.tables:
            return self.tables[direction]
        count = len(self.source.refs)
        pointers, strides = (_POINTER * count)(), (_LONG * (4 * count))()
        for i, ref in enumerate(self.source.refs):
            if direction == "forward" and ref.kind.startswith("d"):
                continue
            tensor = self.where.whole(ref)
            if tensor.stride(-1) != 1 and tensor.shape[-1] > 1 and ref.kind != "weight":
                tensor = tensor.contiguous()  # a gradient from outside may come in any layout
            expanded = tensor.expand(*self.sizes[:3], tensor.shape[-1])
            self.kept.append(expanded)
            pointers[i] = tensor.data_ptr()
            for axis, stride in enumerate(expanded.stride()):
                strides[4 * i + axis] = stride
        self.tables[direction] = pointers, strides
        return pointers, strides

    def _loop(self, name: str, steps: Sequence[Step], direction: str) -> None:
        where, hidden = self.where, self.where.lay.hidden
        pointers, strides = self._table(direction)
        matrices = [matrix(where.lay, where.row, step.index) for step in steps]
        panel = self.products.panel_width()
        at, size = [], 0
        for step in steps:
            inner, n = (step.slots * hidden, hidden) if step.transposed else (hidden, step.slots * hidden)
            at.append(size)
            size += -(-n // panel) * panel * inner
        packed = torch.empty(max(size, 1), dtype=where.row.dtype)
        count = max(len(steps), 1)
        self._call(
            name,
            pointers,
            strides,
            (_POINTER * count)(*(m.data_ptr() for m in matrices)),
            (_LONG * count)(*(m.stride(1) for m in matrices)),
            (_LONG * count)(*(m.stride(0) for m in matrices)),
            (_LONG * count)(*at),
            _POINTER(packed.data_ptr()),
            ctypes.cast(self.products.pack, _POINTER),
            ctypes.cast(self.products.product, _POINTER),
        )

    def _call(self, name: str, *arguments: object) -> None:
        function = getattr(self.library, name)
        function.restype = None
        function(*(_LONG(n) for n in self.sizes), *arguments)
