"""Processes and signals of the operating system.

processes       liveness and identity of processes
signals         termination signals, collected for a loop
stage_timeout   ends a stage at its time limit
parent          the pipe between a process and its parent
exit_codes      exit codes of a worker
timing          timeouts and intervals
failpoint       points at which a test can end the process
"""
