"""A search is an Optuna study with tables of ours beside it. Optuna is loaded here,
and by `runner`, `importance` and `strategies.tpe`.

tables        our tables, transactions, the schema's version
rdb           Optuna's storage on the same engine: one transaction for both, a check of the owner before every
              write, exact totals
driver        a process's hold on a study: Optuna's `Study` with its sampler and pruner
queue         which trial a worker takes next
trials        a trial at work: decided, settings claimed, stages recorded
endings       told, or taken away from a worker that is gone
create        a new study; migrations, version1: from the tables of earlier versions
view          a study for programs that only read, such as Optuna's dashboard
sampler       `MutationSampler`, the strategy of a space as a sampler of Optuna
trial_view    what a strategy sees of a study that somebody optimises by themselves
pruner        `StagePruner`, the filter and the threshold as a pruner
attributes    what a trial shows in Optuna: parameters for plots, one record
"""
