"""Formulas of the op table as ONNX operators."""

from collections.abc import Mapping

from cellsearch.dsl.formulas.form import (
    INTRINSICS,
    REDUCTIONS,
    SIGNS,
    Formula,
    Number,
    Variable,
    is_whole,
)
from cellsearch.dsl.ops import Kind, Op
from cellsearch.exporters.onnx.graph import Graph

#: The ONNX operator of each function.
_OPERATORS = {
    "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "or": "Or", "and": "And",
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "sigmoid": "Sigmoid",
    "tanh": "Tanh", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "erf": "Erf",
    "abs": "Abs", "where": "Where",
}  # fmt: skip
_REDUCTIONS = {"mean": "ReduceMean", "total": "ReduceSum", "highest": "ReduceMax"}
_OTHERS = {"ne", "log1p", "expm1", "sums_before", "sums_behind"}
assert _OPERATORS.keys() | _REDUCTIONS.keys() | _OTHERS == {*SIGNS, *INTRINSICS, *REDUCTIONS}


def emit(graph: Graph, of: Formula, values: Mapping[str, str], known: dict[Formula, str]) -> str:
    """Adds the nodes of a formula and returns the name of its value. Repeated calls share one node in
    `known`."""
    if isinstance(of, Number):
        return graph.number(of.value)
    if isinstance(of, Variable):
        return values[of.name]
    if of not in known:
        args = [emit(graph, arg, values, known) for arg in of.args]
        known[of] = _call(graph, of.function, args)
    return known[of]


def _call(graph: Graph, name: str, args: list[str]) -> str:
    if operator := _OPERATORS.get(name):
        return graph.op(operator, *args)
    if reduction := _REDUCTIONS.get(name):
        return graph.op(reduction, *args, graph.int64(-1), keepdims=1)
    if name.startswith("sums"):
        return graph.op("CumSum", *args, graph.index(-1), reverse=int(name == "sums_behind"))
    if name == "ne":
        return graph.op("Not", graph.op("Equal", *args))
    if name == "log1p":
        return graph.op("Log", graph.op("Add", graph.number(1), *args))
    return graph.op("Sub", graph.op("Exp", *args), graph.number(1))  # expm1


def apply(graph: Graph, op: Op, args: list[str], stem: str) -> str:
    """The value of an op. Arguments and value of an op over the units have the full axis of units."""
    if op.onnx:
        return graph.op(op.onnx, *args, stem=stem)
    found = emit(graph, op.value, dict(zip("ab", args, strict=False)), {})
    if op.kind is Kind.UNITS and not is_whole(op.value, {"a"}):
        return graph.op("Expand", found, graph.op("Shape", args[0]), stem=stem)
    return found
