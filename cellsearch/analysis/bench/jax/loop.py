"""A layer of any cell in JAX, optimised by hand. Results as in `layer`.

Values that depend on no state are computed before the loop, once per symbol if inputs are rows of a table;
connections ready at the same depth are one product; the gradient of each matrix of the loop is one product
after it. (Unrolling the scan 5 or 35 times did not help.)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cellsearch.analysis.bench.jax.layer import (
    Array,
    Values,
    Weights,
    complete,
    first_states,
    inputs_of,
)
from cellsearch.compiler.run.layout import Layout
from cellsearch.dsl.nodes import Input, sources


def by_hand(
    lay: Layout, weights: Weights, x: Array, tokens: Array | None, below: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """All steps: outputs [T, B, H] and the new values of the states. `x` are inputs [T, B, D], or with
    `tokens` [T, B] a table of them, [V, D]."""
    plan, cell = lay.plan, lay.plan.cell
    inner = [not outer for outer in plan.is_outer]
    slots = [slot for slot, i in enumerate(plan.affines) if inner[i]]
    read = {s for i, n in enumerate(cell.nodes) if inner[i] for s in sources(n)} | {*cell.new, cell.output}
    matrices = complete(lay, weights)
    of_steps = inputs_of(lay, x if tokens is None else jnp.zeros((*tokens.shape, 0), x.dtype), below)
    late = set(of_steps) - {0} if tokens is not None else set()  # refs that are not in a table of symbols
    early = [not inner[i] and i not in late for i in range(len(inner))]
    before = Values(lay, matrices, weights, {**of_steps, 0: x})
    rows = x.shape[:-1]
    for i, node in enumerate(cell.nodes):
        if not inner[i] and i not in before.there and not isinstance(node, Input):
            before.there[i] = before.compute(i)
    starts = [before.compute(plan.affines[slot], lambda s: early[s]) for slot in slots]
    wide = lambda v: jnp.broadcast_to(v, (*rows, v.shape[-1]))  # noqa: E731
    passed = {"sums": jnp.concatenate([wide(v) for v in starts], -1)}
    passed |= {str(i): wide(before.there[i]) for i in sorted(read) if early[i]}
    if tokens is not None:
        flat = tokens.reshape(-1)
        passed = {k: lookup(v, flat).reshape(*tokens.shape, -1) for k, v in passed.items()}
    passed |= {str(i): of_steps[i] for i in sorted(read & late)}
    loop = _loop(lay, inner, early, slots, sorted(read))
    outputs, new = loop(passed, weights.alone, matrices)
    return outputs, {s.name: v for s, v in zip(cell.states, new, strict=True)}


def _loop(
    lay: Layout, inner: Sequence[bool], early: Sequence[bool], slots: Sequence[int], read: Sequence[int]
) -> Callable[..., Any]:
    """The loop: from the inputs of each step, vectors and matrices to outputs and new values of the states,
    [T, B, H] each."""
    plan, cell, hidden = lay.plan, lay.plan.cell, lay.hidden
    states = [i for i, n in enumerate(cell.nodes) if isinstance(n, Input) and n.kind == "state"]
    products = [k for k, p in enumerate(plan.products) if inner[p.source]]
    nowhere = jnp.zeros((), jnp.float32)

    def scan(passed: Any, alone: Any, matrices: Sequence[Array]) -> tuple[Any, Any]:
        weights = Weights((), nowhere, alone)

        def step(carry: tuple[Array, ...], given: dict[str, Array]) -> tuple[tuple[Array, ...], Any]:
            there = {i: given[str(i)] for i in read if not inner[i]}
            now = Values(lay, matrices, weights, there | dict(zip(states, carry, strict=True)))
            for k, slot in enumerate(slots):
                now.sums[slot] = given["sums"][:, k * hidden : (k + 1) * hidden]
            for i in range(len(cell.nodes)):
                if inner[i] and i not in now.there:
                    now.there[i] = now.compute(i, lambda s: not early[s])
            shape = carry[0].shape
            new = tuple(jnp.broadcast_to(now.there[i], shape) for i in cell.new)
            output = jnp.broadcast_to(now.there[cell.output], shape)
            return new, (output, new, tuple(now.there[plan.products[k].source] for k in products))

        batch = passed["sums"].shape[1]
        _, (outputs, new, used) = lax.scan(step, first_states(lay, batch), passed)
        return (outputs, new), used

    @jax.custom_vjp
    def loop(passed: Any, alone: Any, matrices: Sequence[Array]) -> Any:
        return scan(passed, alone, matrices)[0]

    def forward(passed: Any, alone: Any, matrices: Sequence[Array]) -> tuple[Any, Any]:
        found, back, used = jax.vjp(lambda p, a: scan(p, a, matrices), passed, alone, has_aux=True)
        return found, (back, used, matrices)

    def backward(kept: Any, g: Any) -> Any:
        back, used, matrices = kept
        d_passed, d_alone = back(g)
        d_matrices = [jnp.zeros_like(m) for m in matrices]
        for k, source in zip(products, used, strict=True):
            p = plan.products[k]
            first = slots.index(p.first) * hidden
            of_slots = d_passed["sums"][..., first : first + p.count * hidden]
            d_matrices[k] = jnp.einsum("tbi,tbj->ij", source, of_slots)
        return d_passed, d_alone, tuple(d_matrices)

    loop.defvjp(forward, backward)
    return loop


@jax.custom_vjp
def lookup(table: Array, tokens: Array) -> Array:
    """Rows of a table [V, .] by tokens [N]. If V is small, its gradient is a product with a matrix of ones
    and zeros, which is faster on a CPU than adding row by row."""
    return table[tokens]


def _lookup(table: Array, tokens: Array) -> tuple[Array, Any]:
    return table[tokens], (tokens, jnp.zeros((table.shape[0], 0)))


def _lookup_back(kept: Any, g: Array) -> tuple[Array, None]:
    tokens, like = kept
    symbols = like.shape[0]
    if symbols <= len(tokens):
        return (tokens == jnp.arange(symbols)[:, None]).astype(g.dtype) @ g, None
    return jnp.zeros((symbols, g.shape[1]), g.dtype).at[tokens].add(g), None


lookup.defvjp(_lookup, _lookup_back)
