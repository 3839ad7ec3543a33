"""The first cells of a search and its baseline, trained again: is a lead real?

work  what is trained: a cell on a task, the repeats of one round, on fresh seeds and fresh data
run   round after round, in processes, recorded as they end; cells that are decided leave
"""
