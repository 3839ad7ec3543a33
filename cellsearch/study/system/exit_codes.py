"""Exit codes of a worker process."""

from enum import IntEnum


class ExitCode(IntEnum):
    """0 and negative numbers (signals) have their usual meaning."""

    DONE = 0  # no trial is left
    CRASHED = 3  # a defect, or the parent process exited
    FATAL = 4  # a user-facing error that another worker would repeat
    AWAY = 5  # the database did not respond for a long time; not caused by the trial
    OVERDUE = 6  # a stage exceeded its time limit and did not stop
    DEVICE_GONE = 7  # the device does not respond
    UNLOGGED = 8  # a user-facing error that could not be written to the log
