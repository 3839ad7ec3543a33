"""The search: from a YAML file to a leaderboard that outlives every crash.

What is searched:

    space         the YAML as a frozen `Space` (spec: its parts; sections, reading, overrides, yaml_text,
                  yaml_emit: from text to them and back)

What is done next, as functions without memory:

    mutate        children of a cell (edits: the table of mutations; draft: a graph under change)
    strategies    refine or propose, and which settings (ranking: scores; views: what it may know)

What is known, in one database, the only source of truth:

    database      the way to it (patience: where it does not answer); schema: its tables; records, slots and
                  liveness write them, queries and cellrecords read them
    study         the mirror in Optuna, settings by its samplers, and a sampler for it
    board         the leaderboard; progress: how it goes; studies: which searches there are

Who works on it:

    run           a search on this machine: coordinator, its crew of workers, and exits: what
                  follows when one ends
    station       workers that join a search from elsewhere; launch: places stations on Slurm and on Ray
    serve         a process around a worker; worker: slot after slot, stage after stage; lab: what trains
    explain       why a search is where it is, for `status`
    api           the same from Python
"""
