"""The states that `Recurrent` takes: what fits, and what is said where it does not."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError

D, H, B, T = 5, 7, 3, 6
LOOKS = "cell looks(x; h)\nclock 1, 2\nn = tanh[x, before(x, 2), h, before(h, 3)]\nh' = h + tick * (n - h)"


def states(*shapes: tuple[int, ...], **kind: Any) -> tuple[Tensor, ...]:
    return tuple(torch.zeros(shape, **kind) for shape in shapes)


def packed(batch: int = B) -> PackedSequence:
    return pack_padded_sequence(torch.zeros(T, batch, D), [T] * batch)


FITS = (2, B, H)
X = torch.zeros(T, B, D)


@pytest.mark.parametrize(
    ("x", "given", "message"),
    [
        (torch.zeros(T, B, D + 1), None, r"takes an input \[T, B, 5\] or \[T, 5\], or a PackedSequence"),
        (torch.zeros(2, T, B, D), None, "takes an input"),
        (torch.zeros(D), None, "takes an input"),
        ([[0.0]], None, "not a list"),
        (PackedSequence(torch.zeros(4, D + 1), torch.tensor([2, 2])), None, r"not one of \[6\]"),
        (
            torch.zeros(T, B, D, dtype=torch.int64),
            None,
            r"dtype of the input is torch.int64, that of the weights",
        ),
        (X.double(), None, r"torch.float64, that of the weights torch.float32: use .to\(torch.float32\)"),
        (X.to("meta"), None, r"the device of the input is meta, that of the weights cpu: use .to\('cpu'\)"),
        (X, torch.zeros(FITS), r"2 states \(h, c\), not 1"),
        (X, states(FITS, FITS, FITS), "2 states .*, not 3"),
        (X, {"h": 1}, "2 states .*, not a dict"),
        (
            X,
            states(FITS, (2, B, H + 1)),
            r"state c must be \[2, 3, 7\], which is \[layers \* directions, B, H\], not",
        ),
        (X, states((1, B, H), FITS), "state h must be"),
        (X, states((2, H), (2, H)), "state h must be"),
        (X, (torch.zeros(FITS), None), r"state c must be a tensor \[2, 3, 7\], not a NoneType"),
        (
            X,
            states(FITS, FITS, dtype=torch.float64),
            "dtype of state h is torch.float64, that of the input torch.float32",
        ),
        (X, states(FITS, FITS, device="meta"), "device of state h is meta, that of the input cpu"),
        (X[:, 0], states(FITS, FITS), r"state h must be \[2, 7\]"),
        (packed(2), states(FITS, FITS), r"state h must be \[2, 2, 7\]"),
    ],
)
def test_what_does_not_fit_an_lstm_is_refused(x: Any, given: Any, message: str) -> None:
    rnn = Recurrent(zoo.load("lstm"), D, H, 2)
    with pytest.raises(CellError, match=rf"^Recurrent\(lstm, 5, 7, num_layers=2\): .*{message}"):
        rnn(x, given)


def spoil(change: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
    h, earlier, steps = given
    match change:
        case "earlier is a tensor":
            return h, h, steps
        case "earlier for one layer":
            return h, earlier[:1], steps
        case "earlier with too little":
            return h, earlier[1:], steps
        case "earlier of another batch":
            return h, [v[..., :1, :] for v in earlier], steps
        case "steps of another batch":
            return h, earlier, steps[:1]
        case "steps as numbers":
            return h, earlier, steps.float()
    return h, earlier


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("earlier is a tensor", "a list of 8 tensors, not "),
        ("earlier for one layer", "a list of 8 tensors, not "),
        ("earlier with too little", "a list of 8 tensors, not "),
        ("earlier of another batch", r"a tensor of state earlier must be \[3, 7\]"),
        ("steps of another batch", r"state steps must be \[3\], which is \[B\], not \[1\]"),
        ("steps as numbers", "dtype of state steps is torch.float32, that of the input torch.int64"),
        ("without steps", r"3 states \(h, earlier, steps\), not 2"),
    ],
)
def test_what_does_not_fit_a_clock_or_a_look_back_is_refused(change: str, message: str) -> None:
    rnn = Recurrent(parse(LOOKS), D, H, 2)
    with pytest.raises(CellError, match=message):
        rnn(X, spoil(change, rnn(X)[1]))


def test_the_tuple_has_nothing_for_b_where_the_sequence_is_single() -> None:
    rnn = Recurrent(parse(LOOKS), D, H, 2, bidirectional=True)
    x = torch.randn(T, 1, D)
    (single, (h, earlier, steps)), (batch, last) = rnn(x[:, 0]), rnn(x)
    assert torch.equal(single, batch[:, 0])
    assert torch.equal(h, last[0][:, 0]) and h.shape == (4, H)
    assert steps.shape == () and int(steps) == T
    assert [v.shape for v in earlier] == [
        shape for w in (D, D, 2 * H, 2 * H) for shape in [(H,)] * 3 + [(2, w)]
    ]
    again, _ = rnn(x[:, 0], (h, earlier, steps))
    assert torch.equal(again, rnn(x, last)[0][:, 0])


def test_states_alone_are_enough_where_the_rest_starts_at_zero() -> None:
    rnn = Recurrent(parse(LOOKS), D, H, 2)
    assert torch.equal(rnn(X, torch.zeros(FITS))[0], rnn(X)[0])
    assert torch.equal(rnn(X, (torch.zeros(FITS),))[0], rnn(X)[0])
    assert torch.equal(rnn(X, [torch.zeros(FITS)])[0], rnn(X)[0])
