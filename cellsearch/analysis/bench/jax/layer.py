"""A layer of any cell in JAX, from its plan and the formulas of the op table, in the usual style.

Takes a layout, the weights of one member as arrays, and inputs [T, B, D]; returns the outputs of all steps
[T, B, H].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cellsearch.compiler.plan.schedule import is_vector
from cellsearch.compiler.run.layout import Layout
from cellsearch.dsl.formulas.form import INTRINSICS, REDUCTIONS, SIGNS, Call, Formula, Number, Variable
from cellsearch.dsl.nodes import Affine, Apply, Constant, Input
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.structures import entries, evaluate, pattern, words
from cellsearch.dsl.weights import unit_periods

Array = Any

#: Each sign, function and reduction of a formula in JAX; reductions run along the last axis, the units.
JAX: dict[str, Callable[..., Array]] = {
    "lt": jnp.less,
    "le": jnp.less_equal,
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
    "ne": jnp.not_equal,
    "or": jnp.logical_or,
    "and": jnp.logical_and,
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "neg": jnp.negative,
    "sigmoid": jax.nn.sigmoid,
    "erf": jax.scipy.special.erf,
    **{name: getattr(jnp, name) for name in INTRINSICS if name not in ("sigmoid", "erf")},
    "mean": lambda a: a.mean(-1, keepdims=True),
    "total": lambda a: a.sum(-1, keepdims=True),
    "highest": lambda a: a.max(-1, keepdims=True),
    "sums_before": lambda a: a.cumsum(-1),
    "sums_behind": lambda a: jnp.flip(jnp.flip(a, -1).cumsum(-1), -1),
}
assert JAX.keys() == {*SIGNS, *INTRINSICS, *REDUCTIONS}


def value(of: Formula, values: Mapping[str, Array]) -> Array:
    """The value of a formula; JAX computes common subexpressions once."""
    match of:
        case Number(number):
            return number
        case Variable(name):
            return values[name]
        case Call(function, args):
            return JAX[function](*(value(arg, values) for arg in args))


@dataclass(frozen=True)
class Weights:
    """The weights of a layer of one member, or with an axis K before of all: matrices of the products of the
    plan [in, count*H], biases of its gathering slots [A, H], and by index weights outside matrices."""

    products: tuple[Array, ...]
    bias: Array
    alone: dict[int, Array]


jax.tree_util.register_dataclass(Weights, ["products", "bias", "alone"], [])


def complete(lay: Layout, given: Weights) -> tuple[Array, ...]:
    """The matrices of the products: some are composed of other weights, some have entries that stay zero."""
    plan, found = lay.plan, list(given.products)
    for k, w in enumerate(lay.weights):
        if w.row is None or w.place > 0 or not (w.row.made or w.piece.free):
            continue
        sizes = w.sizes(lay.width, lay.hidden, plan.cell.clock)
        node, slot = plan.cell.nodes[w.node], plan.slot_of(w.node)
        assert isinstance(node, Affine)
        source = node.connections[w.term].source
        p = next(p for p in plan.products if p.source == source and slot in p.slots)
        first = (slot - p.first) * lay.hidden
        columns = slice(first, first + lay.hidden)
        at = plan.index[p]
        if w.row.made:
            values: dict[str, Any] = sizes._asdict() | {"periods": jnp.array(sizes.periods)}
            values |= entries(words(w.row.matrix), (sizes.rows, sizes.units), jnp.arange)
            for place, piece in enumerate(w.row.pieces):
                values[piece.name] = given.alone[k + place] * pattern(piece, sizes)
            made = evaluate(w.row.matrix, values, jnp)
        else:
            made = found[at][:, columns] * pattern(w.piece, sizes)
        found[at] = found[at].at[:, columns].set(made)
    return tuple(found)


class Values:
    """The values of the nodes of a step or of all steps, computed in order from the given values.

    `sums` are the initial sums of affines, by slot; a slot without one starts at its bias. A product is
    computed at its first use, for all its slots together.
    """

    def __init__(self, lay: Layout, matrices: Sequence[Array], weights: Weights, there: dict[int, Array]):
        self.lay, self.plan, self.matrices, self.weights = lay, lay.plan, matrices, weights
        self.there = there
        self.sums: dict[int, Array] = {}
        self.products: dict[int, Array] = {}
        self.by_term = {(w.node, w.term): k for k, w in enumerate(lay.weights)}

    def product(self, source: int, slot: int) -> Array:
        """The part for a slot of the product of a source."""
        at = next(k for k, p in enumerate(self.plan.products) if p.source == source and slot in p.slots)
        if at not in self.products:
            self.products[at] = self.there[source] @ self.matrices[at]
        first = (slot - self.plan.products[at].first) * self.lay.hidden
        return self.products[at][..., first : first + self.lay.hidden]

    def terms(self, i: int, wanted: Callable[[int], bool]) -> list[Array]:
        """The terms of affine i with a requested source."""
        node = self.plan.cell.nodes[i]
        assert isinstance(node, Affine)
        found = []
        for term, c in enumerate(node.connections):
            if not wanted(c.source):
                continue
            if c.peephole:
                found.append(self.there[c.source] * self.weights.alone[self.by_term[i, term]])
            else:
                found.append(self.product(c.source, self.plan.slot_of(i)))
        return found

    def compute(self, i: int, wanted: Callable[[int], bool] = lambda _: True) -> Array:
        """The value of node i; of an affine the terms with a requested source, and its initial sum."""
        node = self.plan.cell.nodes[i]
        if isinstance(node, Constant):
            return jnp.full(self.lay.hidden, node.value, jnp.float32)
        if is_vector(node):
            return self.weights.alone[self.by_term[i, -1]] * jnp.ones(self.lay.hidden, jnp.float32)
        if isinstance(node, Affine):
            slot = self.plan.slot_of(i)
            terms = self.terms(i, wanted)
            if slot in self.sums:
                terms.append(self.sums[slot])
            elif (i, -1) in self.by_term:
                terms.append(self.weights.bias[slot])
            total = terms[0] if terms else jnp.zeros(self.lay.hidden, jnp.float32)
            for term in terms[1:]:
                total = total + term
            return total
        assert isinstance(node, Apply)
        op = OPS[node.op]
        names = zip("ab", node.args, strict=False)
        return value(op.value, {name: self.there[a] for name, a in names})


def inputs_of(lay: Layout, x: Array, below: Mapping[str, Array], start: int = 0) -> dict[int, Array]:
    """The inputs of a layer for all steps [T, B, .]: x, earlier x, the tick, the layer below."""
    cell, found = lay.plan.cell, {}
    steps = x.shape[0]
    for i, node in enumerate(cell.nodes):
        if not isinstance(node, Input) or node.kind == "state":
            continue
        if node.kind == "x":
            found[i] = x
        elif node.kind == "past":
            shift = min(int(node.name), steps)
            found[i] = jnp.concatenate([jnp.zeros_like(x[:shift]), x[: steps - shift]])
        elif node.kind == "tick":
            periods = jnp.array(unit_periods(cell.clock, lay.hidden))
            tick = ((start + jnp.arange(steps))[:, None, None] % periods == 0).astype(x.dtype)
            found[i] = jnp.broadcast_to(tick, (*x.shape[:2], lay.hidden))
        else:
            found[i] = below.get(node.name, jnp.zeros((*x.shape[:2], lay.hidden), x.dtype))
    return found


def first_states(lay: Layout, batch: int) -> tuple[Array, ...]:
    """The states before the first step, [B, H] each."""
    return tuple(jnp.full((batch, lay.hidden), s.initial, jnp.float32) for s in lay.plan.cell.states)


def plain(
    lay: Layout, weights: Weights, x: Array, below: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """All steps in the usual style: a scan over equations, everything in the step. x [T, B, D]; outputs
    [T, B, H] and the new values of the states."""
    matrices, cell = complete(lay, weights), lay.plan.cell
    given = inputs_of(lay, x, below)
    states = [i for i, n in enumerate(cell.nodes) if isinstance(n, Input) and n.kind == "state"]

    def step(carry: tuple[Array, ...], inputs: dict[int, Array]) -> tuple[tuple[Array, ...], Any]:
        now = Values(lay, matrices, weights, {**inputs, **dict(zip(states, carry, strict=True))})
        _remaining(now)
        wide = {i: jnp.broadcast_to(now.there[i], carry[0].shape) for i in (*cell.new, cell.output)}
        new = tuple(wide[i] for i in cell.new)
        return new, (wide[cell.output], new)

    _, (outputs, new) = lax.scan(step, first_states(lay, x.shape[1]), given)
    return outputs, {s.name: v for s, v in zip(cell.states, new, strict=True)}


def _remaining(now: Values) -> None:
    for i in range(len(now.plan.cell.nodes)):
        if i not in now.there:
            now.there[i] = now.compute(i)
