"""Results and progress of a study.

board          the ranked list
progress       snapshot of a running search
eta            remaining time, by statistics
events         the log in JSON lines
diagnostics    obstacles: failing stages, dead workers, full disks
filter_share   pass rates of the seeds in the filter
importance     importance of hyperparameters
"""
