"""Mutation: a cell and randomness -> a child and the edits that made it.

draft      an expanded cell under change
edits      what an edit and a row of the table are
brackets   the brackets of a draft
paper      the six rows of Jozefowicz, Zaremba and Sutskever (2015)
templates  biases and structures by their texts
language   rows for peepholes, coupled gates, biases, structures
steps      rows for states, before, below, clocks
table      all rows
mutate     how many edits, where, and which children are accepted
"""
