"""Worker processes, and the supervisors that keep them running.

run               a search on this machine, from its start to its exit code
supervisor        the loop of `search`: restarts workers, shows progress, ends cleanly
pool              the worker processes of one supervisor
exit_codes        meaning of a worker's exit
agent             workers that join a search from another machine
main              the process around a worker
worker            trial after trial
runner            a trial, stage after stage
setting_sampler   the settings of a stage
evaluator         training: cells, data, measured time
outcome_checks    checks that all outcomes are finite
retry             retries while a database is unavailable
"""
