"""The output layer in C by itself: against autograd of torch in float64, at the ends of its blocks, in the room that
it asks for, and for every width of vectors that this machine can run."""

import shutil
from functools import cache

import pytest
import torch
from builds import NARROWER, builds
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cellsearch.compiler.engines.native import output as native
from cellsearch.compiler.engines.native import toolchain

pytestmark = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")

MEMBERS, BATCH, BEFORE = 2, 20, 3
BOUND = {torch.float64: 1e-12, torch.float32: 2e-5}
Case = tuple[Tensor, Tensor, Tensor | None, Tensor, int]


def case(
    count: int, hidden: int, vocabulary: int, dtype: torch.dtype, some: bool = False, size: float = 0.3
) -> Case:
    """Rows [K, P] in which `BEFORE` numbers come first, outputs [K, N, H], positions, targets."""
    generator = torch.Generator().manual_seed(count * hidden + vocabulary)
    total = 2 * count if some else count
    rows = size * torch.randn(
        MEMBERS, BEFORE + (hidden + 1) * vocabulary, generator=generator, dtype=torch.float64
    )
    seen = torch.randn(MEMBERS, total, hidden, generator=generator, dtype=torch.float64)
    positions = torch.randperm(total, generator=generator)[:count].sort().values if some else None
    targets = torch.randint(vocabulary, (count,), generator=generator)
    return rows.to(dtype), seen.to(dtype), positions, targets, vocabulary


def ours(
    rows: Tensor, seen: Tensor, positions: Tensor | None, targets: Tensor, vocabulary: int
) -> list[Tensor]:
    gradient, d_seen = torch.zeros_like(rows), torch.zeros_like(seen)
    found = native.output(rows, seen, positions, targets, vocabulary, BEFORE, BATCH, gradient, d_seen)
    without = native.output(rows, seen, positions, targets, vocabulary, BEFORE, BATCH)
    assert all(torch.equal(a, b) for a, b in zip(found, without, strict=True))
    return [*found, gradient, d_seen]


def wanted(
    rows: Tensor, seen: Tensor, positions: Tensor | None, targets: Tensor, vocabulary: int
) -> list[Tensor]:
    rows, seen = (t.double().requires_grad_() for t in (rows, seen))
    end = BEFORE + seen.shape[2] * vocabulary
    matrix = rows[:, BEFORE:end].unflatten(1, (seen.shape[2], vocabulary))
    logits = (seen if positions is None else seen[:, positions]) @ matrix + rows[:, None, end:]
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), targets.expand(len(rows), -1), reduction="none"
    ).sum(1)
    (losses.sum() / BATCH).backward()
    right = (logits.argmax(-1) == targets).sum(1)
    assert rows.grad is not None
    assert seen.grad is not None
    return [losses.detach(), right, rows.grad, seen.grad]


def check(example: Case) -> None:
    bound = BOUND[example[0].dtype]
    for name, a, b in zip(
        ("loss", "right", "gradient", "d_seen"), ours(*example), wanted(*example), strict=True
    ):
        assert float((a - b).abs().max()) <= bound * max(1.0, float(b.abs().max())), name


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    hidden=st.integers(1, 40),
    vocabulary=st.integers(1, 400),
    some=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_it_is_that_of_autograd(
    count: int, hidden: int, vocabulary: int, some: bool, dtype: torch.dtype
) -> None:
    check(case(count, hidden, vocabulary, dtype, some))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [239, 240, 241, 481])
@pytest.mark.parametrize("vocabulary", [50, 127, 129, 257])
def test_blocks_of_positions_and_of_symbols(count: int, vocabulary: int, dtype: torch.dtype) -> None:
    check(case(count, 13, vocabulary, dtype))
    check(case(count, 13, vocabulary, dtype, some=True))


@pytest.mark.parametrize("vocabulary", [2500, 10_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_many_symbols(vocabulary: int, dtype: torch.dtype) -> None:
    check(case(25, 30, vocabulary, dtype))


def test_the_highest_logit_of_a_row_may_rise_from_block_to_block() -> None:
    """By far more than an exponential can hold."""
    rows, seen, positions, targets, vocabulary = case(21, 5, 1000, torch.float32)
    rows[:, -vocabulary:] = torch.linspace(-3e4, 3e4, vocabulary)
    check((rows, seen, positions, targets, vocabulary))
    rows[:, -vocabulary:] = torch.linspace(3e4, -3e4, vocabulary)
    check((rows, seen, positions, targets, vocabulary))


def test_of_equal_logits_in_several_blocks_the_first_is_the_guess() -> None:
    rows, seen, positions, targets, vocabulary = case(40, 4, 1000, torch.float32)
    rows[:] = 0
    for highest in ([3, 400, 999], [400, 401], [999]):
        rows[:, -vocabulary:] = 0
        rows[:, [highest_ - vocabulary for highest_ in highest]] = 1
        targets[:20], targets[20:] = highest[0], highest[-1]
        right = ours(rows, seen, positions, targets, vocabulary)[1]
        assert right.tolist() == [40 if len(highest) == 1 else 20] * MEMBERS


def test_with_one_symbol_nothing_is_learned() -> None:
    """Exactly."""
    rows, seen, positions, targets, vocabulary = case(500, 7, 1, torch.float32, size=10)
    loss, _, gradient, d_seen = ours(rows, seen, positions, targets, vocabulary)
    assert not loss.any()
    assert not gradient.any()
    assert not d_seen.any()


def test_no_position_is_scored() -> None:
    rows, seen, _, _, vocabulary = case(4, 5, 20, torch.float32)
    gradient, d_seen, none = torch.ones_like(rows), torch.zeros_like(seen), torch.zeros(0, dtype=torch.int64)
    loss, right = native.output(rows, seen, none, none, vocabulary, BEFORE, BATCH, gradient, d_seen)
    assert not loss.any()
    assert not right.any()
    assert not gradient[:, BEFORE:].any()
    assert gradient[:, :BEFORE].all()


@pytest.mark.parametrize("vocabulary", [50, 700])
@pytest.mark.parametrize("some", [False, True])
def test_no_bit_of_a_member_depends_on_the_others(vocabulary: int, some: bool) -> None:
    rows, seen, positions, targets, _ = case(250, 13, vocabulary, torch.float32, some)
    together = ours(rows, seen, positions, targets, vocabulary)
    for k in range(MEMBERS):
        alone = ours(rows[k : k + 1].clone(), seen[k : k + 1].clone(), positions, targets, vocabulary)
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a[k], b[0])


@pytest.fixture(params=[*builds()], ids=lambda build: " ".join(build).strip())
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by one compiler for some of the instructions."""
    cc, name = request.param
    monkeypatch.setattr(toolchain, "compiler", lambda: shutil.which(cc))
    monkeypatch.setattr(toolchain, "FLAGS", (*toolchain.FLAGS, *NARROWER[name]))
    monkeypatch.setattr(toolchain, "products", cache(toolchain.products.__wrapped__))


SHAPES = [(1, 1, 1), (3, 17, 33), (241, 5, 50), (20, 40, 255), (20, 3, 256), (7, 300, 300), (250, 13, 1030)]


@pytest.mark.long
@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_build_is_right_and_keeps_to_its_room(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Tensor] = []
    room, beyond = native.room, 64

    def new_empty(like: Tensor, size: int) -> Tensor:
        made.append(torch.full((size,), 77.0, dtype=like.dtype))
        return made[-1]

    monkeypatch.setattr(native, "room", lambda *sizes: room(*sizes) + beyond)
    for shape in SHAPES:
        for some in (False, True):
            example = case(*shape, dtype, some)
            with monkeypatch.context() as patched:
                patched.setattr(torch.Tensor, "new_empty", new_empty)
                found = ours(*example)
            space = max(made, key=len)
            made.clear()
            assert bool((space[-beyond:] == 77).all()), shape
            for a, b in zip(found, wanted(*example), strict=True):
                assert float((a - b).abs().max()) <= BOUND[dtype] * max(1.0, float(b.abs().max())), shape
