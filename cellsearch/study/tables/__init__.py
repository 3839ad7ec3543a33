"""Our tables beside Optuna's. Nothing here loads Optuna.

database       a storage URL -> an engine; errors of drivers as messages
driver_errors  what a driver says -> what to do about it
sqlite         SQLite's files: opened safely, watched, backed up
schema         the tables and their version
transactions   a study in an open database; what reads and writes it
study_facts    what is recorded of a study as a whole, as values
records        these facts: created once, checked when a study continues
work_items     work items and stages, as they are read
queries        stages, scores and counts
cellrecords    cells and equivalent cells
costs          sizes of cells
table_view     what a strategy sees of a study
integrity      contradictions in a study that was received or damaged
outbox         results that wait for a database that is away
"""
