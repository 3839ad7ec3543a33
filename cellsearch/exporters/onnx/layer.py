"""One direction of a layer as ONNX nodes: state-independent values are computed for all steps at once, the
rest in a Scan over the steps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellsearch.compiler.reference import matrix
from cellsearch.compiler.run.layout import Layout
from cellsearch.dsl.nodes import Affine, Apply, Constant, Input
from cellsearch.dsl.ops import OPS, Kind
from cellsearch.dsl.weights import unit_periods
from cellsearch.exporters.onnx.formulas import apply
from cellsearch.exporters.onnx.graph import Graph, package

Value = Callable[[int], str]  # the name of a node's value


@dataclass(frozen=True)
class Given:
    """The inputs of a layer, by names of values."""

    x: str  # [T, B, D]
    states: Sequence[str]  # of the lowered cell, each [B, H]; last x before the start, [past, B, D], if read
    steps: str  # [B], int64: the number of the first step; "" where the cell has no clock
    below: Mapping[str, str]  # state of the layer below -> its new values [T, B, H]


@dataclass(frozen=True)
class Made:
    """The outputs of a layer, by names of values."""

    output: str  # [T, B, H]
    last: list[str]  # in the order of `Given.states`
    new: dict[str, str]  # state -> its new values [T, B, H], of those that the layer above reads


class Writer:
    """The nodes of one direction of a layer: `outer` holds values of all steps, the Scan's body those of
    one."""

    def __init__(
        self, graph: Graph, lay: Layout, weights: Mapping[str, Tensor], given: Given, stem: str
    ) -> None:
        self.graph, self.lay, self.weights, self.given, self.stem = graph, lay, weights, given, stem
        self.plan, self.cell = lay.plan, lay.plan.cell
        self.body = Graph(graph.dtype, graph)
        self.outer: dict[int, str] = {}
        self.inner: dict[int, str] = {}
        self.scanned: dict[str, str] = {}  # a sequence -> what the body calls its row of this step
        self.sequences = self._sequences()
        self.inputs = self._inputs()

    def _sequences(self) -> list[bool]:
        """Whether each node varies over steps."""
        found: list[bool] = []
        for node in self.cell.nodes:
            match node:
                case Input("below", name):
                    found.append(name in self.given.below)
                case Input():
                    found.append(True)
                case Affine(connections):
                    found.append(any(found[c.source] for c in connections))
                case Apply(_, args):
                    found.append(any(found[a] for a in args))
                case _:
                    found.append(False)
        return found

    def _inputs(self) -> str:
        """x with what it was before in front, [past + T, B, D]."""
        if not self.cell.past:
            return self.given.x
        return self.graph.op("Concat", self.given.states[-1], self.given.x, axis=0)

    # ---- values of all steps

    def at_all_steps(self, i: int) -> str:
        """A state-independent node: [T, B, H] or broadcastable to it."""
        if i not in self.outer:
            self.outer[i] = self._outer(i)
        return self.outer[i]

    def _outer(self, i: int) -> str:
        node = self.cell.nodes[i]
        match node:
            case Constant(value):
                return self.graph.number(value)
            case Input("x"):
                return self.given.x
            case Input("past", delay):
                ends = self.graph.int64(self.cell.past - int(delay)), self.graph.int64(-int(delay))
                return self.graph.op("Slice", self.inputs, *ends, self.graph.int64(0))
            case Input("tick"):
                return self._tick()
            case Input("below", name):
                return self.given.below.get(name) or self.graph.number(0)
            case Affine(connections):
                return self._sum(self.graph, i, range(len(connections)), self.at_all_steps, bias=True)
            case Apply(op, args):
                return self._apply(self.graph, op, args, self.at_all_steps)
        raise AssertionError(f"node {i} is inside the loop")

    def _tick(self) -> str:
        """1 where the clock of a unit ticks, [T, B, H]."""
        graph = self.graph
        numbers = graph.op("Range", graph.index(0), graph.length(self.given.x), graph.index(1))
        steps = graph.op("Add", graph.op("Unsqueeze", numbers, graph.int64(1)), self.given.steps)  # [T, B]
        periods = graph.int64(*unit_periods(self.cell.clock, self.lay.hidden))
        left = graph.op("Mod", graph.op("Unsqueeze", steps, graph.int64(2)), periods)
        ticks = graph.op("Equal", left, graph.index(0))
        return graph.op("Where", ticks, graph.number(1), graph.number(0), stem="tick")

    # ---- values of one step

    def at_this_step(self, i: int) -> str:
        """Any node as the body of the Scan reads it."""
        if not self.plan.is_outer[i]:
            if i not in self.inner:
                self.inner[i] = self._inner(i)
            return self.inner[i]
        value = self.at_all_steps(i)
        return self.scan(value) if self.sequences[i] else value

    def scan(self, sequence: str) -> str:
        """The row of this step of a sequence."""
        if sequence not in self.scanned:
            self.scanned[sequence] = self.body.fresh(f"{sequence}_now")
        return self.scanned[sequence]

    def _inner(self, i: int) -> str:
        node = self.cell.nodes[i]
        if isinstance(node, Apply):
            return self._apply(self.body, node.op, node.args, self.at_this_step)
        assert isinstance(node, Affine)
        free = [k for k, c in enumerate(node.connections) if self.plan.is_outer[c.source]]
        waiting = [k for k in range(len(node.connections)) if k not in free]
        found = self._sum(self.body, i, waiting, self.at_this_step, bias=False)
        if not free and node.bias is None:
            return found
        part = self._sum(self.graph, i, free, self.at_all_steps, bias=True)
        if any(self.sequences[node.connections[k].source] for k in free):
            part = self.scan(part)
        return self.body.op("Add", found, part)

    # ---- both

    def _apply(self, graph: Graph, op: str, args: Sequence[int], value: Value) -> str:
        whole = OPS[op].kind is Kind.UNITS
        return apply(
            graph, OPS[op], [self._with_units(graph, a, value) if whole else value(a) for a in args], op
        )

    def _sum(self, graph: Graph, i: int, terms: Sequence[int], value: Value, *, bias: bool) -> str:
        """Terms of a bracket, and its bias."""
        node = self.cell.nodes[i]
        assert isinstance(node, Affine)
        found = []
        for k in terms:
            kind = "Mul" if node.connections[k].peephole else "MatMul"
            source = self._with_units(graph, node.connections[k].source, value)
            found.append(graph.op(kind, source, self._weight(i, k)))
        if bias and node.bias is not None:
            found.append(self._weight(i, -1))
        total, *others = found
        for term in others:
            total = graph.op("Add", total, term)
        return total

    def _with_units(self, graph: Graph, i: int, value: Value) -> str:
        """A node with an axis of all units, which a number and a learned scalar lack."""
        if self.sequences[i]:
            return value(i)
        return graph.op("Mul", value(i), graph.constant(np.ones(self.lay.hidden, graph.dtype)))

    def _weight(self, node: int, term: int) -> str:
        """A materialised matrix, a peephole or a bias."""
        owned = [w for w in self.cell.weights if (w.node, w.term) == (node, term)]
        value, name = self.weights[owned[0].name], owned[0].name
        if owned[0].row is not None:
            sizes = owned[0].sizes(self.lay.width, self.lay.hidden, self.cell.clock)
            value, name = matrix(self.weights, owned, sizes), owned[0].connection
        array = value.detach().to("cpu", torch.float64).numpy().astype(self.graph.dtype)
        return self.graph.constant(array, f"{self.stem}.{name}")

    # ---- the layer

    def layer(self, read_above: Sequence[str]) -> Made:
        """All nodes of the layer. `read_above` are the states whose new values the layer above reads."""
        cell, graph, body = self.cell, self.graph, self.body
        names = [body.fresh(f"{self.stem}.{s.name.replace(' ', '_').replace(',', '')}") for s in cell.states]
        self.inner |= {1 + s: name for s, name in enumerate(names)}
        new = [self._full(i, names[s]) for s, i in enumerate(cell.new)]
        places = [cell.output, *(cell.new[[s.name for s in cell.states].index(name)] for name in read_above)]
        shown = [self._full(i, names[0]) for i in places]
        if not self.scanned:
            self.scan(self.given.x)  # for the number of steps
        helper, kind = package().helper, package().helper.np_dtype_to_tensor_dtype(graph.dtype)
        ends = [body.op("Identity", value, stem=f"{self.stem}.end") for value in (*new, *shown)]

        def info(values: Iterable[str]) -> list[Any]:
            return [helper.make_tensor_value_info(value, kind, None) for value in values]

        inputs = [*names, *self.scanned.values()]
        inside = helper.make_graph(body.nodes, f"{self.stem}.step", info(inputs), info(ends))
        outputs = [graph.fresh(f"{self.stem}.last") for _ in new]
        outputs += [graph.fresh(f"{self.stem}.all") for _ in shown]
        begun = self.given.states[: len(names)]
        graph.op(
            "Scan", *begun, *self.scanned, outputs=outputs, body=inside, num_scan_inputs=len(self.scanned)
        )
        last = outputs[: len(new)]
        if cell.past:
            first, end = graph.int64(-cell.past), graph.int64(np.iinfo(np.int64).max)
            last.append(graph.op("Slice", self.inputs, first, end, graph.int64(0)))
        output, *others = outputs[len(new) :]
        return Made(output, last, dict(zip(read_above, others, strict=True)))

    def _full(self, i: int, like: str) -> str:
        """A node at this step, [B, H]."""
        value = self.at_this_step(i)
        return self.body.op("Expand", value, self.body.op("Shape", like)) if not self.sequences[i] else value
