"""Runs the C functions of a plan on the tensors of a layer.

`Code` holds all data that depend only on the plan and the widths; strides are computed once per shapes of
tensors; a call then fills in the addresses.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.engines.native.one_by_one import OneByOne, address, run_now
from cellsearch.compiler.engines.native.source import CLOCKED, PARTS, read, source
from cellsearch.compiler.plan.kernels import Ref
from cellsearch.compiler.run.buffers import Buffers
from cellsearch.compiler.run.kept import kept
from cellsearch.compiler.run.layout import Layout

_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p
_PASS = ctypes.CFUNCTYPE(None, _LONG, _POINTER)

#: Refs to parts of one tensor, and the ref that names it.
_WHOLE = {"slot": "slots", "dslot": "dslots", "old": "states", "new": "states", "past": "x"}

#: Numbers in `n` before those of the products; see layer.h.
_SIZES = 9


class _Call(ctypes.Structure):
    """See layer.h."""

    _fields_ = tuple(
        (name, _POINTER) for name in ("n", "p", "s", "rows", "d_rows", "packed", "symbols", "functions")
    )


class Table:
    """The tensor that contains each ref of the source, in one of the passes, and the strides."""

    def __init__(self, lay: Layout, refs: Sequence[Ref], read: Set[Ref], gradients: bool) -> None:
        wanted = [_whole(lay, ref) if gradients or not ref.kind.startswith("d") else None for ref in refs]
        self.refs, self.read = refs, read
        self.bases = tuple(dict.fromkeys(base for base in wanted if base))
        self.index = [self.bases.index(base) if base else -1 for base in wanted]
        self.known: dict[tuple[Any, ...], tuple[list[int], Any]] = {}

    def of(self, where: Buffers) -> tuple[Any, Any, list[Tensor]]:
        """Pointers and strides of all refs, and the tensors that must live as long."""
        tensors = [_tensor(base, _home(base, where), base in self.read) for base in self.bases]
        key = (where.members, where.steps_count, where.batch, *((t.shape, t.stride()) for t in tensors))
        if key not in self.known:
            if len(self.known) > 64:  # windows have a few lengths, batches a few sizes
                self.known.clear()
            self.known[key] = self._places(where, tensors)
        offsets, strides = self.known[key]
        starts = [t.data_ptr() for t in tensors] + [0]  # 0: unused in this pass
        pointers = (_POINTER * len(offsets))(
            *(starts[k] + at for k, at in zip(self.index, offsets, strict=True))
        )
        return pointers, strides, tensors

    def _places(self, where: Buffers, tensors: list[Tensor]) -> tuple[list[int], Any]:
        """The byte offset of every ref in its tensor, and its strides along K, T, B and H."""
        offsets, strides = [], []
        for ref, k in zip(self.refs, self.index, strict=True):
            if k < 0:
                at, along = 0, (0, 0, 0)
            else:
                at, along = _place(ref, where.lay, _home(ref, where), tensors[k])
            offsets.append(at * where.row.element_size())
            strides += [*along, 1]
        return offsets, (_LONG * len(strides))(*strides)


def _whole(lay: Layout, ref: Ref) -> Ref:
    """The ref that names the tensor that contains `ref`."""
    if ref.kind == "weight":
        return Ref("scalar", ref.index) if lay.weights[ref.index].kind == "scalar" else Ref("row")
    kind = _WHOLE.get(ref.kind, ref.kind)
    return Ref(kind, 0 if kind in ("slots", "dslots", "x") else ref.index, ref.outer)


def _home(ref: Ref, where: Buffers) -> Buffers:
    return where.outer if ref.outer else where


def _tensor(base: Ref, where: Buffers, read: bool) -> Tensor:
    """The tensor that a base names, with contiguous units; if products read it, its rows [T*B] have one
    stride."""
    tape = where.tape
    match base.kind:
        case "slots":
            return tape.slots
        case "states":
            return tape.states[base.index]
        case "row":
            return where.row
        case "x":
            tensor = tape.inputs
        case "scalar":
            return where.whole(Ref("weight", base.index)).contiguous()
        case _:
            tensor = where.whole(replace(base, outer=False))
    if read and not _even(tensor, where.batch):
        assert base.kind in ("tick", "below", "weight", "x"), "this is copied before members are computed"
        tensor = tensor.expand(-1, -1, where.batch, -1).contiguous()
    elif tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
        tensor = tensor.contiguous()  # a gradient from outside may have any layout
    return tensor


def _even(t: Tensor, batch: int) -> bool:
    """Whether the rows of all steps and sequences have one stride."""
    units, steps, rows = t.stride(3) == 1 or t.shape[3] == 1, t.shape[1], t.shape[2]
    if batch == 1 or steps == 1 == rows:
        return units
    return units and rows == batch and (steps == 1 or t.stride(1) == rows * t.stride(2))


def _place(ref: Ref, lay: Layout, where: Buffers, t: Tensor) -> tuple[int, tuple[int, int, int]]:
    """The offset of a ref in its tensor, and its strides along K, T and B, in numbers."""
    if ref.kind == "weight" and t.dim() == 2:
        return lay.alone[ref.index], (t.stride(0), 0, 0)
    k, steps, b = (0 if size == 1 else stride for size, stride in zip(t.shape[:3], t.stride(), strict=False))
    if where.batch == 1:
        b = steps  # the stride of rows
    match ref.kind:
        case "slot" | "slots" | "dslot" | "dslots":
            at = ref.index * lay.hidden
        case "new":
            at = t.stride(1)
        case "x" | "past":
            at = (where.tape.past - ref.index) * t.stride(1)
        case _:
            at = 0
    return at, (k, steps, b)


@dataclass(frozen=True)
class Code:
    """The C functions of one layer, and data independent of the sizes K, T and B."""

    functions: Mapping[str, Callable[..., None]]  # forward, backward; each holds its library
    tables: Mapping[str, Table]
    products: Any  # the functions of the library of products, as the C functions take them
    library: ctypes.CDLL  # of products: they are plain addresses
    matrices: tuple[
        int, ...
    ]  # of each product: where its matrix starts in a row, the width of its source, where
    # its packed matrix starts; then the end of those
    room: int  # numbers in all packed matrices of the loop, and in one product outside of it
    panel: int  # columns packed at a time


@kept
def code(lay: Layout, above: frozenset[int], dtype: str, clocked: bool = False) -> Code:
    """The compiled functions of a layer whose states `above` are read by the layer above it."""
    plan, found = lay.plan, source(lay.plan, above)
    library = toolchain.library(CLOCKED * clocked + found.text, dtype)
    products = toolchain.products(dtype)
    panel = products.panel_width()
    inside = {p for stage in plan.inner for p in stage.products}
    starts, end, largest = [], 0, 0
    for k, p in enumerate(plan.products):
        starts.append(end)
        fused, width = p.count * lay.hidden, lay.inputs(k)
        size = max(-(-fused // panel) * width, -(-width // panel) * fused) * panel
        end, largest = (end + size, largest) if p in inside else (end, max(largest, size))
    reads = {_whole(lay, read(plan, p)) for p in plan.products}
    names = ("pack", "product", "products", "gradients")
    return Code(
        functions={name: toolchain.function(library, name, _PASS) for name in ("forward", "backward")},
        tables={
            "forward": Table(lay, found.refs, reads, gradients=False),
            "backward": Table(lay, found.refs, reads, gradients=True),
        },
        products=(_POINTER * len(names))(*(ctypes.cast(getattr(products, name), _POINTER) for name in names)),
        library=products,
        matrices=(*lay.products, *(lay.inputs(k) for k in range(len(starts))), *starts, end),
        room=end + largest,
        panel=panel,
    )


class Runner:
    """The C functions of one layer on its tensors. An instrumented layer (`clocked`) times its parts:
    `times`."""

    def __init__(self, where: Buffers, above: frozenset[int], clocked: bool = False) -> None:
        self.where = where
        self.code = code(where.lay, above, str(where.row.dtype).removeprefix("torch."), clocked)

    def forward(self) -> None:
        """Run the loop from the inputs to the last states."""
        self._call("forward", self.where.row, need_x=False)

    def backward(self, d_row: Tensor, need_x: bool) -> None:
        """Turn the gradients of outputs and last states into those of inputs, of the first states (in
        `where.old`) and of all matrices (in `d_row`)."""
        self._call("backward", d_row, need_x)
        if self.where.steps_count % 2 == 0:
            self.where.new, self.where.old = self.where.old, self.where.new

    def _call(self, name: str, d_row: Tensor, need_x: bool) -> None:
        where, code = self.where, self.code
        pointers, strides, alive = code.tables[name].of(where)
        row, dtype = where.row, where.row.dtype
        sizes = (where.steps_count, where.batch, where.lay.hidden)
        outer = (where.outer.steps_count, where.outer.batch)
        others = (row.stride(0), d_row.stride(0), where.lay.bias, need_x, *outer)
        numbers = (_LONG * (_SIZES + len(code.matrices)))(*sizes, *others, *code.matrices)
        # of a gradient, for every step and sequence or row of a table
        panel = max(where.steps_count * where.batch, outer[0] * outer[1]) * code.panel
        packed = torch.empty(max(code.room, code.matrices[-1] + panel), dtype=dtype)
        symbols = where.tape.symbols
        assert symbols is None or (symbols.dtype == torch.int64 and symbols.is_contiguous())
        tensors = (row, d_row, packed, symbols)
        tables = (ctypes.addressof(table) for table in (numbers, pointers, strides))
        found = (None if t is None else t.data_ptr() for t in tensors)
        what = _Call(*tables, *found, ctypes.addressof(code.products))
        function, order = address(code.functions[name]), where.order
        if isinstance(order, OneByOne):
            order.call(function, what, (code, numbers, pointers, strides, tensors, alive))
        else:
            run_now(where.members, function, what, dtype)


def times(lay: Layout, above: frozenset[int], dtype: str) -> dict[str, float]:
    """The seconds spent by an instrumented layer since the last call, by part."""
    found = (ctypes.c_double * len(PARTS))()
    library = toolchain.library(CLOCKED + source(lay.plan, above).text, dtype)
    library.take_times(found, _LONG(len(PARTS)))
    return dict(zip(PARTS, found, strict=True))
