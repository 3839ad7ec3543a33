"""Worker processes, and the supervisors that keep them running.

run                a search on this machine, from its start to its exit code
supervisor         the loop of a supervisor: restarts workers, ends cleanly
search_supervisor  that of `search`: shows progress, backs up, counts
agent              that of `worker`: workers that join a search from another machine
pool               the worker processes of one supervisor
worker_exits       meaning of a worker's exit
main               the process around a worker
worker             trial after trial
cohorts            several trials at once in one worker
trial              the work on one trial, stage after stage
evaluator          training: cells, data, measured time
retry              retries while a database is unavailable
"""
