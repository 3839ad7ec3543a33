"""Recipes and genotypes computed a second time, from their published descriptions alone; and random recipes.

An interpreter is given one layer's weights by our names and knows nothing else of cellsearch. `differences` holds it
against `Recurrent` and `reference`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from cellsearch.compiler.reference import reference
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl.graph import Cell, uses_raw_x

Recipe = Mapping[str, Mapping[str, Any]]
Weights = Mapping[str, Tensor]
Step = Callable[[Weights, Tensor, Sequence[Tensor]], list[Tensor]]
ACTIVATIONS = {
    "activation_tanh": torch.tanh,
    "activation_sigm": torch.sigmoid,
    "activation_leaky_relu": torch.nn.LeakyReLU(),
}


def states_of(recipe: Recipe) -> int:
    return sum(key.startswith("h_new_") and key[6:].isdigit() for key in recipe)


def needed(recipe: Recipe) -> tuple[set[str], list[int]]:
    """The nodes and the states that h_new_0 depends on, through time."""
    nodes: set[str] = set()
    waiting = ["h_new_0"]
    while waiting:
        key = waiting.pop()
        if key.startswith("h_prev_"):
            key = f"h_new_{key[7:]}"
            waiting.append(f"state {key[6:]}")
        if key not in nodes and (key in recipe or key.startswith("state ")):
            nodes.add(key)
            waiting += recipe[key]["input"] if key in recipe else []
    states = {int(key[6:]) for key in nodes if key.startswith("state ")} | {0}
    return {key for key in nodes if key in recipe}, sorted(states)


def recipe_step(recipe: Recipe) -> Step:
    """One step of a recipe: weights, x [B, D] and states [B, H] in, new states out; those that are needed."""
    count, kept = states_of(recipe), needed(recipe)[1]
    state = {k: "h" if count == 1 else f"h_{k}" for k in range(count)}

    def ours(name: str) -> str:
        """How weights call a node or an input of the recipe."""
        for k in range(count):
            new = f"{state[k]}_new" if k in kept else state[k]  # of a dead state it is a plain equation
            name = {f"h_prev_{k}": state[k], f"h_new_{k}": new}.get(name, name)
        return name

    def linear(weights: Weights, key: str, names: list[str], inputs: list[Tensor]) -> Tensor:
        several = len(set(names)) < len(names)
        total = weights[f"{ours(key)}_1.bias" if several else f"{ours(key)}.bias"]
        for k, (name, value) in enumerate(zip(names, inputs, strict=True)):
            bracket = f"{ours(key)}_{1 + names[:k].count(name)}" if several else ours(key)
            total = total + value @ weights[f"{bracket}.{ours(name)}"]
        return total

    def step(weights: Weights, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        known = {"x": x} | {f"h_prev_{k}": value for k, value in zip(kept, states, strict=True)}

        def value(key: str) -> Tensor:
            if key not in known:
                op, names = recipe[key]["op"], recipe[key]["input"]
                inputs = [value(name) for name in names]
                if op == "linear":
                    known[key] = linear(weights, key, names, inputs)
                elif op == "blend":
                    known[key] = inputs[0] * inputs[1] + (1 - inputs[0]) * inputs[2]
                elif op == "elementwise_prod":
                    known[key] = torch.stack(torch.broadcast_tensors(*inputs)).prod(0)
                elif op == "elementwise_sum":
                    known[key] = torch.stack(torch.broadcast_tensors(*inputs)).sum(0)
                else:
                    known[key] = ACTIVATIONS[op](inputs[0])
            return known[key]

        return [value(f"h_new_{k}") for k in kept]

    return step


def recipe_parameters(recipe: Recipe, width: int, hidden: int) -> int:
    """One matrix for each input of a linear node and one bias, for all nodes that the output depends on."""
    linear = [recipe[key]["input"] for key in needed(recipe)[0] if recipe[key]["op"] == "linear"]
    return sum(
        hidden + sum((width if name == "x" else hidden) * hidden for name in names) for names in linear
    )


def genotype_step(recurrent: Sequence[tuple[str, int]], concat: Sequence[int]) -> Step:
    """One step of the cell of DARTS, with its matrices W_0 [D + H, 2 H] and W_k [H, 2 H]."""
    functions = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda v: v}

    def step(weights: Weights, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        (h,) = states
        s = [torch.zeros_like(h)]
        if "c0.x" in weights:
            w_0 = torch.cat([torch.cat([weights[f"{name}0.x"], weights[f"{name}0.h"]]) for name in "cn"], 1)
            c, n = (torch.cat([x, h], 1) @ w_0).chunk(2, 1)
            s[0] = h + c.sigmoid() * (n.tanh() - h)
        for k, (function, reads) in enumerate(recurrent, 1):
            if f"c{k}.s{reads}" not in weights:  # the output does not depend on it
                s.append(torch.zeros_like(h))
                continue
            w_k = torch.cat([weights[f"{name}{k}.s{reads}"] for name in "cn"], 1)
            c, n = (s[reads] @ w_k).chunk(2, 1)
            s.append(s[reads] + c.sigmoid() * (functions[function](n) - s[reads]))
        return [torch.stack([s[k] for k in concat]).mean(0)]

    return step


def differences(cell: Cell, step: Step, layers: int = 2, steps: int = 4, seed: int = 0) -> dict[str, float]:
    """Outputs, last states and all gradients: the largest difference between the interpreter and `Recurrent`,
    and between it and `reference`, relative to the largest value; NaN where something is not finite."""
    generator = torch.Generator().manual_seed(seed)
    batch, hidden = 3, 4
    width = hidden if uses_raw_x(cell) else 5

    def draw(*shape: int) -> Tensor:
        return 0.5 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    rnn = Recurrent(cell, width, hidden, layers, dtype=torch.float64)
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.copy_(draw(*parameter.shape))
    x = draw(steps, batch, width).requires_grad_()
    states = [draw(layers, batch, hidden).requires_grad_() for _ in cell.states]
    leaves = [x, *states, *rnn.parameters()]
    parameters = [dict(layer.named_parameters()) for layer in rnn.layers]

    def interpreted() -> list[Tensor]:
        sequence, last = list(x), []
        for layer in range(layers):
            now = [s[layer] for s in states]
            outputs = []
            for value in sequence:
                now = step(parameters[layer], value, now)
                outputs.append(now[0])
            sequence = outputs
            last.append(now)
        return [torch.stack(sequence), *(torch.stack(s) for s in zip(*last, strict=True))]

    def compiled() -> list[Tensor]:
        outputs, last = rnn(x, tuple(states) if len(states) > 1 else states[0])
        return [outputs, *([last] if isinstance(last, Tensor) else last)]

    def looped() -> list[Tensor]:
        outputs, last = reference(rnn.cells, parameters, x, [[s[k] for s in states] for k in range(layers)])
        return [outputs, *(torch.stack(s) for s in zip(*last, strict=True))]

    found: dict[str, list[Tensor]] = {}
    weights: list[Tensor] = []
    for name, way in (("interpreted", interpreted), ("compiled", compiled), ("looped", looped)):
        values = way()
        weights = weights or [draw(*value.shape) for value in values]
        loss = torch.stack([(v * w).sum() for v, w in zip(values, weights, strict=True)]).sum()
        gradients = (
            torch.autograd.grad(loss, leaves, allow_unused=True)
            if loss.requires_grad
            else [None] * len(leaves)
        )
        filled = [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, leaves, strict=True)]
        found[name] = [*(value.detach() for value in values), *filled]
    right = found.pop("interpreted")
    if not all(bool(value.isfinite().all()) for value in right):
        return dict.fromkeys(found, float("nan"))
    return {
        name: max(
            float((a - b).abs().max()) / max(1.0, float(b.abs().max())) if a.numel() else 0.0
            for a, b in zip(values, right, strict=True)
        )
        for name, values in found.items()
    }


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Recipes of up to three states and some ten nodes, dead ones among them, in any order of keys."""
    count = draw(st.integers(1, 3))
    names = draw(
        st.permutations(
            ["i", "f", "node_1", "node_1_1", "c", "h_new_0_part", "class", "h_0_new", "x_act", "v1"]
        )
    )
    keys = [*names[: draw(st.integers(0, 7))], *(f"h_new_{k}" for k in range(count))]
    keys = [*draw(st.permutations(keys))]
    known = ["x", *(f"h_prev_{k}" for k in range(count))]
    found: dict[str, dict[str, Any]] = {}
    for key in keys:
        op = draw(
            st.sampled_from(
                ["linear", "linear", "blend", "elementwise_prod", "elementwise_sum", *ACTIVATIONS]
            )
        )
        least, most = {"linear": (1, 4), "blend": (3, 3)}.get(op, (1, 1) if op in ACTIVATIONS else (2, 4))
        found[key] = {
            "op": op,
            "input": draw(st.lists(st.sampled_from(known), min_size=least, max_size=most)),
        }
        known.append(key)
    return {key: found[key] for key in draw(st.permutations(keys))}
