"""The search: from a YAML file to a leaderboard that outlives every crash.

What is searched:

    space         the YAML as a frozen `Space` (spec: its parts; sections, reading, overrides, yaml_text,
                  yaml_emit: from text to them and back)

What is done next, as functions without memory:

    mutation      children of a cell (table: the rows; draft: a graph under change)
    strategies    refine or propose, and which settings (ranking: scores; views: what it may know)

What is on record, in an Optuna study with tables beside it:

    storage       Optuna's storage and our tables in one transaction; trials: taken, recorded, told; the
                  sampler and the pruner
    records       the facts of a study; queries and cellrecords: what is read of it
    database      the way to it (patience: a database that is away)
    board         the leaderboard; progress: how it goes; studies: which searches there are

Who works on it:

    run           a search on this machine: coordinator, its crew of workers, and exits: what
                  follows when one ends
    station       workers that join a search from elsewhere; launch: places stations on Slurm and on Ray
    serve         a process around a worker; worker: trial after trial; runner: stage after stage; lab: what
                  trains
    explain       why a search is where it is, for `status`; passes: how often the seeds pass the filter
    api           the same from Python
"""
