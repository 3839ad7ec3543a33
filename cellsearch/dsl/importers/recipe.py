"""A recipe of NAS-Bench-NLP in its file, checked: every op known, every input there, no cycle.

In: a JSON value with places. Out: its nodes by name, how many states it has, and an order to compute the
nodes in; or a ForeignError that names the node and shows its place.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cellsearch.dsl.importers.json_text import Value
from cellsearch.dsl.importers.source import Source, listed, quoted
from cellsearch.dsl.limits import MAX_NODES
from cellsearch.errors import ForeignError, did_you_mean

NODE_FORM = 'a node is written {"op": "linear", "input": ["x", "h_prev_0"]}'
ACTIVATIONS = {"activation_tanh": "tanh", "activation_sigm": "sigmoid", "activation_leaky_relu": "leaky_relu"}
FOLDS = {"elementwise_sum": "add", "elementwise_prod": "mul"}
#: How many inputs an op takes, at least and at most.
ARITY = {
    "linear": (1, MAX_NODES),
    "blend": (3, 3),
    **dict.fromkeys(FOLDS, (2, MAX_NODES)),
    **dict.fromkeys(ACTIVATIONS, (1, 1)),
}

_NUMBERED = re.compile(r"h_(prev|new)_([0-9]+)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a recipe, checked: its op, what it reads, and where it stands."""

    op: str
    inputs: tuple[str, ...]
    value: Value

    @property
    def repeats(self) -> int:
        """How often a linear node reads the value that it reads most often; 1 for other nodes."""
        return max(Counter(self.inputs).values()) if self.op == "linear" else 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe in its file, and how messages call it."""

    source: Source
    value: Value
    called: str

    def error(self, message: str, value: Value, remedy: str = "", *, at_key: bool = False) -> ForeignError:
        """An error about a value of the recipe, or about the key of one."""
        start, end = value.key if at_key else (value.start, value.end)
        return self.source.error(f"{self.called}: {message}", start, end, remedy)


def steps_of(recipe: Recipe) -> dict[str, Step]:
    """The nodes, each right by itself and reading what is there."""
    content = recipe.value.content
    if not isinstance(content, dict):
        raise recipe.error(
            f"{recipe.value.kind} where an object of nodes should stand", recipe.value, NODE_FORM
        )
    found: dict[str, Step] = {}
    for key, value in content.items():
        numbered = _NUMBERED.match(key)
        if key == "x" or (numbered and numbered[1] == "prev"):
            raise recipe.error(
                f"{quoted(key)} is an input and no node", value, "give the node another name", at_key=True
            )
        if numbered and numbered[2] != "0" and numbered[2].startswith("0"):
            plain = f"h_new_{numbered[2].lstrip('0') or '0'}"
            raise recipe.error(f"{quoted(key)} has a leading zero", value, f"write {plain[:64]}", at_key=True)
        found[key] = _step(recipe, key, value)
    for key, step in found.items():
        for name, item in zip(step.inputs, _items(step), strict=True):
            numbered = _NUMBERED.match(name)
            if name != "x" and name not in found and not (numbered and numbered[1] == "prev"):
                hint = did_you_mean(name, [*found, "x", "h_prev_0"]) or "add it, or name one that is there"
                raise recipe.error(f"node {quoted(key)} reads {quoted(name)}, which is not there", item, hint)
    return found


def _step(recipe: Recipe, key: str, value: Value) -> Step:
    node = f"node {quoted(key)}"
    if not isinstance(value.content, dict):
        raise recipe.error(f"{node} is {value.kind}", value, NODE_FORM)
    for word, part in value.content.items():
        if word not in ("op", "input"):
            hint = did_you_mean(word, ("op", "input"))
            raise recipe.error(
                f"{node} has the unknown key {quoted(word)}", part, hint + NODE_FORM, at_key=True
            )
    for word in ("op", "input"):
        if word not in value.content:
            raise recipe.error(f"{node} has no {word!r}", value, NODE_FORM)
    op, given = value.content["op"], value.content["input"]
    if not isinstance(op.content, str) or op.content not in ARITY:
        known = f"({', '.join(ARITY)})"
        if not isinstance(op.content, str):
            raise recipe.error(f"{node} has {op.kind} as its op", op, f"an op is a name in quotes {known}")
        raise recipe.error(
            f"{node} has the unknown op {quoted(op.content)}", op, did_you_mean(op.content, ARITY) + known
        )
    if not isinstance(given.content, list):
        raise recipe.error(
            f"{node} has {given.kind} as its input", given, f"the input is a list: {NODE_FORM}"
        )
    inputs = []
    for item in given.content:
        if not isinstance(item.content, str):
            raise recipe.error(
                f"{node} has {item.kind} among its inputs", item, "an input is a name in quotes"
            )
        inputs.append(item.content)
    least, most = ARITY[op.content]
    if not least <= len(inputs) <= most:
        takes = f"{least} or more" if most == MAX_NODES else f"{least}"
        takes = f"at most {most:,}" if len(inputs) > MAX_NODES else takes
        counts = f"{op.content} takes {takes}, and {len(inputs):,} are given"
        raise recipe.error(f"{node} has a wrong number of inputs", given, counts)
    return Step(op.content, tuple(inputs), value)


def _items(step: Step) -> list[Value]:
    """The inputs of a node where they stand."""
    assert isinstance(step.value.content, dict)
    items = step.value.content["input"].content
    assert isinstance(items, list)
    return items


def states_of(recipe: Recipe, steps: dict[str, Step]) -> int:
    """How many states the recipe has: h_new_0, h_new_1, … without a gap, and no other one is read."""
    new = {key for key in steps if (match := _NUMBERED.match(key)) and match[1] == "new"}
    for k in range(max(1, len(new))):
        if f"h_new_{k}" not in new:
            have = f"there is {listed(sorted(new))}; " if new else ""
            raise recipe.error(
                f"there is no node 'h_new_{k}'", recipe.value, f"{have}new values are h_new_0, h_new_1, …"
            )
    for key, step in steps.items():
        for name, item in zip(step.inputs, _items(step), strict=True):
            match = _NUMBERED.match(name)
            if match and match[1] == "prev" and f"h_new_{match[2]}" not in new:
                raise recipe.error(
                    f"node {quoted(key)} reads {quoted(name)}, and there is no {quoted(f'h_new_{match[2]}')}",
                    item,
                    "every state needs a new value",
                )
    return len(new)


def in_order(recipe: Recipe, steps: dict[str, Step]) -> list[str]:
    """The nodes in an order in which each reads earlier ones, as near to the file's as can be."""
    order: dict[str, None] = {}
    for root in steps:
        path: dict[str, Iterator[tuple[str, Value]]] = {}
        waiting = [root] if root not in order else []
        while waiting:
            key = waiting[-1]
            if key not in path:
                path[key] = zip(steps[key].inputs, _items(steps[key]), strict=True)
            for name, item in path[key]:
                if name in path:
                    ring = [*list(path)[list(path).index(name) :], name]
                    raise recipe.error(
                        f"the nodes depend on themselves: {' reads '.join(quoted(n) for n in _short(ring))}",
                        item,
                        "the value of the last step is h_prev_0, h_prev_1, …",
                    )
                if name in steps and name not in order:
                    waiting.append(name)
                    break
            else:
                order[key] = None
                del path[key]
                waiting.pop()
    return list(order)


def _short(ring: list[str]) -> list[str]:
    return ring if len(ring) <= 8 else [*ring[:4], "…", *ring[-3:]]
