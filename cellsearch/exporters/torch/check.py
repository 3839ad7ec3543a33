"""Check an exported module against the compiled cell: outputs, states and all gradients, before the file is
written.

Raises ExportError if they disagree. The text is our own, from `torch_source` in the same process; no file is
read and executed.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Before, Input
from cellsearch.errors import CellsearchError, ExportError, not_written
from cellsearch.exporters.names import class_name

TOLERANCE = 1e-10  # relative to the largest value of a tensor, where that exceeds 1
_STEPS, _BATCH = 5, 3
_SHAPES = ((1, 3, 6), (2, 6, 6))  # layers, input width, hidden width
_SPANS = ((-0.8, 0.8), (0.05, 0.45))  # of all numbers; the second is for cells with log, sqrt and the like
_FINER = 2.0**-29  # ratio of rounding errors of float32 and float64
_CHAOS = 0.1  # of the scale: where float32 is that wrong, as in sin(1e16 * x), no two ways agree
_LEEWAY = 100  # factor between the rounding error of one computation and the difference of two


@dataclass(frozen=True)
class _Case:
    """Inputs and weights of one comparison, and what multiplies outputs and states in the loss."""

    x: Tensor  # [T, B, D]
    states: tuple[Tensor, ...]  # each [layers, B, H]
    earlier: list[Tensor]  # what the layers look back at; empty where they do not
    steps: Tensor | None  # [B]
    weights: dict[str, Tensor]
    factors: tuple[Tensor, ...]  # of the output, then of each state


def load_module(cell: Cell, text: str) -> type[nn.Module]:
    """The class defined by the text of a file, in a fresh namespace."""
    scope: dict[str, Any] = {"__name__": f"exported_{cell.name}"}
    exec(compile(text, f"<export of {cell.name}>", "exec"), scope)
    found = scope[class_name(cell.name)]
    assert issubclass(found, nn.Module)
    return found


def check(cell: Cell, text: str) -> None:
    """Compares the module in `text` with `cellsearch.Recurrent` in float64: one layer, and two both ways.

    Raises ExportError where they differ by more than 1e-10 of the largest value. Cells that amplify rounding
    may differ by the amount implied by their own float32 results.
    """
    try:
        made = load_module(cell, text)
        for layers, width, hidden in _SHAPES:
            if layers == 1 or _stacks(cell):
                _compare(cell, made, layers, width, hidden)
    except CellsearchError:
        raise
    except Exception as error:  # any failure of our own text
        raise _refused(cell, f"it does not run: {type(error).__name__}: {error}") from error


def _stacks(cell: Cell) -> bool:
    """Whether layers of the cell can be stacked."""
    names = {state.name for state in cell.states}
    return all(n.name in names for n in cell.nodes if isinstance(n, Input) and n.kind == "below")


def _compare(cell: Cell, made: type[nn.Module], layers: int, width: int, hidden: int) -> None:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        both = layers > 1  # directions
        compiled = Recurrent(cell, width, hidden, layers, bidirectional=both, dtype=torch.float64)
        exported = made(width, hidden, layers, bidirectional=both, dtype=torch.float64)
    where = f"with {layers} layer{'s' if layers > 1 else ''}"
    if _shapes(compiled) != _shapes(exported):
        raise _refused(
            cell, f"{where} its weights have other names or shapes than those of the compiled cell"
        )
    rng = torch.Generator().manual_seed(layers)
    for low, high in _SPANS:
        case = _draw(cell, compiled, width, hidden, (low, high), rng)
        wanted, given = _run(compiled, case), _run(exported, case)
        finite = all(bool(value.isfinite().all()) for name, value in wanted.items() if "gradient" not in name)
        coarse: dict[str, Tensor] | None = None
        for name, value in wanted.items():
            if not finite and "gradient" in name:
                continue  # a NaN that is multiplied by zero may be in one and not in the other
            error, scale = _difference(given[name], value)
            if error <= TOLERANCE * scale:
                continue
            coarse = coarse or _run(copy.deepcopy(exported).float(), _single(case))
            rounding, _ = _difference(coarse[name], given[name])
            chaotic = rounding > _CHAOS * scale and error < float("inf")
            if error > _LEEWAY * _FINER * rounding and not chaotic:
                difference = f"differs from that of the compiled cell by {error:.1e}"
                raise _refused(cell, f"{where} its {name} {difference}")
        if finite:
            break


def _shapes(module: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(p.shape)) for name, p in module.state_dict().items()]


def _draw(
    cell: Cell, module: nn.Module, width: int, hidden: int, span: tuple[float, float], rng: torch.Generator
) -> _Case:
    def uniform(shape: Sequence[int]) -> Tensor:
        low, high = span
        return low + (high - low) * torch.rand(tuple(shape), generator=rng, dtype=torch.float64)

    directions = 2 if module.bidirectional else 1
    shape = (directions * int(module.num_layers), _BATCH, hidden)  # type: ignore[arg-type]
    x = uniform((_STEPS, _BATCH, width))
    earlier: list[Tensor] = []
    if any(isinstance(node, Before) for node in cell.nodes):
        earlier = [uniform(v.shape) for v in module(x)[1][len(cell.states)]]
    return _Case(
        x=x,
        states=tuple(uniform(shape) for _ in cell.states),
        earlier=earlier,
        steps=torch.randint(0, 7, (_BATCH,), generator=rng) if cell.clock else None,
        weights={name: uniform(p.shape) * _is_free(p) for name, p in module.state_dict().items()},
        factors=(uniform((_STEPS, _BATCH, directions * hidden)), *(uniform(shape) for _ in cell.states)),
    )


def _is_free(first: Tensor) -> Tensor:
    """The entries of a weight, by its first values, that are not always zero: matrices start at random."""
    return first != 0 if first.dim() == 2 else torch.ones_like(first)


def _single(case: _Case) -> _Case:
    """The case in float32."""
    return replace(
        case,
        x=case.x.float(),
        states=tuple(s.float() for s in case.states),
        earlier=[v.float() for v in case.earlier],
        weights={name: w.float() for name, w in case.weights.items()},
    )


def _run(module: nn.Module, case: _Case) -> dict[str, Tensor]:
    """Outputs, last states and gradients by name."""
    module.load_state_dict(case.weights)
    module.zero_grad()
    x = case.x.clone().requires_grad_()
    states = [s.clone().requires_grad_() for s in case.states]
    earlier = [v.clone().requires_grad_() for v in case.earlier]
    given = [*states, *([earlier] if earlier else []), *([] if case.steps is None else [case.steps])]
    output, last = module(x, given[0] if len(given) == 1 else tuple(given))
    last = [last] if isinstance(last, Tensor) else list(last)
    loss = sum((f * v).sum() for f, v in zip(case.factors, (output, *last), strict=False))
    found = {"output": output}
    for k, value in enumerate(last, 1):
        for j, part in enumerate([value] if isinstance(value, Tensor) else value):
            found[f"state {k}{f', {j + 1}' if j else ''}"] = part
            if not isinstance(value, Tensor):
                loss = loss + part.sum()
    assert isinstance(loss, Tensor)
    if loss.requires_grad:
        loss.backward()
    found["gradient of x"] = _gradient(x)
    found |= {f"gradient of state {k}": _gradient(s) for k, s in enumerate(states, 1)}
    found |= {f"gradient of earlier value {k}": _gradient(v) for k, v in enumerate(earlier, 1)}
    found |= {f"gradient of {name}": _gradient(p) for name, p in module.named_parameters()}
    return {name: value.detach().double() for name, value in found.items()}


def _gradient(value: Tensor) -> Tensor:
    return torch.zeros_like(value) if value.grad is None else value.grad.clone()


def _difference(value: Tensor, wanted: Tensor) -> tuple[float, float]:
    """The largest difference of two tensors, infinite where the first is not finite and the second is; and
    the scale of the second.

    Where the second overflows too, numbers that are not finite may stand in other places: what one way of
    computing multiplies by zero, another may never compute.
    """
    if value.shape != wanted.shape:
        return float("inf"), 1.0
    finite = wanted.isfinite()
    both = finite & value.isfinite()
    if bool(finite.all()) and not bool(both.all()):
        return float("inf"), 1.0
    if not bool(both.any()):
        return 0.0, 1.0
    scale = max(1.0, wanted[both].abs().max().item())
    return (value - wanted)[both].abs().max().item(), scale


def _refused(cell: Cell, reason: str) -> ExportError:
    return not_written(f"the PyTorch module for {cell.name}", reason)
