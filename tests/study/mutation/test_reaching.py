"""The rows reach the systems of the literature: a chain of edits from `lstm` or `gru` to each is found and
printed (-s)."""

import pytest

from cellsearch.dsl import zoo
from cellsearch.study.mutation.language import LANGUAGE
from cellsearch.study.mutation.spec import MutationSpec
from tests.study.mutation.reaching import chain

SPEC = MutationSpec(biases=("none", "0", "1"), structures=("slower",))
COUPLED = ("combine_ancestors",)  # what z and 1 - z multiply changes places, or a gate is shared

#: Start, target, the rows that are tried, how many graphs go on after each step.
CHAINS = [
    ("lstm", "peephole_lstm", ("add_peephole", "set_bias"), 3),
    ("lstm", "cifg", tuple(m.name for m in LANGUAGE), 3),
    ("lstm", "depth_gated_lstm", ("add_below", "add_peephole"), 3),
    ("gru", "clockwork", ("use_ancestor", "add_clock", "set_structure"), 6),
    ("gru", "mgu", COUPLED, 2),
    ("gru", "mut1", ("use_ancestor", "swap_activation", "set_bias", *COUPLED), 1),
    ("gru", "mut2", ("remove_node", "set_bias", *COUPLED), 1),
    ("gru", "mut3", ("insert_activation", *COUPLED), 1),
]


@pytest.mark.parametrize(
    ("start", "target", "rows", "beam"),
    [pytest.param(*c, id=c[1], marks=[pytest.mark.soak] * (COUPLED[0] in c[2])) for c in CHAINS],
)
def test_a_chain_of_edits_leads_to(start: str, target: str, rows: tuple[str, ...], beam: int) -> None:
    edits = chain(zoo.load(start), zoo.load(target), SPEC, rows, beam=beam)
    print(f"{start} -> {target}", *edits, sep="\n    ")
    assert edits
