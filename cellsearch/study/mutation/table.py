"""The table of mutations: the six rows of the paper, and rows for the rest of the language. A new mutation is
a new row.

The rows of the language have weight 0 unless a space sets one, so that `jozefowicz2015` proposes the same
mutants as the paper.
"""

from cellsearch.study.mutation.language import LANGUAGE
from cellsearch.study.mutation.paper import PAPER

MUTATIONS = PAPER + LANGUAGE
