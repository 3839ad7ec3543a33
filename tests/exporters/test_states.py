"""States handed out and fed back, one step at a time: no two tensors share memory, so that what records a call
(torch.export, ONNX) sees every state as an input of its own."""

import keyword
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from covering import COVERING
from torch import Tensor, nn
from torch.utils import _pytree as tree

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.dsl.weights import bracket_names

Made = Callable[[Cell], type[nn.Module]]

#: Values that are looked back at: several steps, one value twice, a slice of what is computed for all steps at once,
#: the state itself, the input.
LOOKS = tuple(
    map(
        parse,
        (
            "cell deep(x; h)\nh' = tanh[x, before(h, 3)]\n",
            "cell twice(x; h)\na = before(h)\nb = before(h)\nh' = tanh[x, a, b, before(h, 2)]\n",
            "cell slices(x; h)\nz = tanh[x]\nh' = z + [before(z), before(z, 4), before(x, 3), h]\n",
            "cell same(x; h, c)\nc' = tanh[x, c]\nh' = before(c, 2) + before(h) + c'\n",
        ),
    )
)
#: Cells whose steps torch.export takes by default; with --soak, all.
EXPORTED = {"lstm", "gru", "clockwork", "tau_gru", "slstm"} | {cell.name for cell in LOOKS}
EVERY = (*map(zoo.load, zoo.names()), *LOOKS)
CELLS = [
    pytest.param(
        cell, marks=[pytest.mark.long] * (cell not in LOOKS and cell.name not in COVERING), id=cell.name
    )
    for cell in EVERY
]


def check_apart(values: object) -> None:
    """Asserts that no two tensors of a nest share storage."""
    tensors = [v for v in tree.tree_leaves(values) if isinstance(v, Tensor)]
    assert len({v.untyped_storage().data_ptr() for v in tensors}) == len(tensors)


def other(states: object) -> object:
    """States of the same form with other numbers: what a caller may feed back."""
    return tree.tree_map(lambda v: v + 3 if v.dtype == torch.int64 else torch.rand_like(v), states)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_steps_on_other_states_agree_and_share_no_memory(cell: Cell, layers: int, made: Made) -> None:
    ours = Recurrent(cell, 3, 4, layers, dtype=torch.float64)
    theirs = made(cell)(3, 4, layers, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    states = None
    found: list[tuple[object, object]] = []
    for _ in range(3):
        x = torch.rand(1, 2, 3, dtype=torch.float64)
        found.append((ours(x, states), theirs(x, states)))
        torch.testing.assert_close(
            tree.tree_leaves(found[-1][1]), tree.tree_leaves(found[-1][0]), rtol=0, atol=1e-10
        )
        states = other(found[-1][1][1])  # type: ignore[index]
    for module in (0, 1):
        for results in found:
            check_apart(results[module])
    given = theirs(x)
    check_apart((x, given, theirs(x, given[1])))  # nor with the states that a step was given
    given = ours(x)
    check_apart((x, given, ours(x, given[1])))


@pytest.mark.parametrize("cell", CELLS)
def test_steps_with_states_fed_back_are_the_sequence(cell: Cell, made: Made) -> None:
    theirs = made(cell)(3, 4, 2, dtype=torch.float64)
    ours = Recurrent(cell, 3, 4, 2, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(6, 2, 3, dtype=torch.float64)
    wanted = ours(x)
    for module in (theirs, ours):
        states, outputs = None, []
        for step in x.split(1):
            output, states = module(step, states)
            outputs.append(output)
        found = [torch.cat(outputs), *tree.tree_leaves(states)]
        torch.testing.assert_close(found, tree.tree_leaves(wanted), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "x", [torch.rand(2, 1, 4), torch.rand(1, 4), torch.rand(2, 4)], ids=lambda x: str(list(x.shape))
)
@pytest.mark.parametrize("cell", LOOKS, ids=lambda cell: cell.name)
def test_other_forms_of_input_share_no_memory_either(cell: Cell, x: Tensor, made: Made) -> None:
    for module in (
        made(cell)(4, 4, batch_first=True),
        Recurrent(cell, 4, 4, batch_first=True, bidirectional=True),
    ):
        first = module(x)
        for a, b in pairwise([first, module(x, first[1])]):
            check_apart((x, a, b))


@pytest.mark.parametrize(
    "cell",
    [
        cell if cell.name in EXPORTED else pytest.param(cell, marks=pytest.mark.soak, id=cell.name)
        for cell in EVERY
        if not any(
            map(keyword.iskeyword, bracket_names(cell).values())
        )  # torch.export writes them as attributes
    ],
    ids=lambda c: c.name,
)
def test_an_exported_step_works_on_other_states(cell: Cell, made: Made) -> None:
    module, x = made(cell)(3, 4), torch.rand(1, 2, 3)
    with torch.no_grad():
        states = module(x)[1]
    step = torch.export.export(module, (x, states)).module()
    states = other(states)
    torch.testing.assert_close(tree.tree_leaves(step(x, states)), tree.tree_leaves(module(x, states)))
