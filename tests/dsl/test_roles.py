"""Gates and their roles are found in the graph."""

import time

import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.roles import LETTERS, gates, suggest_names
from cellsearch.dsl.text import parse

LSTM = {"i": "input", "f": "forget", "o": "output"}
GRU = {"z": "update", "r": "reset"}

ZOO = {
    "layernorm_lstm_2016": {"i": "input", "f": "forget", "o": "output"},
    "layernorm_lstm_torch": {"i": "input", "f": "forget", "o": "output"},
    "dreamer_gru": {"r": "reset", "z": "update"},
    "rnn": {},
    "lstm": LSTM,
    "lstm_b": LSTM,
    "lstm_2015": {"j": "input", "f": "forget", "o": "output"},
    "peephole_lstm": LSTM,
    "peephole_input": LSTM,
    "peephole_forget": LSTM,
    "peephole_output": LSTM,
    "cifg": {"f": "coupled", "o": "output"},
    "gru": GRU,
    "gru_torch": GRU,
    "mut1": GRU,
    "mut2": GRU,
    "mut3": GRU,
    "depth_gated_lstm": {**LSTM, "d": "depth"},
    "clockwork": {},
}

WRITTEN = {
    "h + z * (n - h) is an update": (
        "cell a(x; h)\nz = sigmoid[x, h]\nn = tanh[x, h]\nh' = h + z * (n - h)\n",
        {"z": "update"},
    ),
    "the same inside is coupled": (
        "cell a(x; h, c)\nz = sigmoid[x, h]\nn = tanh[x, h]\nc' = c + z * (n - c)\nh' = tanh(c')\n",
        {"z": "coupled"},
    ),
    "one gate for two things has the role that tells more": (
        "cell mgu(x; h)\nf = sigmoid[x, h]\nn = tanh[x, f * h]\nh' = (1 - f) * h + f * n\n",
        {"f": "update"},
    ),
    "no forget gate: what is added to the old value is let in": (
        "cell a(x; h, c)\ni = sigmoid[x, h]\nc' = c + i * tanh[x, h]\nh' = tanh(c')\n",
        {"i": "input"},
    ),
    "three factors": (
        "cell a(x; h, c)\nf = sigmoid[x, h]\nk = sigmoid[x]\nc' = f * k * c + tanh[x, h]\nh' = tanh(c')\n",
        {"f": "forget", "k": "forget"},
    ),
    "two activations of one kind are both gates": (
        "cell a(x; h)\na = tanh[x, h]\nb = tanh[x, h]\nh' = a * b\n",
        {"a": "output", "b": "output"},
    ),
    "an activation that multiplies nothing is none": ("cell a(x; h)\nh' = sigmoid[x, h]\n", {}),
    "an activation of no affine is none": ("cell a(x; h)\nh' = sigmoid(h) * tanh[x, h]\n", {"": "output"}),
    "cumax lets a part through": (
        "cell a(x; h, c)\nf = cumax[x, h]\nc' = f * c + (1 - f) * tanh[x, h]\nh' = tanh(c')\n",
        {"f": "coupled"},
    ),
    "a gate of normalised affines": (
        "cell a(x; h, c)\nf = sigmoid([bias=1] * norm[x] + norm[h] * [bias=1] + [bias=0])\n"
        "c' = f * c + tanh[x, h]\nh' = tanh(c')\n",
        {"f": "forget"},
    ),
    "a bracket of the mean is none of the gate": (
        "cell a(x; h)\nv = [x, h]\nz = sigmoid([h] - mean(v))\nh' = z * h + (1 - z) * v\n",
        {"z": "update"},
    ),
    "a division by a value that differs by unit is no scaling": (
        "cell a(x; h)\nz = sigmoid([x] / (1 + abs(h)))\nh' = z * h\n",
        {},
    ),
    "norm itself lets nothing through": ("cell a(x; h)\nh' = norm[x, h] * [bias=1]\n", {}),
    "what a state was two steps ago is an old value of it": (
        "cell a(x; h, c)\nf = sigmoid[x, before(c)]\nc' = f * before(c) + tanh[x, h]\nh' = tanh(c')\n",
        {"f": "forget"},
    ),
    "and of another state a thing to let in": (
        "cell a(x; h, c)\nf = sigmoid[x, h]\nc' = f * before(h, 2) + c\nh' = tanh(c')\n",
        {"f": "input"},
    ),
    "a new value that is looked back at is none of this step": (
        "cell a(x; h, c)\nc' = tanh[x, c]\nr = sigmoid[x]\nh' = tanh[x, r * before(c')]\n",
        {"r": "reset"},
    ),
    "an output beside the states": (
        "cell a(x; h) -> y\no = sigmoid[x, h]\nh' = tanh[x, h]\ny = o * h'\n",
        {"o": "output"},
    ),
}


@pytest.mark.parametrize("name", ZOO)
def test_the_gates_of_the_zoo_have_the_roles_of_the_literature(name):
    assert {g.name: g.role for g in gates(zoo.load(name))} == ZOO[name]


@pytest.mark.parametrize("case", WRITTEN)
def test_roles_follow_from_structure(case):
    text, roles = WRITTEN[case]
    assert {g.name: g.role for g in gates(parse(text))} == roles


def test_a_gate_knows_what_it_reads_and_where_it_acts():
    found = {g.name: g for g in gates(zoo.load("peephole_lstm"))}
    assert (found["i"].reads, found["i"].peepholes, found["i"].state) == (("x", "h"), ("c",), "c")
    assert (found["o"].peepholes, found["o"].activation) == (("c'",), "sigmoid")
    (gate,) = gates(parse("cell a(x; h)\nh' = sigmoid[x, tanh(h)] * tanh(h)\n"))
    assert gate.reads == ("x", "·")


def test_names_go_by_role_to_the_nodes_asked_for_where_the_letter_is_free():
    cell = parse(
        "cell a(x; h)\nv1 = sigmoid[x, h]\nv2 = sigmoid[x, h]\nh' = v1 * h + (1 - v1) * tanh[x, v2 * h]\n"
    )
    at = {label: i for i, label in enumerate(cell.labels)}
    assert suggest_names(cell, [at["v1"], at["v2"]]) == {at["v1"]: "z", at["v2"]: "r"}
    assert suggest_names(cell, [at["v2"]]) == {at["v2"]: "r"}
    assert suggest_names(cell, []) == {}
    taken = parse("cell a(z; h)\nv1 = sigmoid[z, h]\nh' = v1 * h + (1 - v1) * tanh[z, h]\n")
    assert suggest_names(taken, [taken.labels.index("v1")]) == {}, "x is called z here"


def test_every_role_has_a_letter_or_none():
    assert {g.role for name in zoo.names() for g in gates(zoo.load(name))} <= LETTERS.keys()


@pytest.mark.parametrize("step", ["{0} + {0}", "{0} * {0}", "norm({0}) + norm({0})", "2 * {0} - {0}"])
def test_shared_values_cost_once(step):
    """Doubled at every step, they would be more than any walk could see."""
    ladder = "".join(f"a{k + 1} = {step.format(f'a{k}')}\n" for k in range(45))
    cell = parse(f"cell t(x; h)\na0 = [x, h]\n{ladder}g = sigmoid(a45)\nh' = g * h + a45\n")
    assert [(g.role, len(g.reads)) for g in gates(cell)] == ([] if step == "{0} * {0}" else [("forget", 2)])


def test_many_gates_take_little():
    names = [f"g{k}" for k in range(90)]
    lines = "".join(f"{name} = sigmoid[x, h]\n" for name in names)
    cell = parse(
        f"cell t(x; h, c)\n{lines}c' = {' + '.join(f'{g} * c' for g in names)}\nh' = [c'] * 2 * g0\n"
    )
    start = time.process_time()
    assert len(gates(cell)) == 90
    assert time.process_time() - start < 1, "a bound on work: usual is a twentieth of it"
