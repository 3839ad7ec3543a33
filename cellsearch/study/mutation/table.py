"""The table of mutations: the six rows of the paper, and those for what else the language has.

A new mutation is a new row. The rows of the language have no weight unless a space names one, so that
`jozefowicz2015` proposes what the paper proposes.
"""

from cellsearch.study.mutation.language import LANGUAGE
from cellsearch.study.mutation.paper import PAPER

MUTATIONS = PAPER + LANGUAGE
