"""Mutation: from a cell and a random generator to a child and its edits.

draft      an expanded cell under change
edits      what an edit and a row of the table are
brackets   the brackets of a draft
paper      the six rows of Jozefowicz, Zaremba and Sutskever (2015)
templates  biases and structures by their texts
language   rows for peepholes, coupled gates, biases, structures
steps      rows for states, before, below, clocks
table      all rows
mutate     number and places of edits, acceptance of children
"""
