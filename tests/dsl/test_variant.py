"""`variant`: several named edits of a cell at once, in their order."""

import cellsearch as cs
from cellsearch.dsl.rewriting.variants import couple, with_peepholes, without


def test_it_does_what_single_edits_do() -> None:
    lstm = cs.load("lstm")
    assert cs.variant(lstm) is lstm
    assert cs.variant(lstm, without="i") == cs.variant(lstm, without=["i"]) == without(lstm, "i")
    assert cs.variant(lstm, couple=[("f", "i")], peepholes="all") == with_peepholes(
        couple(lstm, "f", "i"), None
    )
    assert cs.variant(lstm, peepholes=["i", "o"]) == with_peepholes(lstm, ["i", "o"])
    assert cs.variant(lstm, peepholes="f") == with_peepholes(lstm, ["f"])
    seen = cs.load("peephole_lstm")
    assert cs.variant(seen, peepholes="none") == cs.variant(seen, peepholes=()) == with_peepholes(seen, ())
