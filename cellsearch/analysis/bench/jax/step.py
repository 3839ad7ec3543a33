"""JAX as a contestant."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from torch import Tensor

from cellsearch.analysis.bench.jax.layer import Array, Weights, plain
from cellsearch.analysis.bench.jax.loop import by_hand, lookup
from cellsearch.analysis.bench.work import NORM, RATE, Work
from cellsearch.compiler.run import layout
from cellsearch.train import model


def parameters(work: Work) -> dict[str, Any]:
    """The weights of all members as arrays, K before all of their axes."""
    shape, rows = work.shape, work.rows

    def array(tensor: Tensor) -> Array:
        return jnp.array(tensor.contiguous().numpy())

    body = shape.stack.rows(rows[:, shape.embedding : shape.output])
    end = shape.output + shape.hidden * shape.vocabulary
    layers = []
    for lay, row in zip(shape.stack.layers, body, strict=True):
        layers.append(
            Weights(
                tuple(array(layout.matrix(lay, row, k)) for k in range(len(lay.plan.products))),
                array(layout.bias(lay, row).unflatten(1, (-1, lay.hidden))),
                {k: array(layout.vector(lay, row, k)) for k in range(len(lay.weights)) if lay.alone[k] >= 0},
            )
        )
    return {
        "embedding": array(rows[:, : shape.embedding].unflatten(1, (shape.vocabulary, shape.hidden))),
        "layers": tuple(layers),
        "matrix": array(rows[:, shape.output : end].unflatten(1, (shape.hidden, shape.vocabulary))),
        "bias": array(rows[:, end:]),
    }


def stepper(work: Work, mapped: bool) -> tuple[Callable[[Any], tuple[Any, Array]], Any]:
    """The jitted step of all members, and the parameters it starts from. `mapped`: optimised by hand, lax.map
    over members; else in the usual style, vmap."""
    shape, batch = work.shape, work.sizes.batch
    tokens = jnp.array(work.window.inputs.numpy().astype(np.int32))
    targets = jnp.array(work.window.targets.numpy().astype(np.int32))
    table = model.by_symbol(shape, tokens.size, work.rows)

    def loss(p: Any) -> Array:
        below: dict[str, Array] = {}
        x = p["embedding"]
        for k, lay in enumerate(shape.stack.layers):
            if mapped:
                by_table = table and k == 0
                if k == 0 and not table:
                    x = lookup(x, tokens.reshape(-1)).reshape(*tokens.shape, -1)
                x, below = by_hand(lay, p["layers"][k], x, tokens if by_table else None, below)
            else:
                x = x[tokens] if k == 0 else x
                x, below = plain(lay, p["layers"][k], x, below)
        logits = x.reshape(-1, shape.hidden) @ p["matrix"] + p["bias"]
        picked = jnp.take_along_axis(logits, targets[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(logits, 1) - picked).sum()

    def member(p: Any) -> tuple[Any, Array]:
        summed, gradient = jax.value_and_grad(loss)(p)
        gradient = jax.tree.map(lambda g: g / batch, gradient)
        norm = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(gradient)))
        rate = RATE * jnp.minimum(NORM / norm, 1.0)
        return jax.tree.map(lambda w, g: w - rate * g, p, gradient), summed

    def everyone(p: Any) -> tuple[Any, Array]:
        return lax.map(member, p) if mapped else jax.vmap(member)(p)

    return jax.jit(everyone, donate_argnums=0), parameters(work)


def ready(work: Work, mapped: bool) -> Callable[[], Tensor]:
    """The step as a contestant: summed losses [K] before the update. See `stepper`."""
    call, state = stepper(work, mapped)

    def step() -> Tensor:
        nonlocal state
        state, losses = call(state)
        return torch.tensor(np.asarray(losses))

    return step
