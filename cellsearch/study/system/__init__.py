"""Processes and signals of the operating system.

processes       is a process alive, and is it the one that was recorded
signals         termination signals as a value that a loop reads
stage_timeout   ends a stage that takes longer than the space allows
parent          the pipe between a process and the one that started it
exit_codes      exit codes of a worker
timing          how long processes wait
failpoint       places where a test ends the process
"""
