"""Cells compared as Greff et al. (2017) did: the same random settings for each, the best of each tested.

draws     ranges of hyperparameters, and settings drawn from them
work      what is trained: the settings of one shape of a cell on a task, as one population
outcomes  what has been trained, on disk; it is not trained again
judge     best tenths, Welch's test, Holm's correction, statements
run       cells and tasks -> a comparison
facts     a comparison as plain values
"""
