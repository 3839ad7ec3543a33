"""Exported modules compute what the compiled cells compute: every zoo cell, random cells, mutants, hostile
names."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from cells import random_cell
from covering import ZOO
from mutants import mutants
from torch import nn

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.errors import ExportError
from cellsearch.exporters.torch.check import check
from cellsearch.exporters.torch.source import torch_source
from tests.exporters import hostile

Made = Callable[[Cell], type[nn.Module]]

#: All that the language has, beyond the zoo.
WIDE = tuple(
    map(
        parse,
        (
            "cell looks(x; h, c)\ni = sigmoid[x, before(x, 3), h, before(h, 2), .before(c)]\n"
            "c' = 0.5 * c + before(tanh[x, h]) + i\n"
            "h' = norm(c') * before(x) + [h@blocks(2), c@skew, c'@rank(2), bias=uniform(-1, 1)] + softmax[x]\n",
            "cell far(x; h)\nclock 2, 3\nh' = tanh[x, before(h, 40), before(x, 9)] + tick * before(before(h))\n",
            "cell eyes(x; h)\nclock 4, 1, 1\nh' = tanh[x@eye(0.5), h@slower@eye(0.9)] + [h@blocks(3)@eye(1), bias=none]\n",
            "cell given(x; h=0.5, m=-1e30) -> y\ns = [scalar=2]\nv = [bias=uniform(-1, 1)]\n"
            "y = norm(s) + s * v * h + [s, v, 0.5, .(3)]\nm' = max(m, [h])\nh' = min(y, m')\n",
            "cell numbers(x; h)\na = 2\nb = tanh(a)\nc = softmax(a)\nh' = b * h + c + 1 / (1 - a) + [x]\n",
            "cell still(x; h, c) -> x\nh' = c\nc' = x\n",
            "cell constant(x; h)\nh' = 0.5\n",
            "cell learned(x; h)\nh' = [bias=0.5]\n",
            "cell alone(x; h)\nh' = [h, below(g)]\n",
            "cell outer(x; h)\nz = sigmoid[x]\nw = softplus(z) * z\nh' = w * h + tanh(z - 1) * sigmoid([x] * z) + log_sigmoid[w]\n",
        ),
    )
)


def agree(cell: Cell) -> str:
    """The text of a cell that agrees with the compiled one."""
    text = torch_source(cell)
    check(cell, text)
    return text


@pytest.mark.parametrize("name", ZOO)
def test_zoo_cells_agree(name: str) -> None:
    agree(zoo.load(name))


@pytest.mark.parametrize("cell", WIDE, ids=lambda cell: cell.name)
def test_the_whole_language_agrees(cell: Cell) -> None:
    agree(cell)


@pytest.mark.long
def test_random_cells_agree() -> None:
    for k in range(50):
        agree(random_cell(np.random.default_rng([5, k]), tame=k % 2 == 0))


@pytest.mark.long
def test_mutants_agree() -> None:
    for cell in mutants(50):
        agree(cell)


@pytest.mark.long
def test_awkward_names_agree() -> None:
    for cell in hostile.named():
        agree(cell)


@pytest.mark.long
def test_large_cells_agree() -> None:
    for cell in hostile.large():
        agree(cell)


@pytest.mark.long
def test_descriptions_stay_comments() -> None:
    plain = ast.dump(ast.parse(torch_source(parse("cell lstm(x; h)\nh' = tanh[x, h]\n"))))
    for cell in hostile.described():
        text = agree(cell)
        assert ast.dump(ast.parse(text)) == plain
        assert ast.dump(ast.parse(text.encode())) == plain  # no line of it declares an encoding


def test_provenance_stays_a_comment() -> None:
    cell = zoo.load("gru")
    facts = {"score": 1.01, 'name"""\nimport os': "a\rimport os\nb\x0cc\u2028d\x1b[31m", "setting": "x" * 300}
    text = torch_source(cell, facts)
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(torch_source(cell)))
    assert "# score" in text and "1.01" in text
    assert "\x1b" not in text and "\r" not in text


@pytest.mark.long
def test_header_holds_the_cell() -> None:
    for cell in (*mutants(20), *(zoo.load(name) for name in zoo.names())):
        text = torch_source(cell)
        lines = [line[6:] for line in text.splitlines() if line.startswith("#     ")]
        start = next(k for k, line in enumerate(lines) if line.startswith("cell "))
        assert fingerprint(parse("\n".join(lines[start:]))) == fingerprint(cell)
        assert fingerprint(cell) in text


def test_text_is_stable_and_imports_torch_alone() -> None:
    for cell in (*mutants(30), *WIDE):
        text = torch_source(cell)
        assert text == torch_source(parse(str(cell)))
        tree = ast.parse(text)
        imported = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
        assert imported == {"torch"}
        called = {
            n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert not called & {"eval", "exec", "open", "compile", "__import__"}


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_text_is_formatted_and_clean(tmp_path: Path) -> None:
    cells = [*(zoo.load(n) for n in zoo.names()), *WIDE, *mutants(60), *hostile.named(), *hostile.large()]
    cells += [*hostile.described(), *(random_cell(np.random.default_rng([6, k])) for k in range(60))]
    for k, cell in enumerate(cells):
        (tmp_path / f"cell_{k}.py").write_text(torch_source(cell))
    ruff = [sys.executable, "-m", "ruff", "--isolated"]
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "check": False}
    result = subprocess.run([*ruff, "format", "--line-length=110", "--diff", "--no-cache", "."], **run)
    assert result.returncode == 0, result.stdout[-3000:]
    rules = "--select=E4,E7,E9,F,I,W,UP,B,C4,RUF100,RUF015"
    result = subprocess.run([*ruff, "check", rules, "--line-length=110", "--no-cache", "."], **run)
    assert result.returncode == 0, result.stdout[-3000:]


def test_code_lines_are_at_most_110_wide() -> None:
    for cell in (*mutants(60), *hostile.large(), *WIDE):
        for line in torch_source(cell).splitlines():
            assert len(line) <= 110 or line.lstrip().startswith("#"), line


# ---- the check itself


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("torch.tanh(c_new)", "torch.tanh(c)"),
        ("f * c + i * g", "f * c + g"),
        ("+ self.o.bias", ""),
        ("h @ self.i.h", "h @ self.f.h"),
        ("c * self.i.c", "c.detach() * self.i.c"),
        ("self.g = Weights(", "self.gg = Weights("),
        ("return torch.stack(outputs), h, c", "return torch.stack(outputs), c, h"),
        ("x = self.layers", "x = self.layer"),
        ("outputs.append(h_new)", "outputs.append(h_new * float('nan'))"),
        ("outputs.append(h_new)", "outputs.append(h_new + 1e-9)"),
        ("class PeepholeLstm(nn.Module)", "class PeepholeLstm(nn.Modul)"),
    ],
)
def test_the_check_finds_a_wrong_module(old: str, new: str) -> None:
    cell = zoo.load("peephole_lstm")
    text = torch_source(cell)
    wrong = (
        text.replace(old, new)
        if old in text
        else text.replace("enumerate(self.layers)", "enumerate(self.layer)")
    )
    assert wrong != text
    with pytest.raises(ExportError, match="peephole_lstm was not written"):
        check(cell, wrong)


def test_the_check_leaves_random_numbers_alone() -> None:
    cell = zoo.load("rnn")
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check(cell, torch_source(cell))
    assert torch.equal(before, torch.get_rng_state())


# ---- how a module is used


CALLED = ("lstm", "gru", "mut1", "clockwork", "depth_gated_lstm")


def flat(values: object) -> list[torch.Tensor]:
    """All tensors of a nested tuple or list."""
    return [values] if isinstance(values, torch.Tensor) else [t for v in values for t in flat(v)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [*CALLED, "looks", "far"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_called_like_recurrent(name: str, batch_first: bool, made: Made) -> None:
    cell = zoo.load(name) if name in zoo.names() else next(c for c in WIDE if c.name == name)
    ours = Recurrent(cell, 3, 5, 2, batch_first, dtype=torch.float64)
    theirs = made(cell)(3, 5, 2, batch_first, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for x in (torch.rand(4, 6, 3, dtype=torch.float64), torch.rand(7, 3, dtype=torch.float64)):
        wanted, given = ours(x), theirs(x)
        for _ in range(2):  # the second time with the states of the first
            torch.testing.assert_close(flat(given), flat(wanted), rtol=0, atol=1e-12)
            wanted, given = ours(x, wanted[1]), theirs(x, given[1])


def test_agrees_with_torch(made: Made) -> None:
    x, rows = torch.rand(5, 2, 3), torch.rand(2, 2, 4)
    lstm, ours = nn.LSTM(3, 4, 2), made(zoo.load("lstm"))(3, 4, 2)
    gates = ("i", "f", "g", "o")
    state = {}
    for k in range(2):
        for part, name in (("ih", "x"), ("hh", "h")):
            blocks = getattr(lstm, f"weight_{part}_l{k}").detach().chunk(4)
            state |= {f"layers.{k}.{g}.{name}": b.T for g, b in zip(gates, blocks, strict=True)}
        bias = getattr(lstm, f"bias_ih_l{k}") + getattr(lstm, f"bias_hh_l{k}")
        state |= {f"layers.{k}.{g}.bias": b for g, b in zip(gates, bias.detach().chunk(4), strict=True)}
    ours.load_state_dict(state)
    torch.testing.assert_close(ours(x, (rows, -rows)), lstm(x, (rows, -rows)), rtol=0, atol=1e-6)


def test_wrong_shapes_are_refused(made: Made) -> None:
    module = made(zoo.load("lstm"))(3, 4)
    with pytest.raises(ValueError, match=r"expected x \[T, B, 3\], not \[5, 2, 4\]"):
        module(torch.rand(5, 2, 4))
    with pytest.raises(ValueError, match=r"expected states \[1, 2, 4\], not \[1, 1, 4\]"):
        module(torch.rand(5, 2, 3), (torch.rand(1, 1, 4), torch.rand(1, 1, 4)))
    with pytest.raises(ValueError, match="at least 1"):
        made(zoo.load("lstm"))(3, 0)
    with pytest.raises(ValueError, match="no such state"):
        made(parse("cell alone(x; h)\nh' = [h, below(g)]\n"))(3, 4, 2)


def test_first_values(made: Made) -> None:
    torch.manual_seed(0)
    module = made(zoo.load("lstm_b"))(16, 100, device="cpu", dtype=torch.float64)
    layer = module.layers[0]
    assert layer.f.bias.tolist() == [1.0] * 100 and layer.i.bias.tolist() == [0.0] * 100
    assert 0.099 < layer.i.h.max() <= 0.1 and -0.1 <= layer.i.h.min() < -0.099
    cell = parse(
        "cell e(x; h)\nclock 1, 2\nh' = tanh[x, h@slower@eye(3)] + [h@blocks(2)] + [h@skew] + [h@rank(3)]\n"
    )
    layer = made(cell)(4, 6).layers[0]
    assert bool((layer.h_new_1.h.diagonal() > 2).all()) and bool((layer.h_new_1.h[:3, 3:] == 0).all())
    assert bool((layer.h_new_2.h[:3, 3:] == 0).all()) and bool((layer.h_new_3.h.tril() == 0).all())
    ours = Recurrent(cell, 4, 6)
    ours.load_state_dict(made(cell)(4, 6).state_dict())  # entries that are never read are zero in both


@pytest.mark.long
def test_compiles(made: Made) -> None:
    module = made(zoo.load("depth_gated_lstm"))(3, 4, 2)
    x = torch.rand(3, 2, 3)
    torch.testing.assert_close(torch.compile(module, backend="eager", fullgraph=True)(x), module(x))


# ---- what a reader sees


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm", "mut1", "clockwork", "depth_gated_lstm"])
def test_golden_files(name: str, golden: Callable[[str, str], None]) -> None:
    facts = {"search": "quick, rank 1", "score": 1.0123, "setting": "learning_rate=0.7, layers=2"}
    golden(f"{name}.py.txt", torch_source(zoo.load(name), facts if name == "mut1" else None))


def test_golden_file_of_the_language(golden: Callable[[str, str], None]) -> None:
    golden("looks.py.txt", torch_source(WIDE[0]))
