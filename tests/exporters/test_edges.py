"""One table of inputs at the edges, given to an exported module and to `Recurrent`: the same results, or an error of
both that says what is wrong."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils import _pytree as tree

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError
from tests.exporters.constructs import CONSTRUCTS

Made = Callable[[Cell], type[nn.Module]]
D, H, B, T = 3, 4, 2, 5

#: One state, several, what is looked back at and a clock, a projection of x, the layer below.
CELLS = {
    name: CONSTRUCTS[name]
    for name in ("scalar", "peepholes", "before in a clock", "projection of x", "below")
} | {"minus a lot": parse("cell t(x; h, m=-1e30)\nm' = max(m, [x, h])\nh' = tanh(m')\n")}


@dataclass(frozen=True)
class Edge:
    """An input, from a module to what it gives; and the words of the errors where it does not fit."""

    call: Callable[[nn.Module], object]
    words: tuple[str, ...] = ()  # each error has all of them
    options: tuple[tuple[str, object], ...] = ()  # of the module


def x(*shape: int, **kind: object) -> Tensor:
    """The same numbers for every module."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).to(**kind)  # type: ignore[call-overload]


def again(module: nn.Module, value: Tensor) -> object:
    """A call, and a second one with the states of the first."""
    return module(value, module(value)[1])


def gradient(module: nn.Module) -> Tensor:
    value = x(T, B, D).requires_grad_()
    module(value)[0].sum().backward()
    assert value.grad is not None
    return value.grad


def states(module: nn.Module, change: Callable[[Tensor], Tensor]) -> object:
    """A call with states that were changed; whole numbers stay."""
    found = module(x(T, B, D))[1]
    return module(x(T, B, D), tree.tree_map(lambda v: change(v) if v.is_floating_point() else v, found))


def one_more(module: nn.Module) -> object:
    """A call with one state too many."""
    found = module(x(T, B, D))[1]
    found = (found,) if isinstance(found, Tensor) else found
    return module(x(T, B, D), (*found, found[0]))


BOTH = (("num_layers", 2), ("bidirectional", True))
EDGES = {
    "no steps": Edge(lambda m: again(m, x(0, B, D))),
    "no steps of one sequence": Edge(lambda m: again(m, x(0, D))),
    "no steps, both directions": Edge(lambda m: again(m, x(0, B, D)), options=BOTH),
    "no steps after some": Edge(lambda m: m(x(0, B, D), m(x(T, B, D))[1])),
    "no sequences": Edge(lambda m: again(m, x(T, 0, D))),
    "no steps and no sequences": Edge(lambda m: again(m, x(0, 0, D))),
    "one step": Edge(lambda m: again(m, x(1, B, D)), options=BOTH),
    "one sequence": Edge(lambda m: again(m, x(T, D)), options=BOTH),
    "batch first": Edge(lambda m: again(m, x(B, T, D)), options=(("batch_first", True), *BOTH)),
    "no steps, batch first": Edge(lambda m: again(m, x(B, 0, D)), options=(("batch_first", True),)),
    "not contiguous": Edge(lambda m: again(m, x(D, B, T).transpose(0, 2))),
    "expanded": Edge(lambda m: again(m, x(1, 1, D).expand(T, B, D))),
    "every second step": Edge(lambda m: again(m, x(2 * T, B, D)[::2])),
    "needs a gradient": Edge(gradient),
    "without gradients": Edge(lambda m: torch.no_grad()(m)(x(T, B, D))),
    "the width of the units": Edge(lambda m: again(m, x(T, B, H)), options=(("input_size", H),)),
    "float16": Edge(lambda m: copy.deepcopy(m).half()(x(T, B, D).half())),
    "bfloat16": Edge(lambda m: copy.deepcopy(m).bfloat16()(x(T, B, D).bfloat16())),
    "another dtype": Edge(lambda m: m(x(T, B, D).double()), ("float64", "weights", "float32", ".to(")),
    "whole numbers": Edge(lambda m: m(x(T, B, D).long()), ("int64", "float32")),
    "another device": Edge(lambda m: m(x(T, B, D, device="meta")), ("meta", "cpu")),
    "another width": Edge(lambda m: m(x(T, B, D + 1)), ("[T, B, 3]", "[5, 2, 4]")),
    "one axis": Edge(lambda m: m(x(D)), ("[T, B, 3]", "[3]")),
    "four axes": Edge(lambda m: m(x(1, T, B, D)), ("[T, B, 3]", "[1, 5, 2, 3]")),
    "a list": Edge(lambda m: m([[0.0] * D]), ("list",)),
    "one state too many": Edge(one_more, ("state",)),
    "states of another dtype": Edge(lambda m: states(m, Tensor.double), ("float64", "float32")),
    "states of another device": Edge(lambda m: states(m, lambda v: v.to("meta")), ("meta", "cpu")),
    "states of another batch": Edge(
        lambda m: states(m, lambda v: v[..., :1, :]), ("state", f"[1, 1, {H}]", f"[1, {B}, {H}]")
    ),
}


def outcome(edge: Edge, module: nn.Module) -> object:
    """What a call gives, or its error."""
    try:
        return edge.call(module)
    except (CellError, ValueError, TypeError) as error:
        return error


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", CELLS)
def test_both_do_the_same(name: str, edge: str, made: Made) -> None:
    row, cell = EDGES[edge], CELLS[name]
    torch.manual_seed(0)
    options = {"input_size": D, "hidden_size": H, **dict(row.options)}
    theirs, ours = made(cell)(**options), Recurrent(cell, **options)  # type: ignore[arg-type]
    ours.load_state_dict(theirs.state_dict())
    given, wanted = outcome(row, theirs), outcome(row, ours)
    words = (
        ("state m", "starts at -1e", "float16") if (name, edge) == ("minus a lot", "float16") else row.words
    )
    if not words:
        assert not isinstance(wanted, Exception), wanted
        assert not isinstance(given, Exception), given
        tolerance = 2e-2 if "float16" in edge else 1e-6
        pairs = zip(tree.tree_leaves(given), tree.tree_leaves(wanted), strict=True)
        for mine, its in pairs:
            torch.testing.assert_close(mine, its, rtol=tolerance, atol=tolerance)
        return
    for error in (given, wanted):
        assert isinstance(error, Exception), f"no error: {error}"
        assert all(word in str(error) for word in words), f"{error!r} has not all of {words}"


def test_sequences_of_several_lengths_are_for_recurrent_alone(made: Made) -> None:
    packed = pack_sequence([x(4, D), x(2, D)])
    with pytest.raises(TypeError, match="expected a tensor x, not a PackedSequence"):
        made(CELLS["scalar"])(D, H)(packed)
    Recurrent(CELLS["scalar"], D, H)(packed)


def test_a_recurrent_says_how_it_gets_to_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    with pytest.raises(CellError, match=r"cellsearch\.export\(cell, 'folder', 'torch'\)"):
        Recurrent(CELLS["scalar"], D, H)(x(T, B, D))
