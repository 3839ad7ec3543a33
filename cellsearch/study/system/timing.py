"""How long the processes of a search wait, as one value: tests pass shorter ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds, except `silent`."""

    beat: float = 2.0  # between two heartbeats
    silent: int = 30  # heartbeats without one, after which a process of another machine counts as dead
    orphans: float = 5.0  # for the workers of a dead search to exit
    busy: float = 60.0  # for a lock of another program on the database
    patience: float = 300.0  # that a database may be away; a result is kept and offered again until then
    overdue: float = 30.0  # between the timeout of a stage and the end of its process
    grace: float = 3.0  # between SIGTERM and SIGKILL
    mute: float = 300.0  # until a new worker is registered; loading torch takes a while
    poll: float = 0.25  # between two looks of a supervisor
    pause: float = 2.0  # before a database that does not answer is asked again
    show: float = 0.5  # between two updates of the live display
    backup: float = 600.0  # between two backups of a database that is a file
    roll_call: float = 30.0  # between two looks of an agent whether its workers are registered


TIMING = Timing()
