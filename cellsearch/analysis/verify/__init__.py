"""Train the first cells of a search and its baseline again, to verify a lead.

work  a unit of training: a cell on a task, the repeats of one round, with fresh seeds and data
run   rounds in processes, recorded as they end; cells with a verdict leave
"""
