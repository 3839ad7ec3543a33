"""Recipes of NAS-Bench-NLP (Klyuchnikov et al. 2020, arXiv 2006.07116): JSON in, cells out.

    {"i": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", "input": ["i"]}}

A recipe is an object of nodes in any order. Inputs are x and h_prev_0 … h_prev_k, new values
h_new_0 … h_new_k, and h_new_0 is the output. A linear node has one matrix per input and one bias;
blend(a, b, c) is a * b + (1 - a) * c; longer sums and products are evaluated from left to right. A file holds
one recipe, a list of them, or the log of a run (an object with the recipe as text under "recepie", as the
benchmark spells it).

Here the states are h, or h_0 … h_k, and every node is the equation of its name: the matrix of `i` from x is
`i.x`. A value that a linear node reads twice needs two brackets, `i_1.x` and `i_2.x`. Nodes and states that
the output does not depend on are omitted and listed in the description. Recipes have no initial values:
biases start at 0.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.importers.json_text import Item, parse
from cellsearch.dsl.importers.recipe import (
    ACTIVATIONS,
    FOLDS,
    NODE_FORM,
    Step,
    in_order,
    states_of,
    steps_of,
)
from cellsearch.dsl.importers.source import Found, Names, Source, brackets, listed
from cellsearch.dsl.limits import MAX_NODES, check_name
from cellsearch.dsl.nodes import Affine, Apply, Connection, Constant, Input, Node, State
from cellsearch.dsl.rewriting.reach import dead_states, without_dead
from cellsearch.dsl.weights import collision, spelled, weights
from cellsearch.errors import CellError, ForeignError

LOG_KEY = "recepie"
_OF_A_STACK = ("project", "reverse")  # the name of a stack's own weights


def cells(source: Source) -> Found:
    """The cells of all recipes in the text, and the errors of refused ones."""
    found: list[Cell] = []
    refused: list[ForeignError] = []
    for recipe, name, about in _recipes(source):
        try:
            found.append(_cell(recipe, name, about))
        except ForeignError as error:
            refused.append(error)
    return Found(tuple(found), tuple(refused))


def _recipes(source: Source) -> Iterator[tuple[Item, str, str]]:
    """Each recipe, the name of its cell, and the beginning of the description."""
    whole = parse(source)
    if isinstance(whole.value, dict) and isinstance(inside := whole.value.get(LOG_KEY), str):
        whole = parse(Source(f"{source.file} ({LOG_KEY})", inside))
    if not isinstance(whole.value, list):
        recipe = Item(whole.source, whole.value, ("the recipe",))
        yield recipe, source.stem, f"A recipe of NAS-Bench-NLP, {source.title}"
        return
    if not whole.value:
        raise whole.error("an empty list instead of recipes", NODE_FORM)
    for k, value in enumerate(whole.values("recipes", NODE_FORM)):
        about = f"Recipe {k} of NAS-Bench-NLP in {source.title}"
        yield whole.at(f"recipe {k}", value), f"{source.stem[:40]}_{k}", about


def _cell(recipe: Item, name: str, about: str) -> Cell:
    steps = steps_of(recipe)
    count = states_of(recipe, steps)
    alive = _alive(steps, count)
    live = [key for key in in_order(recipe, steps) if key in alive]
    labels, renamed = _labels(steps, live, count)
    notes = [f"{about} (Klyuchnikov et al. 2020, arXiv 2006.07116)."]
    if renamed:
        notes.append(f"Renamed: {listed([f'{old} to {new}' for old, new in renamed])}.")
    if idle := [key for key in steps if key not in alive]:
        notes.append(f"Omitted, since no new value depends on it: {listed(idle)}.")
    states = [State(f"h_{k}" if count > 1 else "h") for k in range(count)]
    nodes, named, at = _graph(recipe, steps, live, labels, states)
    new = [at[f"h_new_{k}"] for k in range(count)]
    try:
        cell = build(Names().fresh(name.lower(), "cell"), states, nodes, named, new)
        assert collision(cell) is None, "_labels keeps the names of weights apart"
        if dead := dead_states(cell):
            whole, cell = cell, without_dead(cell)
            gone = _stems(whole.labels) - _stems(cell.labels)
            missing = [f"state {name}" for name in dead]
            missing += [label for label in whole.labels if label.removesuffix("'") in gone - {*dead}]
            notes.append(f"Omitted, since the output does not depend on it: {listed(missing)}.")
        cell = replace(cell, description="\n".join(notes))
        weights(cell)
    except CellError as error:
        raise recipe.error(f"this is not a cell: {error}", "use a smaller recipe") from None
    return cell


def _stems(labels: tuple[str, ...]) -> set[str]:
    return {label.removesuffix("'") for label in labels}


def _alive(steps: dict[str, Step], count: int) -> set[str]:
    """The nodes that a new value depends on."""
    found: set[str] = set()
    waiting = [f"h_new_{k}" for k in range(count)]
    while waiting:
        key = waiting.pop()
        if key in steps and key not in found:
            found.add(key)
            waiting.extend(steps[key].inputs)
    return found


def _labels(
    steps: dict[str, Step], live: list[str], count: int
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The equation name of each node, and the renamed nodes."""
    labels = {f"h_new_{k}": f"h_{k}'" if count > 1 else "h'" for k in range(count)}
    taken = {"x", *_OF_A_STACK, *(label.rstrip("'") for label in labels.values())}
    for key, label in labels.items():
        taken.update(brackets(spelled(label), steps[key].repeats))
    names = Names(taken)
    others = [key for key in live if key not in labels]
    for key in sorted(others, key=lambda key: bool(check_name(key))):  # legal names first
        labels[key] = names.fresh(key, "node", steps[key].repeats)
    return labels, [(key, labels[key]) for key in others if labels[key] != key]


def _graph(
    recipe: Item, steps: dict[str, Step], live: list[str], labels: dict[str, str], states: list[State]
) -> tuple[list[Node], list[str], dict[str, int]]:
    """The nodes of the cell, their labels, and the node of each name in the recipe."""
    nodes: list[Node] = [Input("x", "x"), *(Input("state", state.name) for state in states)]
    at = {"x": 0} | {f"h_prev_{k}": 1 + k for k in range(len(states))}

    def put(node: Node) -> int:
        if len(nodes) == MAX_NODES:
            raise recipe.error(f"more than {MAX_NODES:,} operations", "that is the limit of a cell")
        nodes.append(node)
        return len(nodes) - 1

    ends: dict[int, str] = {}
    for key in live:
        step = steps[key]
        given = [at[name] for name in step.inputs]
        if step.op == "linear":
            last = _linear(given, put)
        elif step.op == "blend":
            a, b, c = given
            kept = put(Apply("mul", (a, b)))
            share = put(Apply("sub", (put(Constant(1.0)), a)))
            last = put(Apply("add", (kept, put(Apply("mul", (share, c))))))
        elif step.op in FOLDS:
            last = given[0]
            for source in given[1:]:
                last = put(Apply(FOLDS[step.op], (last, source)))
        else:
            last = put(Apply(ACTIVATIONS[step.op], (given[0],)))
        at[key] = last
        ends[last] = labels[key]
    return nodes, [ends.get(i, "") for i in range(len(nodes))], at


def _linear(given: list[int], put: Callable[[Node], int]) -> int:
    """One bracket, or a sum of brackets if a value is read repeatedly: the first one has the bias."""
    groups: list[list[int]] = []
    times = Counter[int]()
    for source in given:
        if times[source] == len(groups):
            groups.append([])
        groups[times[source]].append(source)
        times[source] += 1
    total = -1
    for k, group in enumerate(groups):
        term = put(Affine(tuple(Connection(source) for source in group), None if k else 0.0))
        total = put(Apply("add", (total, term))) if k else term
    return total
