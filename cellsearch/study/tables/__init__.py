"""Our tables beside Optuna's. Nothing here loads Optuna.

database       a storage URL -> an engine; errors of drivers as messages
driver_errors  remedies for errors of drivers
sqlite         SQLite's files: opened safely, watched, backed up
schema         the tables and their version
transactions   a study in an open database; reading and writing transactions
study_facts    the recorded facts of a study, as values
records        storage of these facts; checks when a study continues
work_items     work items and stages, as read
queries        stages, scores and counts
cellrecords    cells and equivalent cells
costs          sizes of cells
table_view     the strategy's view of a study
integrity      consistency checks of a received or damaged study
outbox         results waiting for a database
"""
