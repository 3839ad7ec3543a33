"""Every row of the op table as Python: values as the formula has them, and autograd gives the table's
derivatives, also where an argument is zero or two are equal."""

import pytest
import torch

from cellsearch.compiler.engines import formula
from cellsearch.dsl.ops import TABLE, Op
from cellsearch.exporters.torch import operators


def called(op: Op, *args: torch.Tensor) -> torch.Tensor:
    """The op as an exported file computes it."""
    scope: dict[str, object] = {"torch": torch, "Tensor": torch.Tensor}
    form = operators.template(op)
    if form is None:
        exec("\n".join(operators.function(op)), scope)
        form = f"{operators.function_name(op)}({', '.join(('{0}', '{1}')[: op.arity])})"
    value = eval(form.format("a", "b"), {**scope, **dict(zip("ab", args, strict=False))})
    assert isinstance(value, torch.Tensor)
    return value


def samples(op: Op) -> list[torch.Tensor]:
    low, high = op.domain
    points = torch.linspace(low, high, 25, dtype=torch.float64)
    points = points[torch.tensor([float(p) not in op.kinks or p == 0 for p in points])]
    grid = torch.cartesian_prod(*[points] * op.arity).reshape(-1, op.arity)
    return [column.clone().requires_grad_() for column in grid.T]


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_values_and_derivatives(op: Op) -> None:
    args = samples(op)
    value = called(op, *args)
    wanted = formula.apply(op, *args).expand_as(value)  # a mean is one number there
    torch.testing.assert_close(value, wanted, rtol=1e-14, atol=1e-14)
    g = torch.linspace(-1, 1, len(value), dtype=torch.float64)
    found = torch.autograd.grad(value, args, g)
    known = {"a": args[0], "y": value, "g": g} | ({"b": args[1]} if op.arity == 2 else {})
    for derivative, gradient in zip(op.gradients, found, strict=True):
        wanted = formula.function(derivative, tuple(known))(*known.values())
        torch.testing.assert_close(gradient, wanted.expand_as(gradient), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_extreme_values_have_finite_derivatives(op: Op) -> None:
    if op.domain[0] >= 0 or op.name == "exp":
        return  # log, sqrt, a quotient and exp have poles and overflow by themselves
    args = [
        torch.tensor([-800.0, 0.0, 800.0], dtype=torch.float64, requires_grad=True) for _ in range(op.arity)
    ]
    called(op, *args).sum().backward()
    assert all(bool(a.grad is not None and a.grad.isfinite().all()) for a in args)


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_functions_fit_on_their_lines(op: Op) -> None:
    assert all(len(line) <= 110 for line in operators.function(op))
