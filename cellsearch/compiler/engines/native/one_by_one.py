"""Members in sequence through a window: each forward, through the output layer and back, on one tape, which
the next member overwrites. So the tape stays in the core's cache.

The steps are recorded first and then run, for several members by one call of C, or member by member if torch
calls are between them.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.run.order import Together, Work, some

_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p

#: The timed parts. `loop.times` divides the time of the layers further.
PARTS = ("layers", "output layer, both ways", "embedding", "embedding, backward", "copies")
LAYERS, OUTPUT, EMBEDDING, EMBEDDING_BACK, MOVES = PARTS
_spent = (ctypes.c_double * len(PARTS))()

#: Members of a call of C: a signal waits until it returns.
_MEMBERS = 8

#: The largest allocation that glibc maps and unmaps separately; a little less than 32 MB.
_LARGEST = (32 << 20) - (64 << 10)


class _Step(ctypes.Structure):
    _fields_ = (("run", _POINTER), ("what", _POINTER), ("part", _LONG))


class _Moved(ctypes.Structure):
    """See members.c."""

    _fields_ = (
        ("to", _POINTER),
        ("to_k", _LONG),
        ("source", _POINTER),
        ("source_k", _LONG),
        ("which", _POINTER),
        ("rows", _LONG),
        ("width", _LONG),
    )


def address(function: Any) -> int:
    """The address of a function of a library."""
    return ctypes.cast(function, _POINTER).value or 0


def run_now(members: int, function: int, what: ctypes.Structure, dtype: torch.dtype) -> None:
    """One step, for all members."""
    step = _Step(function, ctypes.addressof(what), 0)
    _library(dtype).in_turn(_LONG(0), _LONG(members), _LONG(1), ctypes.byref(step), None)


def times() -> dict[str, float]:
    """The CPU seconds of timed members since the last call, by part."""
    found = dict(zip(PARTS, _spent, strict=True))
    ctypes.memset(_spent, 0, ctypes.sizeof(_spent))
    return found


class OneByOne(Together):
    """Members that run the recorded steps one by one."""

    def __init__(self, members: int, dtype: torch.dtype, clocked: bool = False) -> None:
        super().__init__(members)
        self.dtype, self.clocked = dtype, clocked
        self._parts: list[list[_Step] | Work] = [[]]
        self._last: list[Callable[[], None]] = []
        self._alive: list[Any] = []  # tensors that the steps read and write
        _keep_memory()

    def empty(self, like: Tensor, *shape: int) -> Tensor:
        return like.new_empty(1, *shape).expand(self.members, *(-1 for _ in shape))

    def zeros(self, like: Tensor, *shape: int) -> Tensor:
        found = self.empty(like, *shape)
        self._move("zero", found, None, None, 1, found[0].numel())
        return found

    def copy(self, to: Tensor, value: Tensor) -> None:
        if to[0].is_contiguous() and value[0].is_contiguous() and to.shape[1:] == value.shape[1:]:
            self._move("copy", to, value, None, 1, to[0].numel())
        else:
            self.work(lambda members: some(to, members).copy_(some(value, members)))

    def keep(self, value: Tensor) -> Tensor:
        found = value.new_empty(value.shape)
        self.copy(found, value)
        return found

    def lookup(self, table: Tensor, symbols: Tensor) -> Tensor:
        found = self.empty(table, *symbols.shape, table.shape[2])
        self._move("look_up", found, table, symbols, symbols.numel(), table.shape[2], EMBEDDING)
        return found

    def add_up(self, table: Tensor, symbols: Tensor, value: Tensor) -> None:
        self._move("zero", table, None, None, table.shape[1], table.shape[2], EMBEDDING_BACK)
        self._move("add_up", table, value, symbols, symbols.numel(), table.shape[2], EMBEDDING_BACK)

    def work(self, work: Work) -> None:
        self._parts += [work, []]

    def last(self, work: Callable[[], None]) -> None:
        self._last.append(work)

    def call(self, function: int, what: ctypes.Structure, alive: Any, part: str = LAYERS) -> None:
        """A step in C: a function of a member and of `what`. `alive` must live until it has run."""
        steps = self._parts[-1]
        assert isinstance(steps, list)
        steps.append(_Step(function, ctypes.addressof(what), PARTS.index(part)))
        self._alive += [what, alive]

    def run(self) -> None:
        parts = [part if callable(part) else (_Step * len(part))(*part) for part in self._parts if part]
        in_turn, spent = _library(self.dtype).in_turn, _spent if self.clocked else None
        by = 1 if any(map(callable, parts)) else _MEMBERS
        for k in range(0, self.members, by):
            end = min(k + by, self.members)
            for part in parts:
                if callable(part):
                    part(slice(k, end))
                else:
                    in_turn(_LONG(k), _LONG(end), _LONG(len(part)), part, spent)
        for work in self._last:
            work()

    def _move(
        self,
        name: str,
        to: Tensor,
        source: Tensor | None,
        which: Tensor | None,
        rows: int,
        width: int,
        part: str = MOVES,
    ) -> None:
        if rows * width == 0:
            return
        tensors = (to, source, which)
        assert all(t is None or t[0].is_contiguous() for t in tensors[:2])
        assert which is None or (which.dtype == torch.int64 and which.is_contiguous())
        at = (None if t is None else t.data_ptr() for t in tensors)
        (to_at, source_at, which_at), from_k = at, 0 if source is None else _apart(source)
        what = _Moved(to_at, _apart(to), source_at, from_k, which_at, rows, width)
        self.call(address(getattr(_library(self.dtype), name)), what, tensors, part)


def _apart(t: Tensor) -> int:
    """The stride of members of a tensor [K, ...], or [1, ...] if all share it."""
    return 0 if t.shape[0] == 1 else t.stride(0)


def _library(dtype: torch.dtype) -> ctypes.CDLL:
    return toolchain.products(str(dtype).removeprefix("torch."))


@cache
def _keep_memory() -> None:
    """Make glibc keep the freed memory of a window, up to 64 MB, for the next one. By default it keeps twice
    the largest freed mapping and returns the rest to the system, and the next window has page faults on the
    same memory: an eighth of the time of a step with 64 units. So one large allocation, never written, raises
    the limit. Other allocators ignore it."""
    torch.empty(_LARGEST, dtype=torch.uint8)
