"""Constructs of the language x what users do to a module: an exported module stays the same function when torch
scripts, traces, exports, compiles, converts, copies or stores it; `Recurrent` where that applies to it."""

import copy
import importlib.util
import io
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as tree

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.exporters.names import class_name
from cellsearch.exporters.torch.source import torch_source
from tests.exporters.constructs import CONSTRUCTS

D, H, B, T = 3, 6, 2, 4
Changed = Callable[[nn.Module, Tensor], Callable[..., object]]

#: Options of a module beside its widths.
SHAPES = {
    "one layer": {},
    "three layers": {"num_layers": 3},
    "both directions": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, type[nn.Module]]:
    """The exported class of each construct, imported from a file: torch.jit.script and pickle look for one."""
    found = {}
    for k, (name, cell) in enumerate(CONSTRUCTS.items()):
        path = tmp_path_factory.mktemp("written") / f"exported_{k}.py"
        path.write_text(torch_source(cell))
        found[name] = getattr(load(path), class_name(cell.name))
    return found


def load(path: Path) -> object:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    sys.modules[path.stem] = found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def stored(module: nn.Module, x: Tensor) -> nn.Module:
    """A new module of the class, with the weights of `module` from a file."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    options = {name: getattr(module, name) for name in ("num_layers", "bidirectional", "batch_first")}
    first = [module.cells[0]] if isinstance(module, Recurrent) else []
    again = type(module)(*first, D, H, **options)
    again.load_state_dict(torch.load(file, weights_only=True))
    return again


def exported(module: nn.Module, x: Tensor) -> nn.Module:
    """The graph of torch.export, of a call with states, which are inputs of their own."""
    return torch.export.export(module, (x, module(x)[1])).module()


#: What gives the same results; of `Recurrent`, which has no source that torch could script, those with True.
SAME: dict[str, tuple[bool, Changed]] = {
    "jit.script": (False, lambda module, x: torch.jit.script(module)),
    "jit.trace": (False, lambda module, x: torch.jit.trace(module, (x,))),
    "jit.trace with states": (False, lambda module, x: torch.jit.trace(module, (x, module(x)[1]))),
    "torch.export": (True, exported),
    "deepcopy": (True, lambda module, x: copy.deepcopy(module)),
    "pickle": (True, lambda module, x: pickle.loads(pickle.dumps(module))),
    "state_dict": (True, stored),
}


def close(given: object, wanted: object, tolerance: float = 1e-5) -> None:
    """Asserts that two nests of tensors agree."""
    given, wanted = tree.tree_leaves(given), tree.tree_leaves(wanted)
    torch.testing.assert_close(given, wanted, rtol=tolerance, atol=tolerance)


def made(construct: str, shape: str, written: dict[str, type[nn.Module]]) -> tuple[nn.Module, nn.Module]:
    """The exported module and `Recurrent`, on the same weights."""
    torch.manual_seed(0)
    theirs = written[construct](D, H, **SHAPES[shape])
    ours = Recurrent(CONSTRUCTS[construct], D, H, **SHAPES[shape])
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@pytest.mark.long
@pytest.mark.parametrize(
    "shape",
    [name if name == "both directions" else pytest.param(name, marks=pytest.mark.soak) for name in SHAPES],
)
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_both_agree_and_stay_the_same_function(
    construct: str, shape: str, written: dict[str, type[nn.Module]]
) -> None:
    theirs, ours = made(construct, shape, written)
    x = torch.rand(T, B, D)
    wanted, states = theirs(x)
    after = theirs(x, states)
    close(ours(x), (wanted, states))
    close(ours(x, states), after)
    for name, (both, change) in SAME.items():
        for module in (theirs, ours) if both else (theirs,):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch.jit is deprecated; tracing warns of every shape
                changed = change(module, x)
            message = f"{name} of {type(module).__name__}"
            try:
                if name not in ("torch.export", "jit.trace with states"):
                    close(changed(x), (wanted, states))
                if name != "jit.trace":
                    close(changed(x, states), after)
            except AssertionError as error:
                raise AssertionError(f"{message}: {error}") from None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_other_dtypes(construct: str, dtype: torch.dtype, written: dict[str, type[nn.Module]]) -> None:
    for module in made(construct, "both directions", written):
        x = torch.rand(T, B, D)
        wanted = module(x)
        converted = copy.deepcopy(module).to(dtype)
        output, states = converted(x.to(dtype))
        assert output.dtype == dtype
        assert all(v.dtype in (dtype, torch.int64) for v in tree.tree_leaves(states))
        tolerance = 1e-5 if dtype == torch.float64 else 0.1
        torch.testing.assert_close(output.float(), wanted[0], rtol=tolerance, atol=tolerance)
        converted(x.to(dtype), states)


@pytest.mark.soak
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_compiled(construct: str, written: dict[str, type[nn.Module]]) -> None:
    torch.compiler.reset()
    for module in made(construct, "both directions", written):
        x = torch.rand(T, B, D)
        compiled = torch.compile(module, backend="aot_eager")
        output, states = compiled(x)
        close((output, states), module(x))
        states = tree.tree_map(Tensor.detach, states)
        close(compiled(x, states), module(x, states))


def test_dropout_lies_between_layers(written: dict[str, type[nn.Module]]) -> None:
    x = torch.rand(T, B, D)
    module = written["scalar"](D, H, 2, dropout=0.5)
    assert not torch.equal(module(x)[0], module(x)[0])
    assert torch.equal(module.eval()(x)[0], module(x)[0])
    alone = written["scalar"](D, H, 1, dropout=0.5)
    assert torch.equal(alone(x)[0], alone(x)[0])
    gone, states = written["nothing but x"](D, H, 2, dropout=1)(x)
    assert bool((gone == 0).all()) and bool((states[0] != 0).any())  # tanh of nothing but a bias of zero
    with pytest.raises(ValueError, match="a probability from 0 to 1, not 2"):
        written["scalar"](D, H, dropout=2)


def test_shown_with_sizes(written: dict[str, type[nn.Module]]) -> None:
    theirs, ours = made("scalar", "both directions", written)
    assert "3, 6, num_layers=2, batch_first=True, bidirectional=True" in repr(theirs)
    assert "x [3, 6], h [6, 6], bias [6]" in repr(theirs)
    assert repr(ours) == "Recurrent(t, 3, 6, num_layers=2, batch_first=True, bidirectional=True)"
