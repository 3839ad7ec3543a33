"""The rules of plans and kernels: every cell keeps them, and each finds what breaks it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from cells import random_cell
from covering import CELLS, load
from mutants import mutants

from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.backward import backward_kernels
from cellsearch.compiler.plan.check import KERNEL, PLAN, broken
from cellsearch.compiler.plan.kernels import Kernel, Let, Ref, Store
from cellsearch.compiler.plan.schedule import Plan, Stage, plan
from cellsearch.dsl import zoo
from cellsearch.dsl.formulas.form import Variable, formula
from cellsearch.dsl.graph import Cell


def kernels_of(of: Plan) -> Iterator[Kernel]:
    """All kernels of a plan, as the lowest layer and below one that reads all its states."""
    yield from (k for groups in kernels.forward(of) for group in groups for k in group)
    for above in (frozenset[int](), frozenset(range(len(of.cell.states)))):
        back = backward_kernels(of, above)
        yield from (k for groups in (back.inner, back.outer) for group in groups for k in group)


def all_broken(cell: Cell) -> list[str]:
    of = plan(cell)
    return broken(PLAN, of) + [rule for kernel in kernels_of(of) for rule in broken(KERNEL, kernel)]


@pytest.mark.parametrize("name", CELLS)
def test_the_zoo_keeps_the_rules(name: str) -> None:
    assert all_broken(load(name)) == []


@pytest.mark.long
def test_mutants_and_random_graphs_keep_the_rules() -> None:
    for cell in (*mutants(300), *mutants(40, rows="all")):
        assert all_broken(cell) == [], cell
    for seed in range(200):
        cell = random_cell(np.random.default_rng(seed))
        assert all_broken(cell) == [], cell


A, Y = ("a", Ref("slot", 0)), Store(Ref("slot", 1), Variable("y"))
TWICE = (Let("y", formula("tanh(a)")), Let("y", formula("exp(a)")))
LETS = (Let("y", formula("tanh(a)")),)
BROKEN_KERNELS = {
    "a variable is assigned once": Kernel((A,), TWICE, (Y,)),
    "a formula reads what was loaded or computed before": Kernel((), LETS, (Y,)),
    "what is loaded or computed is read": Kernel((A, ("b", Ref("x"))), LETS, (Y,)),
    "a value is loaded once": Kernel((A, ("b", A[1])), (Let("y", formula("a + b")),), (Y,)),
    "a place is stored once": Kernel((A,), LETS, (Y, Y)),
    "no call stands twice": Kernel((A,), (Let("y", formula("exp(a) + tanh(exp(a))")),), (Y,)),
    "no call of numbers is left": Kernel((A,), (Let("y", formula("a * (2 + 3)")),), (Y,)),
    "only a kernel over the units reduces": Kernel((A,), (Let("y", formula("mean(a)")),), (Y,)),
}


@pytest.mark.parametrize("rule", KERNEL)
def test_each_rule_of_kernels_finds_what_breaks_it(rule: str) -> None:
    assert [line.split(":")[0] for line in broken(KERNEL, BROKEN_KERNELS[rule])] == [rule]


def of_lstm(**changes: object) -> Plan:
    return replace(plan(zoo.load("lstm")), **changes)


def broken_plan(rule: str) -> Plan:
    """A plan that breaks a rule."""
    lstm, norm = plan(zoo.load("lstm")), plan(zoo.load("layernorm_lstm"))
    (only,) = lstm.inner[:1] if len(lstm.inner) == 1 else (lstm.inner[-1],)
    home = list(lstm.home)
    last = max(range(len(home)), key=home.__getitem__)
    match rule:
        case "a node is scheduled once":
            return of_lstm(inner=(*lstm.inner, Stage((), only.nodes[-1:])))
        case "every node is scheduled":
            return of_lstm(inner=(*lstm.inner[:-1], replace(only, nodes=only.nodes[:-1])))
        case "a node reads what is ready":
            return of_lstm(inner=(*lstm.inner[:-1], replace(only, nodes=only.nodes[::-1])))
        case "what waits for no state is outside the loop, the rest inside":
            return of_lstm(outer=(*lstm.outer, *lstm.inner), inner=())
        case "a full connection is part of one product":
            return of_lstm(outer=tuple(replace(stage, products=()) for stage in lstm.outer))
        case "an op over the units has a slot, and so has what it reads":
            unit = next(i for stage in norm.inner for i in stage.units)
            return replace(norm, home=tuple(-1 if i == unit else h for i, h in enumerate(norm.home)))
        case "a slot has one owner, or an affine and its activation":
            home[last] = 0
            return of_lstm(home=tuple(home))
        case "slots are numbered without a gap":
            return of_lstm(slots=lstm.slots + 1)
        case "what a derivative reads is kept":
            kept = next(i for i, h in enumerate(home) if h >= len(lstm.affines))
            return of_lstm(home=tuple(-1 if i == kept else h for i, h in enumerate(home)))
    raise AssertionError(f"no plan that breaks: {rule}")


@pytest.mark.parametrize("rule", PLAN)
def test_each_rule_of_plans_finds_what_breaks_it(rule: str) -> None:
    assert rule in [line.split(":")[0] for line in broken(PLAN, broken_plan(rule))]
