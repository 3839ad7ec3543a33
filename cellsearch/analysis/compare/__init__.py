"""Compare cells as Greff et al. (2017) did: the same random settings for each, a test of the best of each.

draws     ranges of hyperparameters, and settings drawn from them
work      a unit of training: settings of one shape of a cell on a task, as one population
outcomes  results on disk, which are not trained again
judge     best tenths, Welch's test, Holm's correction, statements
run       cells and tasks -> a comparison
facts     a comparison as plain values
"""
