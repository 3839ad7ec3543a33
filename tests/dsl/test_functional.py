"""Twins: cells that are the same function share a name, and no others do."""

import subprocess
import sys
import time
from collections import defaultdict

import numpy as np
import pytest
import torch
from algebra import provably_equal
from cells import disguised, random_cell
from covering import CELLS, load
from mutants import mutants
from rewriting import rewritten
from torch import Tensor

from cellsearch.compiler.reference import step
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import LOOKBACK, equivalent, function_of, functional_fingerprint
from cellsearch.dsl.nodes import Affine
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import weights
from cellsearch.errors import CellError
from cellsearch.study.mutation.mutate import mutate
from cellsearch.study.mutation.spec import Limits, MutationSpec

EQUIVALENT = {
    "a difference": ("h' = [x] - tanh[h]\nc' = c", "h' = [x] + (-1) * tanh[h]\nc' = c"),
    "a negative": ("h' = [x] - tanh[h]\nc' = c", "h' = -tanh[h] + [x]\nc' = c"),
    "one": ("h' = [x] * 1\nc' = c", "h' = [x]\nc' = c"),
    "one before a matrix": ("h' = [x * 1]\nc' = c", "h' = [x]\nc' = c"),
    "zero": ("h' = tanh(0 + h)\nc' = c + 0 * x", "h' = tanh(h)\nc' = c"),
    "products regrouped": ("h' = h * (c * [x])\nc' = c", "h' = h * [x] * c\nc' = c"),
    "sums regrouped": ("h' = h + (c + [x])\nc' = c", "h' = h + c + [x]\nc' = c"),
    "a product spread": ("h' = tanh[x] * (h - c)\nc' = c", "a = tanh[x]\nh' = a * h - a * c\nc' = c"),
    "an update in its two forms": (
        "z = sigmoid[x, h]\nn = tanh[x, h]\nh' = z * h + (1 - z) * n\nc' = c",
        "z = sigmoid[x, h]\nn = tanh[x, h]\nh' = n + z * (h - n)\nc' = c",
    ),
    "a pure expression written twice": (
        "h' = tanh(h * c) * x\nc' = tanh(h * c)",
        "c' = tanh(h * c)\nh' = c' * x",
    ),
    "a matrix of a sum": ("a = h + c\nh' = [a]\nc' = c", "a = c - (0 - h)\nh' = [a]\nc' = c"),
    "brackets that are summed": ("h' = [x] + [h, bias=none]\nc' = c", "h' = [x, h]\nc' = c"),
    "relu of what is not negative": (
        "h' = relu(sigmoid[x])\nc' = relu(c * c)",
        "h' = sigmoid[x]\nc' = c * c",
    ),
    "an odd function": ("h' = tanh(-h)\nc' = c", "h' = -tanh(h)\nc' = c"),
    "max in the other order": ("h' = max(h, c)\nc' = c", "h' = max(c, h)\nc' = c"),
    "names of brackets": (
        "i = [x]\nf = [x]\nc' = f * c + i * h\nh' = h",
        "i = [x]\nf = [x]\nc' = i * c + f * h\nh' = h",
    ),
    "earlier values written twice": (
        "h' = before(h) * before(h)\nc' = c",
        "a = before(h)\nh' = a * a\nc' = c",
    ),
    "earlier and earlier": (
        "h' = before(before(h * x))\nc' = c",
        "h' = before(h, 2) * before(x, 2)\nc' = c",
    ),
    "softmax is indifferent to a sum": ("h' = softmax[x]\nc' = c", "h' = softmax([x] + 2)\nc' = c"),
    "weights without effect, whatever they read": (
        "h' = tanh(h)\nc' = c + 0 * [x]",
        "h' = tanh(h)\nc' = c * 1 - 0 * [h]",
    ),
}

STRANGERS = {
    "another source": ("h' = [x]\nc' = c", "h' = [h]\nc' = c"),
    "one bracket or two": ("h' = [x] * [x]\nc' = c", "a = [x]\nh' = a * a\nc' = c"),
    "a bracket in two places, and a weight without effect": (
        "i = [x]\nf = [x]\nc' = f * c + i * h\nh' = h",
        "i = [x]\nf = [x]\nc' = i * c + i * h + 0 * f\nh' = h",
    ),
    "two biases": ("h' = [x] + [h]\nc' = c", "h' = [x, h]\nc' = c"),
    "weights without effect count": ("h' = tanh(h)\nc' = c + 0 * [x]", "h' = tanh(h)\nc' = c"),
    "numbers too small to see": ("h' = x * 1e-12\nc' = c", "h' = x * 1e-13\nc' = c"),
    "numbers too near to see": ("h' = h * 0.1\nc' = c", "h' = h * 0.100000001\nc' = c"),
    "how far back": ("h' = before(h)\nc' = c", "h' = before(h, 2)\nc' = c"),
    "how far back, beyond what is run": ("h' = before(h, 200)\nc' = c", "h' = before(c, 200)\nc' = c"),
    "the kind of a matrix": ("h' = [h@rank(2)]\nc' = c", "h' = [h@rank(3)]\nc' = c"),
    "the diagonal at the start": ("h' = [h@eye(1)]\nc' = c", "h' = [h]\nc' = c"),
    "an initial bias": ("h' = [h, bias=1]\nc' = c", "h' = [h]\nc' = c"),
    "a drawn bias": ("h' = [h, bias=uniform(0, 1)]\nc' = c", "h' = [h, bias=uniform(0, 2)]\nc' = c"),
    "a vector or a number": ("h' = h * [bias=1]\nc' = c", "h' = h * [scalar=1]\nc' = c"),
    "what is no number at the first step": ("h' = x * h / h\nc' = c", "h' = x\nc' = c"),
    "what is no number at zero": ("h' = x * c / x\nc' = c", "h' = c\nc' = c"),
    "learned scalars of either sign": (
        "s = [scalar=-4]\nh' = h * s\nc' = c",
        "s = relu[scalar=-4]\nh' = h * s\nc' = c",
    ),
    "which state": ("h' = [x]\nc' = h", "h' = [x]\nc' = c"),
    "below what": ("h' = below(h)\nc' = c", "h' = below(c)\nc' = c"),
    "a sign that weights could take up": ("h' = tanh[x]\nc' = c", "h' = -tanh[x]\nc' = c"),
    "far out": ("h' = min(h, 1.5)\nc' = c", "h' = min(h, 1.75)\nc' = c"),
    "no number at all": ("h' = log(-exp[x])\nc' = c", "h' = sqrt(-exp[x])\nc' = c"),
    "hardly a number": (
        "h' = sqrt(1 - exp(8 * sigmoid[x]))\nc' = c",
        "h' = sqrt(1 - exp(9 * sigmoid[x]))\nc' = c",
    ),
    "one ring of six and two of three": tuple(
        "".join(f"{n} = [x]\n" for n in "abdefg")
        + "h' = ["
        + ", ".join(f"{p} * tanh({q})" for p, q in ring)
        + ", bias=none]\nc' = c"
        for ring in (("ab", "bd", "de", "ef", "fg", "ga"), ("ab", "bd", "da", "ef", "fg", "ge"))
    ),
}


def pair(texts: tuple[str, ...]) -> list[Cell]:
    return [parse(f"cell t(x; h, c)\n{text}\n") for text in texts]


def run(cell: Cell, seed: int, width: int = 7, steps: int = 4) -> Tensor:
    """What the plain loop gives with weights drawn in the order of `function_of(cell)`: another width, other numbers
    and another program than those behind the name."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    owned = defaultdict(list)
    for w in weights(cell):
        owned[w.node, w.term].append(w)
    scale = (0.3, 0.6, 1.0, 2.0)[seed % 4]
    parameters = {
        w.name: scale * draw(*w.shape(width, width)) for slot in function_of(cell).order for w in owned[slot]
    }
    states, earlier, out = [draw(3, width) for _ in cell.states], [], []
    for t in range(steps):
        below = {s.name: draw(3, width) for s in cell.states}
        values = step(cell, parameters, 2 * draw(3, width), states, t, below, earlier)
        earlier.append(values)
        states = [values[i] for i in cell.new]
        out += [values[cell.output].expand(3, width), *states]
    return torch.stack(out)


def kinds_of_weights(cell: Cell) -> list[object]:
    """What is compared of weights as it stands."""
    found: list[object] = []
    for w in weights(cell):
        node = cell.nodes[w.node]
        assert isinstance(node, Affine)
        c = node.connections[w.term] if w.term >= 0 else None
        found.append((w.kind, (c.eye, c.structure, c.part) if c else node.bias))
    return sorted(found, key=repr)


def difference(a: Cell, b: Cell) -> float:
    """The largest difference of two cells with corresponding weights, over several draws."""
    worst = 0.0
    for seed in range(4):
        first, second = run(a, seed), run(b, seed)
        both = first.isfinite() & second.isfinite()
        if not torch.equal(first.isfinite(), second.isfinite()):
            return float("inf")
        if bool(both.any()):
            worst = max(worst, float(((first - second).abs() / (1 + first.abs()))[both].max()))
    return worst


@pytest.mark.parametrize("case", EQUIVALENT)
def test_equivalent_cells(case: str) -> None:
    a, b = pair(EQUIVALENT[case])
    assert functional_fingerprint(a) == functional_fingerprint(b)
    assert difference(a, b) < 1e-12


@pytest.mark.parametrize("case", STRANGERS)
def test_strangers(case: str) -> None:
    a, b = pair(STRANGERS[case])
    assert functional_fingerprint(a) != functional_fingerprint(b)


@pytest.mark.parametrize("name", CELLS)
def test_no_way_of_writing_counts(name: str) -> None:
    cell, rng = load(name), np.random.default_rng(1)
    for _ in range(3):
        other = disguised(rewritten(cell, rng), rng)
        assert functional_fingerprint(other) == functional_fingerprint(cell), show(other)


def test_weights_that_no_number_tells_apart_have_no_order() -> None:
    """The effects of weights are seen at one input, where the root may be none."""
    text = "cell t(x; h)\nr = sqrt(x)\nh' = [(x * [{}, r@rank(2)])@skew]\n"
    one, other = (parse(text.format(terms)) for terms in ("h, before(h, 2)", "before(h, 2), h"))
    assert fingerprint(one) == fingerprint(other)
    assert functional_fingerprint(one) == functional_fingerprint(other)


@pytest.mark.long
def test_all_rewritings_of_mutants_are_found_and_all_that_is_found_is_equal() -> None:
    """The names of 300 pairs, each a cell and the same one written in another way."""
    rng = np.random.default_rng(2)
    found = other_graph = 0
    for k, cell in enumerate(mutants(300)):
        if k % 3 == 0:
            cell = random_cell(rng, nodes=15, tame=True)
        try:
            written = rewritten(cell, rng, times=6)
            other = disguised(written, rng)
        except CellError:
            continue  # past a limit of the language
        assert provably_equal(cell, written)
        assert (functional_fingerprint(cell) == functional_fingerprint(other)) or function_of(
            cell
        ).name == fingerprint(cell), show(other)
        found += functional_fingerprint(cell) == functional_fingerprint(other)
        other_graph += fingerprint(cell) != fingerprint(other)
    assert found > 270, "hardly a cell cannot be judged by its numbers"
    assert other_graph > 220


@pytest.mark.long
def test_equivalent_among_mutants_are_equal() -> None:
    """Every merge is judged by algebra, and where that does not see it by the plain loop."""
    groups = equivalent(mutants(1_500))
    pairs = [(group[0], other) for group in groups for other in group[1:]]
    assert len(pairs) > 4, "too few equivalent cells to say anything"
    assert all(fingerprint(a) != fingerprint(b) for a, b in pairs)
    proved = [provably_equal(a, b) for a, b in pairs]
    assert sum(proved) > 0.8 * len(pairs)
    for a, b in pairs:
        assert difference(a, b) < 1e-9, f"{show(a)}\n{show(b)}"


@pytest.mark.long
def test_one_edit_gives_another_name_unless_the_function_stays() -> None:
    rng = np.random.default_rng(3)
    spec = MutationSpec(size="edits", edits=(1, 1))
    same = strange = 0
    for cell in mutants(400):
        child, _ = mutate(cell, rng, spec, Limits())
        if functional_fingerprint(child) == functional_fingerprint(cell):
            same += 1
            assert provably_equal(cell, child) or difference(cell, child) < 1e-9
        else:
            strange += 1
            alike = kinds_of_weights(cell) == kinds_of_weights(child)
            assert not alike or not provably_equal(cell, child), f"{show(cell)}\n{show(child)}"
    assert strange > 350
    assert same > 0


@pytest.mark.long
def test_equal_graphs_have_equal_names() -> None:
    rng = np.random.default_rng(4)
    for cell in mutants(200):
        assert functional_fingerprint(disguised(cell, rng)) == functional_fingerprint(cell)


def test_equivalent_are_given_once_for_each_graph_in_order() -> None:
    a, b = pair(EQUIVALENT["one"])
    _, other = pair(STRANGERS["another source"])
    rng = np.random.default_rng(5)
    assert equivalent([other, a, b, disguised(b, rng), a]) == [(a, b)]
    assert equivalent([a, a]) == []


def test_what_cannot_be_judged_by_numbers_has_its_structural_name() -> None:
    far = parse(f"cell t(x; h)\nh' = before(x, {LOOKBACK + 1}) + h\n")
    wild = parse("cell t(x; h)\nh' = log(-exp(h)) + x\n")
    assert functional_fingerprint(far) == fingerprint(far)
    assert functional_fingerprint(wild) == fingerprint(wild)
    near = parse(f"cell t(x; h)\nh' = before(x, {LOOKBACK}) + h\n")
    assert functional_fingerprint(near) != fingerprint(near)


def test_another_process_gives_the_same_names() -> None:
    names = ["gru", "lstm", "clockwork"]
    code = (
        "from cellsearch.dsl import zoo; from cellsearch.dsl.identity.functional import functional_fingerprint\n"
        f"print(*(functional_fingerprint(zoo.load(n)) for n in {names}))"
    )
    env = {"PYTHONHASHSEED": "3", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [functional_fingerprint(zoo.load(n)) for n in names]


@pytest.mark.long
def test_large_cells_take_seconds_at_most() -> None:
    alike = "".join(f"a{k}=[x]\n" for k in range(450)) + f"h' = [{', '.join(f'a{k}' for k in range(450))}]"
    start = time.process_time()
    assert len(functional_fingerprint(parse(f"cell t(x; h)\n{alike}"))) == 64
    assert time.process_time() - start < 10, "a bound on work, not a benchmark"
