"""The Optuna side of a study: every transaction writes Optuna's rows and ours together.

rdb           Optuna's storage on our engine; checks the owner before every write
driver        a process's hold on a study: Optuna's `Study` with its sampler and pruner
create        a new study
queue         which trial a worker takes next
trials        a trial at work: decided, settings claimed, stages recorded
endings       told, or taken away from a worker that is gone
heartbeat     workers on record, and whether they are alive
sampler       `MutationSampler`: the strategy of a space as a sampler of Optuna
trial_view    what a strategy sees of a study that a user optimises
pruner        `StagePruner`: the filter and the threshold as a pruner
attributes    what a trial shows in Optuna: parameters for plots, one record
read_view     a study for programs that only read, such as Optuna's dashboard
"""
