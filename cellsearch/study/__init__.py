"""The search: from a YAML file to a leaderboard that outlives every crash. It is an Optuna study of cells.

Each folder imports only from those above it in this list:

    states       kinds of work items and how they end
    system       processes and signals of the operating system
    mutation     children of a cell
    scoring      scores of cells, and Pareto fronts
    strategies   what a trial evaluates: refine or propose, which parent, which settings
    space        a search space: YAML text -> a frozen `Space`
    tables       our tables beside Optuna's: the database, records of cells, stages and work items
    storage      the Optuna side: storage, sampler, pruner, and a trial from `ask` to `tell`
    migrations   studies of earlier versions
    leaderboard  the ranked list, progress, remaining time, events, diagnostics
    workers      processes that train, and the supervisor that keeps them running
    launch       workers on Slurm and Ray

    studies      the searches there are, by name
    manage       searches as a whole: list, rename, delete, archive, restore, go on
    api          `cellsearch.search` and `cellsearch.leaderboard`
"""
