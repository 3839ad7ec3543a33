"""Named edits of cells: they give the named cells of the literature, and say so where a part is missing."""

from dataclasses import replace
from itertools import chain, combinations
from zlib import crc32

import pytest
import torch
from covering import COVERING, ZOO

from cellsearch.compiler.reference import reference
from cellsearch.dsl import zoo
from cellsearch.dsl.describe import describe
from cellsearch.dsl.graph import Cell, build, uses_raw_x
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.nodes import Affine, Constant
from cellsearch.dsl.rewriting.reach import depends_on_input
from cellsearch.dsl.rewriting.variants import (
    GREFF,
    couple,
    find_gate,
    greff,
    with_gate_recurrence,
    with_peepholes,
    without,
    without_activation,
    without_gate,
)
from cellsearch.dsl.roles import Gate, gates
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import weights
from cellsearch.errors import CellError


def unbiased(cell: Cell) -> Cell:
    """All initial biases at 0."""
    nodes = [replace(n, bias=0.0) if isinstance(n, Affine) and n.bias is not None else n for n in cell.nodes]
    return build(cell.name, cell.states, nodes, cell.labels, cell.new, cell.output, cell.clock)


def same(a: Cell, b: Cell) -> bool:
    return fingerprint(unbiased(a)) == fingerprint(unbiased(b))


def equations(cell: Cell) -> list[str]:
    return show(replace(cell, description="")).splitlines()[1:]


@pytest.mark.parametrize("name", GREFF)
def test_the_eight_variants_of_the_vanilla_are_those_of_the_zoo(name: str) -> None:
    variant = greff(zoo.load("greff_v"))[name]
    assert isinstance(variant, Cell)
    assert fingerprint(variant) == fingerprint(zoo.load(f"greff_{name.lower()}"))


@pytest.mark.parametrize("name", GREFF)
def test_and_of_other_vanillas_up_to_initial_biases(name: str) -> None:
    from_gers = greff(zoo.load("peephole_lstm"))[name]
    from_lstm = greff(with_peepholes(zoo.load("lstm"), ("i", "f", "o")))[name]
    assert isinstance(from_gers, Cell)
    assert isinstance(from_lstm, Cell)
    for variant in (from_gers, from_lstm):
        assert same(variant, zoo.load(f"greff_{name.lower()}"))


def test_variants_that_a_cell_cannot_have_say_why() -> None:
    found = greff(zoo.load("gru"))
    reasons = {name: str(v) for name, v in found.items() if isinstance(v, CellError)}
    assert set(reasons) == {"NIG", "NFG", "NOG", "NOAF", "NP", "CIFG"}
    assert reasons["NIG"] == "cell gru has no gate input; it has z (update), r (reset)"
    assert reasons["NOAF"] == "cell gru has no output activation"
    assert "peepholes" in reasons["NP"]


@pytest.mark.parametrize("gate", ["i", "f", "o"])
def test_the_lstm_of_2015_by_roles(gate: str) -> None:
    """Its tanh is called i; the input gate is j."""
    one = without_gate(zoo.load("lstm_2015"), gate)
    assert fingerprint(one) == fingerprint(zoo.load(f"lstm_2015_{gate}"))


def test_names_and_roles_call_one_gate() -> None:
    cell = zoo.load("lstm_2015")
    assert find_gate(cell, "j") == find_gate(cell, "i") == find_gate(cell, "input")
    with pytest.raises(CellError, match="more than one gate reset: i, f; name one of them"):
        without_gate(zoo.load("nested_lstm"), "reset")


PEEPHOLES = {"input": "i", "forget": "f", "output": "o"}


@pytest.mark.parametrize(
    "subset", list(chain.from_iterable(combinations(PEEPHOLES, n) for n in range(1, 4))), ids="_".join
)
def test_peepholes_on_every_subset(subset: tuple[str, ...]) -> None:
    name = "peephole_lstm" if len(subset) == 3 else f"peephole_{'_'.join(subset)}"
    one = with_peepholes(zoo.load("lstm_b"), [PEEPHOLES[s] for s in subset])
    assert fingerprint(one) == fingerprint(zoo.load(name))
    if len(subset) == 3:
        assert fingerprint(with_peepholes(zoo.load("lstm_b"), None)) == fingerprint(one)
    else:
        fewer = with_peepholes(zoo.load("peephole_lstm"), [PEEPHOLES[s] for s in subset])
        assert fingerprint(fewer) == fingerprint(zoo.load(name))
    with pytest.raises(CellError, match="has already has these peepholes"):
        with_peepholes(one, [PEEPHOLES[s] for s in subset])


def test_peepholes_of_the_depth_gate_to_the_layer_below_stay() -> None:
    bare = without(zoo.load("depth_gated_lstm"), "peepholes")
    assert describe(bare).peepholes == ("d.c", "d.below_c")


@pytest.mark.parametrize(
    "cell, which, message",
    [
        ("lstm", (), "cell lstm has no peepholes"),
        ("gru", ("z",), "has no gates that could have peepholes; it has z .update., r .reset."),
        ("rnn", ("i",), "has no gates that could have peepholes; it has no gates"),
        ("lstm", ("z",), "cell lstm has no gate z; it has i .input., f .forget., o .output."),
        ("fast_slow_lstm", ("i1",), "reset gate i1 is not a gate of a memory state"),
        ("fast_slow_lstm", ("f2",), "more than one memory state"),
        ("cfn", ("theta",), "no memory state beside its output"),
    ],
)
def test_peepholes_that_cannot_be(cell: str, which: tuple[str, ...], message: str) -> None:
    with pytest.raises(CellError, match=message):
        with_peepholes(zoo.load(cell), which)


def test_an_output_gate_that_is_needed_before_cannot_look_at_the_new_state() -> None:
    text = "cell a(x; h, c)\ni = sigmoid[x, h]\no = sigmoid[x, h]\ng = tanh[x, o * h]\nc' = c + i * g\nh' = o * tanh(c')"
    with pytest.raises(CellError, match="is needed to compute the value that the peephole would read"):
        with_peepholes(parse(text), ("output",))


def test_coupling_both_ways() -> None:
    lstm = zoo.load("lstm")
    assert fingerprint(couple(lstm, "i", "f")) == fingerprint(zoo.load("cifg"))
    assert fingerprint(couple(lstm, "f", "i")) != fingerprint(zoo.load("cifg"))
    assert equations(couple(lstm, "i", "f"))[:2] == ["f = sigmoid[x, h]", "i = 1 - f"]
    with pytest.raises(CellError, match="input gate i cannot be coupled with itself"):
        couple(lstm, "i", "input")
    with pytest.raises(CellError, match="no gate f"):
        couple(zoo.load("gru"), "f", "z")
    later = parse(
        "cell a(x; h, c)\ni = sigmoid[x, h]\nf = sigmoid[x, i]\nc' = f * c + i * tanh[x]\nh' = tanh(c')"
    )
    with pytest.raises(CellError, match="forget gate f is computed from input gate i"):
        couple(later, "i", "f")


@pytest.mark.parametrize(
    "text",
    [
        "h' = z * h + (1 - z) * n",
        "h' = (1 - z) * h + z * n",
        "h' = h + z * (n - h)",
        "h' = n + z * (h - n)",
        "h' = z * (n - h) + h",
    ],
)
def test_an_update_gate_goes_for_the_new_value(text: str) -> None:
    cell = parse(f"cell a(x; h)\nz = sigmoid[x, h]\nn = tanh[x, h]\n{text}")
    assert equations(without(cell, "z")) == ["n = tanh[x, h]", "h' = n"]


def test_the_gru_without_gates_is_the_plain_network() -> None:
    bare = without(without(zoo.load("gru"), "z"), "r")
    assert fingerprint(bare) == fingerprint(zoo.load("rnn"))
    assert bare.name == "gru_without_z_without_r"
    assert bare.description.startswith(
        "gru_without_z without its reset gate r.\n\ngru_without_z: gru without"
    )


def test_activations() -> None:
    lstm = zoo.load("lstm")
    both = without(without(lstm, "input_activation"), "output_activation")
    assert equations(both)[-3:] == ["o = sigmoid[x, h]", "c' = f * c + i * g", "h' = o * c'"]
    assert "g = [x, h]" in equations(both)
    for which in ("input", "output"):
        with pytest.raises(CellError, match=f"has no {which} activation"):
            without_activation(both, which)
    with pytest.raises(CellError, match="input and output, not 'forget'"):
        without_activation(lstm, "forget")
    assert equations(without(zoo.load("rnn"), "input_activation")) == ["h' = [x, h]"]
    with pytest.raises(CellError, match="cell rhn has more than one input activation: h1, h2, h3"):
        without_activation(zoo.load("rhn"), "input")


def test_a_state_that_the_output_no_longer_depends_on_goes() -> None:
    cell = without(zoo.load("cifg"), "f")
    assert [s.name for s in cell.states] == ["h"]
    assert equations(cell) == ["g = tanh[x, h]", "o = sigmoid[x, h]", "h' = o * tanh(g)"]
    idle = parse("cell a(x; h, c)\nz = sigmoid[x, h]\nc' = [x, c]\nh' = z * h + (1 - z) * tanh[x, h]")
    for edited in (without(idle, "z"), with_gate_recurrence(idle)):
        assert "c" not in [s.name for s in edited.states]
    lstm = parse(show(zoo.load("lstm")).replace("(x; h, c)", "(x; h, c, d)") + "d' = tanh[x, d]\n")
    for edited in (
        couple(lstm, "i", "f"),
        with_peepholes(lstm, None),
        without(lstm, "output_activation"),
        without(lstm, "i"),
    ):
        assert [s.name for s in edited.states] == ["h", "c"]


def test_gate_recurrence_of_the_gru() -> None:
    one = with_gate_recurrence(zoo.load("gru"))
    assert [s.name for s in one.states] == ["h", "z", "r"]
    assert equations(one)[:2] == ["z' = sigmoid[x, h, z, r]", "r' = sigmoid[x, h, z, r]"]
    with pytest.raises(CellError, match="has no gates"):
        with_gate_recurrence(zoo.load("clockwork"))


def test_a_gate_on_which_the_input_hangs_stays() -> None:
    with pytest.raises(CellError, match="the input would have no effect"):
        without(parse("cell a(x; h)\nf = sigmoid[x, h]\nh' = f * h"), "f")


EVERY_GATE = [
    pytest.param(name, gate, marks=[pytest.mark.long] * (name not in COVERING))
    for name in zoo.names()
    for gate in gates(zoo.load(name))
]


@pytest.mark.parametrize("name, gate", EVERY_GATE, ids=lambda v: v if isinstance(v, str) else v.name)
def test_a_gate_that_goes_is_a_gate_that_is_a_number(name: str, gate: Gate) -> None:
    """Of any cell of the zoo: the same values as with 1 (or, where it mixes, 0 or 1) in the gate's place."""
    cell = zoo.load(name)
    try:
        edited = without_gate(cell, gate.name or gate.role)
    except CellError as error:
        assert cell.name in str(error)
        return
    assert parse(show(edited)) == edited
    assert depends_on_input(edited)
    values = (0.0, 1.0) if gate.role in ("update", "coupled") else (1.0,)
    differences = []
    for value in values:
        nodes = [Constant(value) if i == gate.node else n for i, n in enumerate(cell.nodes)]
        pinned = build(name, cell.states, nodes, cell.labels, cell.new, cell.output, cell.clock)
        differences.append(difference(edited, pinned))
    assert min(differences) < 1e-12


def difference(edited: Cell, pinned: Cell) -> float:
    """The largest difference of outputs on random inputs, with equal weights at equal places in equal brackets:
    what a bracket connects may have another name now."""
    width = hidden = 4
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, width, generator=generator, dtype=torch.float64)
    outputs = []
    for cell in (edited, pinned):
        states = [torch.full((2, hidden), 0.3, dtype=torch.float64) for _ in cell.states]
        drawn = {
            w.name: 0.5 * noise(f"{w.name.split('.')[0]} {w.kind} {w.term}", w.shape(width, hidden))
            for w in weights(cell)
        }
        outputs.append(reference([cell], [drawn], x, [states])[0])
    return float((outputs[0] - outputs[1]).abs().max())


def noise(place: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers by the place of a weight."""
    seed = crc32(place.encode())
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", ZOO)
def test_every_edit_of_every_cell_gives_a_cell_or_a_reason(name: str) -> None:
    cell = zoo.load(name)
    for variant in greff(cell).values():
        if isinstance(variant, CellError):
            assert str(variant).startswith(f"cell {name}"), variant
        else:
            assert parse(show(variant)) == variant
            assert fingerprint(variant) != fingerprint(cell)
            assert uses_raw_x(variant) <= uses_raw_x(cell)
