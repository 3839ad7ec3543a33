"""Builder of an ONNX graph.

Each call of `op` adds a node and returns the name of its value. The body of a Scan is a separate graph that
may read values of the enclosing one; constants are in the outermost graph.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellsearch.errors import ExportError

if TYPE_CHECKING:
    import onnx

OPSET, IR = 18, 8  # of 2022: ONNX Runtime 1.14 and later read them


def package() -> Any:
    """The package onnx. Raises ExportError if it is not installed."""
    try:
        import onnx
        import onnx.reference
    except ImportError as error:
        raise ExportError(f"export to ONNX needs the package onnx: {error}\npip install onnx") from None
    return onnx


class Graph:
    """A graph under construction; all its numbers have one type."""

    def __init__(self, dtype: np.dtype[Any], around: "Graph | None" = None) -> None:
        self.dtype, self.around = dtype, around
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.names: set[str] = around.names if around else set()
        self.times: Counter[str] = around.times if around else Counter()  # uses of each stem

    def fresh(self, stem: str) -> str:
        """An unused name: the stem itself, or with a number."""
        while (name := f"{stem}_{self.times[stem]}" if self.times[stem] > 1 else stem) in self.names:
            self.times[stem] += 1
        self.names.add(name)
        return name

    def op(
        self, kind: str, *inputs: str, stem: str = "", outputs: Sequence[str] = (), **attributes: Any
    ) -> str:
        """Adds a node; returns the name of its value, or of the first of `outputs`."""
        given = list(outputs) or [self.fresh(stem or kind.lower())]
        self.nodes.append(package().helper.make_node(kind, inputs, given, **attributes))
        return given[0]

    def constant(self, value: NDArray[Any], stem: str = "constant") -> str:
        """A constant; equal ones are shared."""
        if self.around:
            return self.around.constant(value, stem)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self.known:
            self.known[key] = self.fresh(stem)
            self.constants[self.known[key]] = value
        return self.known[key]

    def number(self, value: float) -> str:
        """A number of the graph's type."""
        return self.constant(np.asarray(value, self.dtype))

    def index(self, value: int) -> str:
        """A whole number, without axes."""
        return self.constant(np.asarray(value, np.int64))

    def length(self, sequence: str) -> str:
        """The number of steps of a sequence [T, ...], without axes."""
        return self.op("Gather", self.op("Shape", sequence), self.index(0))

    def int64(self, *values: int) -> str:
        """A vector of whole numbers: axes, bounds, shapes."""
        return self.constant(np.asarray(values, np.int64))
