"""Optuna's place in a search: the only package that knows it, and loads it.

trials        what a trial is: parameters for plots, and a record
mirror        each finished trial of a search in an Optuna study, for its dashboard and its users
settings      settings of a grid by a sampler of Optuna instead of by chance
sampler       mutation of cells as a sampler, for studies of one's own
"""
