"""The sections of a search space: from a YAML tree to checked values or a located SpaceError."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from cellsearch.dsl import zoo
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.printer import initial, matrix
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError, CellsearchError, nearest, printable
from cellsearch.options import Range, fields_of, limits
from cellsearch.study.mutation.paper import layer
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.mutation.table import MUTATIONS
from cellsearch.study.mutation.templates import bias, structure
from cellsearch.study.space.faults import Faults
from cellsearch.study.space.model import (
    BASELINE,
    SEEDS,
    Budget,
    Space,
)
from cellsearch.study.space.stages import (
    Stages,
    countable,
    filter_of,
    name_of,
    named_after,
    tasks_of,
    training_of,
)
from cellsearch.study.space.validators import (
    distinct,
    items,
    mapping,
    named,
    number,
    record,
    shown,
    text,
    whole,
    word,
)
from cellsearch.study.space.yaml_text import Node, error
from cellsearch.study.strategies.parents import Strategy
from cellsearch.train.settings import Grid, Training

T = TypeVar("T")


#: A cell of another search, as in quick:1 or quick:m12.
RANKED = re.compile(r"(?P<study>[^:/\\]+):(?P<place>[A-Za-z0-9_]+)\Z")
#: From such a word to the text of the cell. Raises CellsearchError if there is none.
Find = Callable[[str], str]


def read_space(
    root: Node, source: str, file: str, folder: Path | None, check: bool, find: Find | None = None
) -> Space:
    """The space in `root`, which keeps `source`. A SpaceError holds all errors. An unnamed space has the name
    of `file`. Paths are relative to `folder` (None: paths of data are unchanged, those of seeds relative to
    the working directory); `check` says whether to read the seeds, and `find` looks up those of other
    searches, if given.
    """
    faults = Faults()
    pairs = mapping(root, "", list(fields_of(Space)), faults, required=("tasks",))
    nothing = Node(None, root.span)

    def section(key: str) -> Node:
        return pairs.get(key, nothing)

    def read(kind: type[T], key: str, base: T) -> T:
        return faults.take(base, record, kind, section(key), key)

    grid = read(Grid, "grid", Grid())
    faults.take(None, countable, section("grid"), "grid", grid)
    training = faults.take(Training(), training_of, section("training"), "training", None)
    known: dict[str, str] = {}
    seeds, baseline = faults.take((SEEDS, BASELINE), _seeds, pairs, folder or Path(), check, find, known)
    name = (
        faults.take("", name_of, section("name"), "name") if "name" in pairs else named_after(Path(file).stem)
    )
    about = faults.take("", text, section("about"), "about") if "about" in pairs else ""
    strategy = faults.take(Strategy(), _strategy, section("strategy"))
    mutation = faults.take(MutationSpec(), _mutation, section("mutation"))
    limits_ = read(Limits, "limits", Limits())
    budget = read(Budget, "budget", Budget())
    stage = Stages(grid, training, folder)
    sieve = faults.take(None, filter_of, section("filter"), stage)
    tasks = faults.take((), tasks_of, section("tasks"), stage) if "tasks" in pairs else ()
    faults.check()
    return Space(
        name,
        tasks,
        grid,
        about,
        seeds,
        baseline,
        strategy,
        mutation,
        limits_,
        sieve,
        training,
        budget,
        source,
        known,
    )


def label(seed: str) -> str:
    """The label of a seed: the name of a zoo cell, or of its file without `.cell`; quick_1 for quick:1."""
    if seed.endswith(".cell"):
        return Path(seed).stem
    return named_after_cell(seed) if RANKED.match(seed) else seed


def named_after_cell(word: str) -> str:
    """The name of a cell for NAME:RANK."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", word)
    name = name if name[0].isalpha() else f"s_{name}"
    return name if len(name) <= 60 else f"{name[:39]}_{name[-20:]}"  # of at most 64 characters of a name


def _seeds(
    pairs: Mapping[str, Node], folder: Path, check: bool, find: Find | None, known: dict[str, str]
) -> tuple[tuple[str, ...], str]:
    """The seeds as names and absolute paths, and the label of the baseline. Adds looked-up texts to
    `known`."""

    def seed(node: Node, what: str) -> str:
        value = text(node, what)
        if value.endswith(".cell"):
            value = str((folder / value).absolute())
        elif RANKED.match(value):
            if find is not None:
                try:
                    known[value] = find(value)
                except CellsearchError as failure:
                    raise error(node.span, f"{shown(node)} is not a seed\n{failure}") from None
            return value
        elif value not in zoo.names():
            remedy = (
                f"{nearest(value, zoo.names())}\nwrite a file with its ending .cell, a cell of a search as "
                f"in quick:1"
            )
            raise error(node.span, f"there is no cell {shown(node)} in the zoo", remedy)
        if check:
            try:
                load(value)
            except CellsearchError as failure:
                raise error(node.span, f"{shown(node)} is not a seed\n{failure}") from None
        return value

    seeds: tuple[str, ...] = SEEDS
    if "seeds" in pairs:
        seeds = distinct(pairs["seeds"], "seeds", seed)
    labels = [label(s) for s in seeds]
    if len(set(labels)) < len(labels):
        twice = next(name for name in labels if labels.count(name) > 1)
        raise error(
            pairs["seeds"].span, f"two seeds have the name '{printable(twice)}'", "rename one of the files"
        )
    node = pairs.get("baseline")
    if node is None and BASELINE not in labels and any(map(RANKED.match, seeds)):
        # If all seeds are winners of searches, add their baseline unless it is one of them.
        wanted = fingerprint(zoo.load(BASELINE))
        same = [label(seed) for seed, text in known.items() if fingerprint(parse(text)) == wanted]
        if same:
            return seeds, same[0]
        return (*seeds, BASELINE), BASELINE
    baseline = label(text(node, "baseline")) if node else BASELINE
    if baseline not in labels:
        at = (node or pairs["seeds"]).span
        raise error(
            at, f"the baseline '{printable(baseline)}' is not among the seeds", f"{nearest(baseline, labels)}"
        )
    return seeds, baseline


def _strategy(node: Node) -> Strategy:
    readers = {"walk": _between(limits(Strategy, "walk"), "mutations of a seed")}
    return record(Strategy, node, "strategy", readers=readers)


def _mutation(node: Node) -> MutationSpec:
    readers = {
        "edits": _between(limits(MutationSpec, "edits"), "edits of a child"),
        "weights": _weights,
        "activations": lambda node, what: distinct(node, what, _activation),
        "operations": lambda node, what: distinct(node, what, _operation),
        "biases": lambda node, what: distinct(node, what, _bias),
        "structures": lambda node, what: distinct(node, what, _structure),
    }
    return record(MutationSpec, node, "mutation", readers=readers)


def _between(ends: Range, of_what: str) -> Callable[[Node, str], tuple[int, int]]:
    """A reader of a minimum and a maximum."""

    def read(node: Node, what: str) -> tuple[int, int]:
        numbers = [whole(item, what, ends) for item in items(node, what)]
        if len(numbers) != 2 or numbers[0] > numbers[1]:
            raise error(
                node.span, f"{named(what)} is not a pair of minimum and maximum {of_what}", "write [1, 3]"
            )
        return numbers[0], numbers[1]

    return read


def _weights(node: Node, what: str) -> Mapping[str, float]:
    faults = Faults()
    ends = limits(MutationSpec, "weights")
    given = mapping(node, what, [m.name for m in MUTATIONS], faults)
    found = dict(MutationSpec().weights) | {
        key: faults.take(1.0, number, value, f"{what}.{key}", ends) for key, value in given.items()
    }
    faults.check()
    if not any(found.values()):
        raise error(node.span, "all weights are zero, so nothing could be mutated", "set one of them to 1")
    return found


def _activation(node: Node, what: str) -> str:
    """An activation by its canonical name: `linear(0.90)` is `linear(0.9)`."""
    value = text(node, what)
    try:
        found = layer(value)
    except CellError:
        known = [op.name for op in OPS.values() if op.arity == 1]
        remedy = nearest(value, [*known, "linear(0.9)"])
        raise error(node.span, f"{shown(node)} is not an activation", remedy) from None
    if not math.isfinite(found.eye):
        raise error(node.span, f"{shown(node)} is not finite", "write a smaller number")
    return found.op or f"linear({int(found.eye) if found.eye.is_integer() else found.eye!r})"


def _bias(node: Node, what: str) -> str:
    """An initial bias by its canonical text."""
    found = _template(bias, node, what)
    return "none" if found is None else initial(found)


def _structure(node: Node, what: str) -> str:
    """A structure by its canonical text."""
    return matrix(_template(structure, node, what)).removeprefix("@")


def _template(read: Callable[[str], T], node: Node, what: str) -> T:
    value = text(node, what) if isinstance(node.content, str) else str(node.content)
    try:
        return read(value)
    except CellError as failure:
        message, _, remedy = str(failure).partition("; ")
        raise error(node.span, message, remedy) from None


def _operation(node: Node, what: str) -> str:
    return word(node, what, [op.name for op in OPS.values() if op.arity == 2])
