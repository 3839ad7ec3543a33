"""What a study has found and how far it is.

board          the ranked list
progress       one look at a running search
eta            remaining time, by statistics
events         the log in JSON lines
diagnostics    why a search is where it is
filter_share   how often the seeds pass the filter
importance     importance of hyperparameters
"""
