"""`Recurrent` against torch.nn, feature by feature, and as a module among others."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from beside_torch import TORCH, B, D, H, T, agree, call, close, first_states, pair
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError

BOTH = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
LAYERS = pytest.mark.parametrize("layers", [1, 3])
NAMES = pytest.mark.parametrize("name", TORCH)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("given", [True, False], ids=["states given", "no states"])
@BOTH
@LAYERS
@NAMES
def test_agrees_with_torch_nn(name: str, layers: int, bidirectional: bool, given: bool) -> None:
    ours, theirs = pair(name, layers, bidirectional=bidirectional)
    states = first_states(name, layers, B, 1 + bidirectional) if given else None
    agree(name, ours, theirs, numbers(T, B, D), states)


@BOTH
@NAMES
def test_batch_first_and_single_sequences(name: str, bidirectional: bool) -> None:
    ours, theirs = pair(name, 2, batch_first=True, bidirectional=bidirectional)
    agree(name, ours, theirs, numbers(B, T, D), first_states(name, 2, B, 1 + bidirectional))
    agree(name, ours, theirs, numbers(T, D))
    agree(name, ours, theirs, numbers(T, D), first_states(name, 2, None, 1 + bidirectional))


@pytest.mark.parametrize("lengths", [[6, 6, 6], [6, 2, 1], [1, 6, 2], [3, 5, 5]], ids=str)
@BOTH
@LAYERS
@NAMES
def test_packed_sequences(name: str, layers: int, bidirectional: bool, lengths: list[int]) -> None:
    ours, theirs = pair(name, layers, bidirectional=bidirectional)
    x = numbers(T, B, D)
    for k, length in enumerate(lengths):
        x[length:, k] = torch.nan  # nothing may come of what stands behind the end

    def pack(value: Tensor) -> Any:
        return pack_padded_sequence(value, lengths, enforce_sorted=False)

    agree(name, ours, theirs, (pack, x), first_states(name, layers, B, 1 + bidirectional))
    agree(name, ours, theirs, (pack, x))
    mine, its = ours(pack(x))[0], theirs(pack(x))[0]
    for a, b in zip(mine[1:], its[1:], strict=True):
        assert torch.equal(a, b)


def test_packed_sequences_that_are_sorted_stay_as_they_are() -> None:
    ours, theirs = pair("LSTM", 2, bidirectional=True)
    packed = pack_sequence([numbers(n, D) for n in (6, 4, 1)])
    (mine, states), (its, last) = ours(packed), theirs(packed)
    assert mine.sorted_indices is None and mine.unsorted_indices is None
    close(mine.data, its.data)
    for a, b in zip(states, last, strict=True):
        close(a, b)


@pytest.mark.parametrize("packed", [False, True])
@BOTH
@NAMES
def test_dropout_between_layers_in_training(name: str, bidirectional: bool, packed: bool) -> None:
    ours, theirs = pair(name, 3, bidirectional=bidirectional, dropout=0.4)
    x = numbers(T, B, D)
    given: Any = (lambda v: pack_padded_sequence(v, [6, 3, 2]), x) if packed else x
    agree(name, ours, theirs, given)  # the same seed draws the same zeros
    assert not torch.equal(call(ours, given, None, seed=1)[0], call(ours, given, None, seed=2)[0])
    ours.eval()
    theirs.eval()
    agree(name, ours, theirs, given)
    assert torch.equal(call(ours, given, None, seed=1)[0], call(ours, given, None, seed=2)[0])


def test_dropout_of_one_layer_is_said_to_do_nothing() -> None:
    with pytest.warns(UserWarning, match="no effect"):
        rnn = Recurrent(zoo.load("gru"), D, H, dropout=0.5)
    x = torch.randn(T, B, D)
    assert torch.equal(rnn(x)[0], rnn.eval()(x)[0])


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 3), (6, 0)])
@NAMES
def test_few_steps_and_sequences(name: str, steps: int, batch: int) -> None:
    ours, theirs = pair(name, 2, bidirectional=True)
    if batch:
        agree(name, ours, theirs, numbers(steps, batch, D))
    else:
        assert ours(numbers(steps, batch, D))[0].shape == (steps, 0, 2 * H)


def test_no_steps_give_the_states_back() -> None:
    ours, _ = pair("LSTM", 2, bidirectional=True)
    states = [s.requires_grad_() for s in first_states("LSTM", 2, B, 2)]
    output, last = ours(numbers(0, B, D), tuple(states))
    assert output.shape == (0, B, 2 * H)
    for a, b in zip(last, states, strict=True):
        assert torch.equal(a, b)
    (last[0].sum() + 2 * last[1].sum()).backward()
    assert states[1].grad is not None and bool((states[1].grad == 2).all())


def test_names_of_weights() -> None:
    rnn = Recurrent(zoo.load("peephole_lstm"), D, H, 2, bidirectional=True)
    shapes = {name: tuple(p.shape) for name, p in rnn.named_parameters()}
    assert shapes["layers.0.i.x"] == shapes["layers.0.reverse.i.x"] == (D, H)
    assert shapes["layers.1.i.x"] == shapes["layers.1.reverse.i.x"] == (2 * H, H)
    assert shapes["layers.0.o.h"] == (H, H)
    assert shapes["layers.0.o.c_new"] == shapes["layers.0.f.c"] == shapes["layers.0.f.bias"] == (H,)
    assert bool((rnn.state_dict()["layers.1.reverse.f.bias"] == 1).all())
    assert not torch.equal(rnn.state_dict()["layers.0.i.x"], rnn.state_dict()["layers.0.reverse.i.x"])


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state_dict"])
def test_copies(way: str) -> None:
    options: dict[str, Any] = {"bidirectional": True, "dropout": 0.1}
    rnn = Recurrent(zoo.load("clockwork"), D, H, 2, **options).eval()
    fresh = Recurrent(zoo.load("clockwork"), D, H, 2, **options).eval()
    x = torch.randn(T, B, D)
    assert not torch.equal(rnn(x)[0], fresh(x)[0])
    if way == "state_dict":
        buffer = io.BytesIO()
        torch.save(rnn.state_dict(), buffer)
        buffer.seek(0)
        fresh.load_state_dict(torch.load(buffer, weights_only=True))
    else:
        fresh = copy.deepcopy(rnn) if way == "deepcopy" else pickle.loads(pickle.dumps(rnn))
        assert (
            fresh._derived.levels[0].lay is rnn._derived.levels[0].lay
        )  # what is compiled for it stays in use
    assert torch.equal(rnn(x)[0], fresh(x)[0])
    assert repr(fresh) == repr(rnn)
    with torch.no_grad():
        next(fresh.parameters()).add_(1)
    assert not torch.equal(rnn(x)[0], fresh(x)[0])


def test_a_bracket_may_be_called_like_a_method() -> None:
    cell = parse("cell odd(x; h)\ntrain = sigmoid[x, h]\nh' = train * h + x")
    rnn = Recurrent(cell, H, H)
    assert set(rnn.state_dict()) == {"layers.0.train.x", "layers.0.train.h", "layers.0.train.bias"}
    assert rnn(torch.randn(T, B, H))[0].shape == (T, B, H)
    rnn.eval()
    for name in ("project", "reverse"):
        with pytest.raises(CellError, match=name):
            Recurrent(parse(f"cell odd(x; h)\n{name} = sigmoid[x, h]\nh' = {name}"), D, H)


def test_a_weight_may_be_parametrised() -> None:
    class Twice(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return 2 * value

    rnn = Recurrent(zoo.load("gru"), D, H, dtype=torch.float64)
    other = copy.deepcopy(rnn)
    with torch.no_grad():
        dict(other.named_parameters())["layers.0.z.h"].mul_(2)
    parametrize.register_parametrization(rnn.layers[0]._modules["z"], "h", Twice())
    x = numbers(T, B, D)
    close(rnn(x)[0], other(x)[0])


@pytest.mark.parametrize(
    "text", ["clock 1, 2, 4\nn = tanh[x, h@slower]", "n = tanh[x, h@blocks(3)]", "n = tanh[x, h@skew]"]
)
def test_what_must_be_zero_counts_as_zero(text: str) -> None:
    rnn = Recurrent(parse(f"cell odd(x; h)\n{text}\nh' = 0.5 * h + n"), D, H, dtype=torch.float64)
    x = numbers(T, B, D)
    wanted = rnn(x)[0]
    weight = dict(rnn.named_parameters())["layers.0.n.h"]
    fixed = weight == 0
    assert bool(fixed.any())
    with torch.no_grad():
        weight[fixed] = 7.0  # as an initialiser of torch.nn.init may do
    output = rnn(x)[0]
    assert torch.equal(output, wanted)
    output.sum().backward()
    assert (
        weight.grad is not None and bool((weight.grad[fixed] == 0).all()) and bool((weight.grad != 0).any())
    )


def test_a_stack_may_be_a_list_of_cells() -> None:
    lower = parse("cell lower(x; h, c)\nc' = c + tanh[x, h]\nh' = tanh(c')")
    upper = parse("cell upper(x; h, c)\nc' = c + sigmoid[x, .below(c)]\nh' = c' * x")
    rnn = Recurrent([lower, upper], D, H)
    assert rnn(torch.randn(T, B, D))[0].shape == (T, B, H)
    assert rnn.num_layers == 2
    assert not rnn.projects


def test_a_cell_that_uses_x_itself_gets_a_projection_in_every_layer_that_needs_it() -> None:
    mut1 = Recurrent(zoo.load("mut1"), D, H, 2)
    assert [name for name in mut1.state_dict() if "project" in name] == ["layers.0.project.weight"]
    assert "x projected to 7" in repr(mut1)
    assert mut1(torch.randn(T, B, D))[0].shape == (T, B, H)
    both = Recurrent(zoo.load("mut1"), H, H, 2, bidirectional=True)
    assert both.layers[1].project.weight.shape == (H, 2 * H)
    assert "project" not in both.layers[0]._modules
    assert not Recurrent(zoo.load("mut1"), H, H, 2).projects


def test_repr_says_what_was_asked_for() -> None:
    rnn = Recurrent(zoo.load("gru"), D, H, 2, True, 0.25, True)
    assert (
        repr(rnn) == "Recurrent(gru, 5, 7, num_layers=2, batch_first=True, bidirectional=True, dropout=0.25)"
    )
    rnn.flatten_parameters()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: Recurrent(c, 0, H), "input_size must be a whole number of at least 1, not 0"),
        (lambda c: Recurrent(c, D, 7.0), "hidden_size must be a whole number"),
        (lambda c: Recurrent(c, D, H, 0), "num_layers must be a whole number"),
        (lambda c: Recurrent(c, D, H, 2, dropout=1.5), "dropout must be a probability"),
        (lambda c: Recurrent("gru", D, H), "takes a cell as load"),
        (lambda c: Recurrent([], D, H), "takes a cell as load"),
        (lambda c: Recurrent([c, "gru"], D, H), "takes a cell as load"),
        (lambda c: Recurrent([c, c], D, H, 3), "2 cells make 2 layers: leave num_layers=3 out"),
        (
            lambda c: Recurrent([c, zoo.load("gru")], D, H),
            r"layer 0 \(lstm\) has h, c, layer 1 \(gru\) has h",
        ),
        (
            lambda c: Recurrent([c, parse("cell upper(x; h, c)\nc' = c + below(q)\nh' = tanh[x, c']")], D, H),
            r"below\(q\)",
        ),
    ],
)
def test_what_cannot_be_made_is_refused(make: Any, message: str) -> None:
    with pytest.raises(CellError, match=message):
        make(zoo.load("lstm"))
