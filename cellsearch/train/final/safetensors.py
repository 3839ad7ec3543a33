"""Read and write tensors in the format of the package safetensors; executes nothing in a file.

A file has eight bytes (the length of the header, little-endian), the header in JSON, and the data of the
tensors. The format is public and small, so the program needs no package for it; the tests compare it with
that package, both ways.
"""

import json
import math
import struct
from collections.abc import Mapping

import torch
from torch import Tensor

from cellsearch.errors import DataError

DTYPES = {
    "F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "I32": torch.int32, "BOOL": torch.bool,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_HEADER = 100 << 20  # maximum bytes of a header in that package
_ABOUT = "__metadata__"


def encode(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """The bytes of a file."""
    header: dict[str, object] = {_ABOUT: dict(about)}
    parts: list[bytes] = []
    at = 0
    for name, tensor in tensors.items():
        data = tensor.detach().cpu().numpy().tobytes()
        place = [at, at + len(data)]
        header[name] = {
            "dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place,
        }  # fmt: skip
        parts.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers are aligned
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def decode(data: bytes, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name, and the metadata. Raises DataError, with the source `where`, for a damaged file or
    another format."""
    try:
        (length,) = struct.unpack_from("<Q", data)
        if not 2 <= length <= min(_HEADER, len(data) - 8):
            raise ValueError("the header is truncated")
        header = json.loads(data[8 : 8 + length])
        numbers = memoryview(data)[8 + length :]
        about = {str(key): str(value) for key, value in header.pop(_ABOUT, {}).items()}
        return {name: _tensor(entry, numbers) for name, entry in header.items()}, about
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise DataError(f"{where} is damaged or not a safetensors file: {error}") from error


def _tensor(entry: Mapping[str, object], numbers: memoryview) -> Tensor:
    dtype, shape, place = DTYPES[str(entry["dtype"])], entry["shape"], entry["data_offsets"]
    for whole in (shape, place):
        if not isinstance(whole, list) or any(type(n) is not int or n < 0 for n in whole):
            raise ValueError("a shape or an offset is wrong")
    assert isinstance(shape, list) and isinstance(place, list)
    first, last = place
    if not 0 <= first <= last <= len(numbers) or last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError("a tensor is truncated")
    part = bytearray(numbers[first:last])  # a copy: torch needs writable memory
    return torch.frombuffer(part, dtype=dtype).reshape(shape) if part else torch.empty(shape, dtype=dtype)
