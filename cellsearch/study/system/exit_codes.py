"""Exit codes of a worker process."""

from enum import IntEnum


class ExitCode(IntEnum):
    """0 and negative numbers (signals) mean what they usually do."""

    DONE = 0  # nothing is left to take
    CRASHED = 3  # a defect, or the parent process exited
    FATAL = 4  # a user-facing error: another worker would meet it too
    AWAY = 5  # the database did not answer for long; the trial is not to blame
    OVERDUE = 6  # a stage took too long and did not stop by itself
    DEVICE_GONE = 7  # the device does not answer
    UNLOGGED = 8  # a user-facing error that could not be written to the log
