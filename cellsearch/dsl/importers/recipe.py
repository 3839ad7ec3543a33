"""Validate a recipe of NAS-Bench-NLP: known ops, existing inputs, no cycle.

Gives its nodes by name, its number of states, and a topological order; a ForeignError names the node.
"""

import re
from collections import Counter
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from cellsearch.dsl.importers.json_text import Item
from cellsearch.dsl.importers.source import listed, quoted
from cellsearch.dsl.limits import MAX_NODES
from cellsearch.errors import did_you_mean, nearest

NODE_FORM = 'a node is written {"op": "linear", "input": ["x", "h_prev_0"]}'
ACTIVATIONS = {"activation_tanh": "tanh", "activation_sigm": "sigmoid", "activation_leaky_relu": "leaky_relu"}
FOLDS = {"elementwise_sum": "add", "elementwise_prod": "mul"}
#: Minimum and maximum number of inputs of an op.
ARITY = {
    "linear": (1, MAX_NODES),
    "blend": (3, 3),
    **dict.fromkeys(FOLDS, (2, MAX_NODES)),
    **dict.fromkeys(ACTIVATIONS, (1, 1)),
}

_NUMBERED = re.compile(r"h_(prev|new)_([0-9]+)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """A validated node of a recipe: its op and its inputs."""

    op: str
    inputs: tuple[str, ...]
    item: Item

    @property
    def repeats(self) -> int:
        """The maximum number of reads of one value by a linear node; 1 for other nodes."""
        return max(Counter(self.inputs).values()) if self.op == "linear" else 1

    def input(self, k: int) -> Item:
        """The location of the k-th input."""
        return self.item.at(f"input[{k}]", self.inputs[k])


def steps_of(recipe: Item) -> dict[str, Step]:
    """The nodes, each valid and reading existing nodes."""
    found: dict[str, Step] = {}
    for key, value in recipe.entries("an object of nodes", NODE_FORM).items():
        item = recipe.at(f"node {quoted(key)}", value)
        numbered = _NUMBERED.match(key)
        if key == "x" or (numbered and numbered[1] == "prev"):
            raise item.error("this is the name of an input", "give the node another name")
        if numbered and numbered[2] != "0" and numbered[2].startswith("0"):
            plain = f"h_new_{numbered[2].lstrip('0') or '0'}"
            raise item.error("its number has a leading zero", f"write {plain[:64]}")
        found[key] = _step(item)
    for step in found.values():
        for k, name in enumerate(step.inputs):
            numbered = _NUMBERED.match(name)
            if name != "x" and name not in found and not (numbered and numbered[1] == "prev"):
                hint = did_you_mean(name, [*found, "x", "h_prev_0"]) or "add it, or name an existing node"
                raise step.input(k).error(f"there is no {quoted(name)}", hint)
    return found


def _step(item: Item) -> Step:
    words = item.entries("a node", NODE_FORM)
    for word in words:
        if word not in ("op", "input"):
            hint = did_you_mean(word, ("op", "input"))
            raise item.error(f"unknown key {quoted(word)}", hint + NODE_FORM)
    for word in ("op", "input"):
        if word not in words:
            raise item.error(f"there is no {word!r}", NODE_FORM)
    op = item.at("op", words["op"])
    if not isinstance(op.value, str):
        raise op.unlike("an op", f"an op is a name in quotes ({', '.join(ARITY)})")
    if op.value not in ARITY:
        raise op.error(f"unknown op {quoted(op.value)}", nearest(op.value, ARITY))
    inputs = []
    given = item.at("input", words["input"])
    for k, name in enumerate(given.values("a list", f"the input is a list: {NODE_FORM}")):
        if not isinstance(name, str):
            raise item.at(f"input[{k}]", name).unlike("an input", "an input is a name in quotes")
        inputs.append(name)
    least, most = ARITY[op.value]
    if not least <= len(inputs) <= most:
        takes = f"{least} or more" if most == MAX_NODES else f"{least}"
        takes = f"at most {most:,}" if len(inputs) > MAX_NODES else takes
        raise given.error("wrong number of inputs", f"{op.value} takes {takes}, not {len(inputs):,}")
    return Step(op.value, tuple(inputs), item)


def states_of(recipe: Item, steps: dict[str, Step]) -> int:
    """The number of states: h_new_0, h_new_1, … without a gap; no other state is read."""
    new = {key for key in steps if (match := _NUMBERED.match(key)) and match[1] == "new"}
    for k in range(max(1, len(new))):
        if f"h_new_{k}" not in new:
            have = f"there is {listed(sorted(new))}; " if new else ""
            raise recipe.error(f"there is no node 'h_new_{k}'", f"{have}new values are h_new_0, h_new_1, …")
    for step in steps.values():
        for k, name in enumerate(step.inputs):
            match = _NUMBERED.match(name)
            if match and match[1] == "prev" and f"h_new_{match[2]}" not in new:
                missing = f"{quoted(name)} is read, but there is no {quoted(f'h_new_{match[2]}')}"
                raise step.input(k).error(missing, "every state needs a new value")
    return len(new)


def in_order(recipe: Item, steps: dict[str, Step]) -> list[str]:
    """The nodes in a topological order, close to the file's order."""
    reads = {key: [name for name in step.inputs if name in steps] for key, step in steps.items()}
    try:
        TopologicalSorter(reads).prepare()
    except CycleError as error:
        ring = error.args[1][::-1]
        short = ring if len(ring) <= 8 else [*ring[:4], "…", *ring[-3:]]
        message = f"the nodes depend on themselves: {' reads '.join(map(quoted, short))}"
        raise recipe.error(message, "write h_prev_0, h_prev_1, … for values of the last step") from None
    order: dict[str, None] = {}
    waiting = [*reversed(steps)]
    while waiting:
        key = waiting.pop()
        missing = [name for name in reads[key] if name not in order]
        if missing and key not in order:
            waiting += [key, *reversed(missing)]
        else:
            order[key] = None
    return list(order)
