"""The search: from a YAML file to a leaderboard that survives every crash. It is an Optuna study of cells.

Each folder imports only from those above it in this list:

    states       kinds and outcomes of work items
    system       processes and signals of the operating system
    mutation     children of a cell
    scoring      scores of cells, and Pareto fronts
    strategies   decisions of a trial: refine or propose, parent, settings
    space        a search space: YAML text -> a frozen `Space`
    tables       our tables beside Optuna's: the database, records of cells, stages and work items
    storage      the Optuna side: storage, sampler, pruner, and a trial from `ask` to `tell`
    migrations   studies of earlier versions
    leaderboard  the ranked list, progress, remaining time, events, diagnostics
    workers      processes that train, and the supervisor that keeps them running
    launch       workers on Slurm and Ray

    studies      searches by name
    manage       whole searches: list, rename, delete, archive, restore, continue
    api          `cellsearch.search` and `cellsearch.leaderboard`
"""
