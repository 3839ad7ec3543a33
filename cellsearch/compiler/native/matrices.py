"""Batched matrix products of a population in C: members one after another, a packed matrix in the cache.

At the sizes of a search (hundreds of rows, tens to hundreds of columns) these run at or above the speed of a
BLAS, which is made for larger matrices. All tensors are [K, rows, columns] with contiguous rows, of one float
dtype, on the CPU.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from cellsearch.compiler.native import toolchain

_LONG, _POINTER, _INT = ctypes.c_long, ctypes.c_void_p, ctypes.c_int


def multiply(
    a: Tensor,
    w: Tensor,
    out: Tensor,
    *,
    turn: bool = False,
    add: bool = False,
    bias: Tensor | None = None,
) -> None:
    """out = a @ w, or a @ w' with `turn`, plus `bias` [K, n], plus what `out` holds with `add`.

    a [K, rows, inner]; w [K, inner, n], with `turn` [K, n, inner]; out [K, rows, n].
    """
    a = a if a.stride(-1) == 1 else a.contiguous()
    members, rows, inner = a.shape
    n = out.shape[-1]
    library = toolchain.products(_name(a))
    packed = _packing(library, inner, n, a)
    library.products(
        *map(_LONG, (members, rows, inner, n)),
        *_place(a),
        *_place(w),
        _INT(turn),
        _POINTER(None if bias is None else bias.data_ptr()),
        _LONG(0 if bias is None else bias.stride(0)),
        *_place(out),
        _INT(add),
        _POINTER(packed.data_ptr()),
    )


def gradients(pairs: Sequence[tuple[Tensor, Tensor]], d: Tensor) -> None:
    """out = a' @ d for each pair (a, out): the gradients of matrices that were multiplied to one sum.

    Each a [K, rows, width], d [K, rows, n], each out [K, width, n].
    """
    pairs = [(a if a.stride(-1) == 1 else a.contiguous(), out) for a, out in pairs]
    members, inner, n = d.shape
    library = toolchain.products(_name(d))
    packed = _packing(library, inner, library.panel_width(), d)
    places = [x for a, out in pairs for x in (*_numbers(a), *_numbers(out))]
    library.gradients(
        *map(_LONG, (members, inner, n)),
        *_place(d),
        _LONG(len(pairs)),
        (_LONG * len(pairs))(*(a.shape[-1] for a, _ in pairs)),
        (_LONG * len(places))(*places),
        _POINTER(packed.data_ptr()),
    )


def _numbers(t: Tensor) -> tuple[int, int, int]:
    return t.data_ptr(), t.stride(0), t.stride(1)


def _place(t: Tensor) -> tuple[ctypes.c_void_p, ctypes.c_long, ctypes.c_long]:
    return _POINTER(t.data_ptr()), _LONG(t.stride(0)), _LONG(t.stride(1))


def _packing(library: ctypes.CDLL, inner: int, n: int, like: Tensor) -> Tensor:
    panel = library.panel_width()
    return torch.empty(-(-n // panel) * panel * max(inner, 1), dtype=like.dtype)


def _name(t: Tensor) -> str:
    return str(t.dtype).removeprefix("torch.")
