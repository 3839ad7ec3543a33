"""Processes that train, and what keeps them running.

run               a search on this machine, from its start to its exit code
supervisor        the loop of `search`: restarts workers, shows progress, ends cleanly
pool              the worker processes of one supervisor
exit_codes        what the end of a worker means
agent             workers that join a search from another machine
main              the process around a worker
worker            trial after trial
runner            a trial, stage after stage
setting_sampler   the settings of a stage
evaluator         what trains: cells, data, measured time
outcome_checks    outcomes with every number finite
retry             waits for a database that does not answer
"""
