"""A search is an Optuna study with tables of ours beside it. The one package that loads Optuna, besides
`strategies.tpe`.

tables        our tables, transactions, the schema's version
rdb           Optuna's storage on the same engine: one transaction for both, a check of the owner before every
              write, exact totals
driver        a process's hold on a study: Optuna's `Study` with its sampler and pruner
trials        work items: taken, decided, claimed, recorded, told, released
sampler       `MutationSampler`, the strategy of a space as a sampler of Optuna
trial_view    what a strategy sees of a study that somebody optimises by themselves
pruner        `StagePruner`, the filter and the threshold as a pruner
attributes    what a trial shows in Optuna: parameters for plots, one record
"""
