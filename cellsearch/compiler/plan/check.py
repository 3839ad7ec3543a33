"""Validity rules of plans and kernels.

`plan`, `forward` and `backward_kernels` satisfy all rules. Engines rely on them without checks; the tests
check them on every cell.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from cellsearch.compiler.plan.kernels import Kernel, location
from cellsearch.compiler.plan.schedule import Plan, Stage, is_vector, over_units
from cellsearch.dsl.formulas.form import (
    CONDITIONS,
    REDUCTIONS,
    Call,
    Formula,
    Number,
    functions,
    parts,
    variables,
)
from cellsearch.dsl.nodes import Affine, Apply, Input, sources
from cellsearch.dsl.ops import OPS


def broken(rules: "Rules", of: Plan | Kernel) -> list[str]:
    """The violated rules of a plan or kernel, each with its locations."""
    found = []
    for rule, places in rules.items():
        if where := [str(place) for place in places(of)]:
            found.append(f"{rule}: {', '.join(where)}")
    return found


# ---- kernels


def _formulas(kernel: Kernel) -> list[Formula]:
    return [let.formula for let in kernel.lets] + [store.formula for store in kernel.stores]


def _calls(kernel: Kernel) -> Iterator[Call]:
    return (part for of in _formulas(kernel) for part in parts(of) if isinstance(part, Call))


def _twice(values: Iterable[object]) -> list[object]:
    return [value for value, times in Counter(values).items() if times > 1]


def _unknown(kernel: Kernel) -> Iterator[str]:
    known = {name for name, _ in kernel.loads}
    for let in kernel.lets:
        yield from sorted(variables(let.formula) - known)
        known.add(let.name)
    for store in kernel.stores:
        yield from sorted(variables(store.formula) - known)


def _unread(kernel: Kernel) -> list[str]:
    read = frozenset().union(*map(variables, _formulas(kernel)))
    return [
        name
        for name in (*(n for n, _ in kernel.loads), *(let.name for let in kernel.lets))
        if name not in read
    ]


def _repeated(kernel: Kernel) -> list[object]:
    """A load of a value that a let recomputes is one too."""
    return _twice(call for call in _calls(kernel) if call.function not in CONDITIONS)


Rules = dict[str, Callable[..., Iterable[object]]]

KERNEL: Rules = {
    "a variable is assigned once": lambda k: _twice([n for n, _ in k.loads] + [let.name for let in k.lets]),
    "a formula reads what was loaded or computed before": _unknown,
    "what is loaded or computed is read": _unread,
    "a value is loaded once": lambda k: _twice(ref for _, ref in k.loads),
    "a place is stored once": lambda k: _twice(store.ref for store in k.stores),
    "no call stands twice": _repeated,
    "no call of numbers is left": lambda k: (
        c for c in _calls(k) if all(isinstance(a, Number) for a in c.args) and c.function not in REDUCTIONS
    ),
    "only a kernel over the units reduces": lambda k: (
        () if k.units else {n for of in _formulas(k) for n in functions(of)} & set(REDUCTIONS)
    ),
}


# ---- plans


def _stages(plan: Plan) -> Iterator[tuple[bool, Stage]]:
    yield from ((True, stage) for stage in plan.outer)
    yield from ((False, stage) for stage in plan.inner)


def _scheduled(plan: Plan) -> list[int]:
    return [i for _, stage in _stages(plan) for i in (*stage.units, *stage.nodes)]


def _missing(plan: Plan) -> list[int]:
    there = set(_scheduled(plan))
    nodes = enumerate(plan.cell.nodes)
    computed = (
        i for i, n in nodes if not isinstance(n, Input) and not is_vector(n) and not plan.is_constant[i]
    )
    return [i for i in computed if i not in there]


def _too_early(plan: Plan) -> Iterator[str]:
    """Products and nodes that read values not computed before."""
    cell = plan.cell
    ready = {
        i for i, n in enumerate(cell.nodes) if isinstance(n, Input) or is_vector(n) or plan.is_constant[i]
    }
    for _, stage in _stages(plan):
        yield from (f"product of {p.source}" for p in stage.products if p.source not in ready)
        for i in (*stage.units, *stage.nodes):
            node = cell.nodes[i]
            connections = node.connections if isinstance(node, Affine) else ()
            full = {c.source for c in connections if not c.peephole}
            yield from (f"node {i} reads {s}" for s in sources(node) if s not in ready and s not in full)
            ready.add(i)


def _wrong_loop(plan: Plan) -> Iterator[int]:
    for outer, stage in _stages(plan):
        yield from (i for i in (*stage.units, *stage.nodes) if plan.is_outer[i] != outer)
        yield from (p.source for p in stage.products if plan.is_outer[p.source] != outer)


def _connections(plan: Plan) -> list[object]:
    """Full connections that no product covers, or two."""
    wanted = Counter(
        (c.source, plan.slot_of(i))
        for i in plan.affines
        for c in _affine(plan, i).connections
        if not c.peephole
    )
    found = Counter((p.source, slot) for p in plan.products for slot in p.slots)
    return [*(wanted - found), *(found - wanted)]


def _affine(plan: Plan, i: int) -> Affine:
    node = plan.cell.nodes[i]
    assert isinstance(node, Affine)
    return node


def _shared_homes(plan: Plan) -> Iterator[int]:
    """Slots of two values, other than of an affine and the activation that alone reads it."""
    owners: dict[int, list[int]] = {}
    for i, slot in enumerate(plan.home):
        if slot >= 0:
            owners.setdefault(slot, []).append(i)
    for slot, nodes in owners.items():
        first, *others = nodes
        if others and (len(nodes) > 2 or plan.cell.users[first] != (others[0],)):
            yield slot


def _lost(plan: Plan) -> Iterator[str]:
    """Values that a derivative reads and that are not kept after the step."""
    cell = plan.cell
    for i, node in enumerate(cell.nodes):
        if not isinstance(node, Apply) or plan.is_constant[i]:
            continue
        letters = dict(zip("ab", node.args, strict=False)) | {"y": i}
        for letter in sorted(OPS[node.op].keeps):
            j = letters[letter]
            if plan.is_constant[j]:
                continue
            if plan.home[j] < 0 and j not in cell.new and not isinstance(cell.nodes[j], Input):
                if not is_vector(cell.nodes[j]):
                    yield f"{letter} of node {i}"
            elif location(plan, j).kind == "slot" and cell.nodes[j] != cell.nodes[i]:
                taken = [k for k, slot in enumerate(plan.home) if slot == plan.home[j] and k > j]
                if taken:
                    yield f"{letter} of node {i}, overwritten by {taken[0]}"


PLAN: Rules = {
    "a node is scheduled once": lambda p: _twice(_scheduled(p)),
    "every node is scheduled": _missing,
    "a node reads what is ready": _too_early,
    "what waits for no state is outside the loop, the rest inside": _wrong_loop,
    "a full connection is part of one product": _connections,
    "an op over the units has a slot, and so has what it reads": lambda p: (
        j
        for i, n in enumerate(p.cell.nodes)
        if over_units(n)
        for j in (i, *sources(n))
        if p.home[j] < 0
        and not isinstance(p.cell.nodes[j], Input)
        and not is_vector(p.cell.nodes[j])
        and j not in p.cell.new
    ),
    "a slot has one owner, or an affine and its activation": _shared_homes,
    "slots are numbered without a gap": lambda p: (
        {*range(p.slots)} ^ ({*p.home, *range(len(p.affines))} - {-1})
    ),
    "what a derivative reads is kept": _lost,
}
