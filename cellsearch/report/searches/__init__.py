"""Searches as people see them.

leaderboard   the ranked cells;  board_columns  its columns, a row each
progress      a running search: the live display, lines of a log
status        the progress of a search
overview      all searches there are
totals        totals of a study, the same everywhere
filter        how often the seeds pass the filter
importance    which hyperparameters matter
space         a search space in short
dry_run       what a search would cost
replay        strategies on recorded evaluations
dashboard     Optuna's dashboard, served without the right to write
"""
