"""Presentation of searches.

leaderboard   the ranked cells;  board_columns  its columns, a row each
progress      a running search: the live display, lines of a log
status        the progress of a search
overview      a list of searches
totals        totals of a study, worded the same everywhere
filter        how often the seeds pass the filter
importance    importance of hyperparameters
space         summary of a search space
dry_run       estimated cost of a search
replay        strategies on recorded results
dashboard     Optuna's dashboard, served read-only
"""
