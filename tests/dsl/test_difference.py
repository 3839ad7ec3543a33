"""What two cells differ in: lines and parts."""

import numpy as np
import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.difference import difference
from cellsearch.dsl.text import show
from cellsearch.study.mutation.mutate import breed
from cellsearch.study.mutation.spec import Limits, MutationSpec


def test_a_peephole_and_a_gate() -> None:
    found = difference(zoo.load("lstm_b"), zoo.load("peephole_lstm"))
    assert found.words == ("peepholes added: i.c, f.c, o.c_new",)
    assert ("-", "i = sigmoid[x, h]") in found.lines and ("+", "i = sigmoid[x, h, .c]") in found.lines
    assert (" ", "g = tanh[x, h]") in found.lines
    found = difference(zoo.load("lstm"), zoo.load("gru"))
    assert "gates added: z (update of h), r (reset)" in found.words and "states removed: c" in found.words
    assert "functions removed: sigmoid, tanh" in found.words


@pytest.mark.parametrize("name", ["lstm", "clockwork", "slstm", "depth_gated_lstm"])
def test_a_cell_differs_from_itself_in_nothing(name: str) -> None:
    cell = zoo.load(name)
    found = difference(cell, cell)
    assert found.parts == () and {sign for sign, _ in found.lines} == {" "}


def test_both_texts_are_in_the_lines_and_the_way_back_is_the_same() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        parent = zoo.load("lstm")
        child = breed(parent, rng, MutationSpec(), Limits()).cell
        found, back = difference(parent, child), difference(child, parent)
        for cell, sign in ((parent, "-"), (child, "+")):
            text = [line for line in show(cell).splitlines() if not line.startswith("#")][1:]
            assert [line for s, line in found.lines if s in (" ", sign)][1:] == text
        assert [(p.kind, p.added, p.removed) for p in found.parts] == [
            (p.kind, p.removed, p.added) for p in back.parts
        ]
