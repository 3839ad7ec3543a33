"""Timeouts and intervals of the processes of a search, as one value: tests pass shorter ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds, except `silent`."""

    beat: float = 2.0  # interval of heartbeats
    silent: int = 30  # own heartbeats after which a silent process of another machine counts as dead
    orphans: float = 5.0  # wait for the workers of a dead search to exit
    busy: float = 60.0  # wait for a lock of another program on the database
    patience: float = 300.0  # retry period for a database outage; results are kept until then
    overdue: float = 30.0  # between the time limit of a stage and the end of its process
    grace: float = 3.0  # between SIGTERM and SIGKILL
    mute: float = 300.0  # time for a new worker to register; loading torch takes a while
    poll: float = 0.25  # polling interval of a supervisor
    pause: float = 2.0  # before the first retry of a database
    show: float = 0.5  # between two updates of the live display
    backup: float = 600.0  # between two backups of a database that is a file
    roll_call: float = 30.0  # interval at which an agent checks the registration of its workers


TIMING = Timing()
