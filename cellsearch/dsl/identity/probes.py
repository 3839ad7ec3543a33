"""Run a cell in float64 on fixed inputs, in numpy, for the comparison in `functional`.

All numbers are hashes of names, so that they are the same on every machine.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from cellsearch.dsl.formulas.evaluate import evaluate
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Affine, Before, Constant, Input, lookback
from cellsearch.dsl.ops import OPS, Kind

Array = NDArray[np.float64]
Slot = tuple[int, int]  # an affine node and the index of its connection, -1 for its bias

UNITS = 4
SCALES = np.array([0, 0.25, 0.5, 1, 1, 2, 4, 16])  # rows of inputs per draw
VECTORS, MATRICES = np.array([1, 0.5, 2, 4]), np.array([1, 0.5, 1, 2])  # scales of weights, by draw


def run(
    cell: Cell,
    values: Mapping[Slot, Array],
    draws: int,
    start: bool = False,
    constant: Callable[[float], float] = float,
) -> Array:
    """The outputs of the cell, compressed to moderate size, or NaN: [places, 1 or K, numbers], where the
    places are the output and the states at each step.

    Weights are [1 or K, shape]. Inputs are drawn `draws` times, once for each of K weights or once for all;
    so are the old states (or they are those of the `start`); clock ticks and values of the layer below are
    arbitrary, so that equality holds from any start.
    """
    positions = {state.name: str(k) for k, state in enumerate(cell.states)}
    past: list[list[Array]] = []
    states = [_probe(f"state {k}", draws) for k in range(len(cell.states))]
    if start:
        states = [np.full((1, 1, 1), state.initial) for state in cell.states]
    out: list[Array] = []
    back = max(lookback(cell.nodes))
    # Without delays any step is a first step; else run until the zeros before the start are out of reach.
    for t in range(2 + back + len(states) if back else 1):
        now: list[Array] = []
        for i, node in enumerate(cell.nodes):
            if isinstance(node, Input):
                name = positions.get(node.name, node.name)
                if node.kind == "state":
                    value = states[int(name)]
                elif node.kind == "tick":
                    value = (_probe(f"tick {t}", draws) > 0).astype(np.float64)
                else:
                    value = _probe(f"below {name} {t}" if node.kind == "below" else f"x {t}", draws)
            elif isinstance(node, Constant):
                value = np.full((1, 1, 1), constant(node.value))
            elif isinstance(node, Before):
                value = past[t - node.delay][node.source] if t >= node.delay else np.zeros((1, 1, 1))
            elif isinstance(node, Affine):
                value = _affine(node, [values.get((i, k)) for k in (*range(len(node.connections)), -1)], now)
            else:
                op, args = OPS[node.op], [now[a] for a in node.args]
                if op.kind is Kind.UNITS:
                    args = list(map(_units, args))
                value = evaluate(op.value, dict(zip("ab", args, strict=False)))
            now.append(value)
        past.append(now)
        states = [now[i] for i in cell.new]
        out += [now[cell.output], *states]
    count = max(len(value) for value in out)
    whole = [np.broadcast_to(value, (count, len(SCALES), UNITS)).reshape(count, -1) for value in out]
    return np.arcsinh(1e3 * np.stack(whole))  # absolute precision near zero, relative for large numbers


def _affine(node: Affine, weights: Sequence[Array | None], now: Sequence[Array]) -> Array:
    total = np.zeros((1, 1, 1))
    for c, weight in zip(node.connections, weights, strict=False):
        assert weight is not None
        value = now[c.source]
        if c.peephole:
            total = total + value * weight[..., None, :]
        else:
            spread = np.broadcast_to(value, (*value.shape[:-1], UNITS))
            total = total + spread @ weight
    return total if weights[-1] is None else total + weights[-1][..., None, :]


def _units(value: Array) -> Array:
    return np.broadcast_to(value, (*value.shape[:-1], UNITS))


# ---- numbers that are the same on every machine


@lru_cache(maxsize=4096)
def draw(name: str, count: int) -> Array:
    """`count` numbers between -1 and 1, derived from a name."""
    text = b"".join(blake2b(f"{name} {k}".encode()).digest() for k in range(-(-count // 8)))
    drawn = np.frombuffer(text, "<u8")[:count].astype(np.float64) / 2.0**63 - 1
    drawn.flags.writeable = False
    return drawn


def _probe(name: str, draws: int) -> Array:
    """Values of an input: [draws, rows, UNITS], small in some rows and large in others."""
    drawn = draw(f"probe {name}", draws * SCALES.size * UNITS).reshape(draws, SCALES.size, UNITS)
    scaled: Array = drawn * SCALES[:, None]
    return scaled


def values_of(kind: str, place: int, variant: str, draws: int) -> Array:
    """Probe values of a weight: matrix [draws, UNITS, UNITS], vector [draws, UNITS] or scalar [draws, 1]."""
    what = kind.split()[0]
    shape = {"matrix": (draws, UNITS, UNITS), "scalar": (draws, 1)}.get(what, (draws, UNITS))
    drawn = draw(f"{variant} {place} {kind}", math.prod(shape)).reshape(draws, -1)
    scales = np.resize(MATRICES if what == "matrix" else VECTORS, draws)
    return (drawn * scales[:, None]).reshape(shape)
