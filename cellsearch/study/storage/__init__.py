"""The Optuna side of a study: every transaction writes Optuna's rows and ours together.

rdb           Optuna's storage on our engine; checks the owner before every write
driver        a process's handle of a study: Optuna's `Study` with its sampler and pruner
create        a new study
queue         the next trial of a worker
trials        work on a trial: decision, claims of settings, recorded stages
endings       trials completed, or released from dead workers
heartbeat     registered workers and their liveness
sampler       `MutationSampler`: the strategy of a space as a sampler of Optuna
trial_view    the strategy's view of a user's own study
pruner        `StagePruner`: the filter and the threshold as a pruner
attributes    attributes of a trial in Optuna: parameters for plots, one record
read_view     a read-only study, for programs such as Optuna's dashboard
"""
