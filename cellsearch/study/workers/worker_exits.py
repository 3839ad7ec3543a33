"""What the end of a worker process means: the cause, the message, and whether another one is started.

The trial of that worker is free for another one then.
"""

from dataclasses import dataclass

from cellsearch.errors import RunError, printable
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.exit_codes import ExitCode
from cellsearch.study.system.signals import ENDING
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.pool import STRIKES, Exit, Pool

RESTARTS = 10  # of workers while no trial is finished


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from the end of a worker."""

    message: str = ""  # for the user
    crash: str = ""  # the cause, where the trial may have been the reason
    done: bool = False  # there was nothing left to take


def verdict(gone: Exit, hours: float) -> Verdict:
    """What follows from how a worker ended; `hours` are those that a stage may take. A RunError where no
    other worker would do better."""
    last = printable(gone.said.splitlines()[-1], 500) if gone.said else ""
    how = f"signal {-gone.code}" if gone.code < 0 else f"exit code {gone.code}"
    if gone.code == ExitCode.FATAL:
        raise RunError(gone.said or how)
    if gone.code == ExitCode.UNLOGGED:
        raise RunError(
            "a worker met an error that it could not write to its log\n"
            "free some space, or change the permissions, then give the same command again"
        )
    if gone.code == 0 or -gone.code in ENDING:
        return Verdict(done=gone.code == 0)
    if gone.code == ExitCode.OVERDUE:
        return Verdict(f"a stage that took longer than {hours:g} hours was ended; another worker goes on")
    if gone.code == ExitCode.AWAY:
        return Verdict(f"a worker gave the database up: {last}; another one takes over")
    if gone.code == ExitCode.DEVICE_GONE:
        return Verdict(last or f"{gone.device} does not answer")
    crash = f"{how}: {last}" if last else how
    return Verdict(f"a worker ended with {crash}; another one takes over", crash)


def handle_exit(store: Store, by: str, pool: Pool, space: Space, gone: Exit) -> Verdict:
    """Releases the trial of a worker that has ended, and gives up its place where its device is gone.

    A RunError where no other worker would do better, and where the last device is gone.
    """
    try:
        found = verdict(gone, space.budget.stage_hours)
    except RunError:
        heartbeat.leave(store, [gone.worker], by, failures=space.strategy.failures)
        raise
    heartbeat.leave(store, [gone.worker], by, crash=found.crash, failures=space.strategy.failures)
    if gone.code != ExitCode.DEVICE_GONE:
        pool.strikes.pop(gone.place, None)
        return found
    strikes = pool.strike(gone.place)
    if strikes < STRIKES:
        return Verdict(f"{found.message}; its worker is started again")
    if not pool.size:
        raise RunError(f"{found.message}\nno device is left; repair it, then give the same command again")
    return Verdict(f"{found.message}; it is left out from now on, until the search is started again")


def keeps_crashing(pool: Pool, crash: str) -> RunError:
    """The error where workers crash again and again."""
    return RunError(
        f"workers end again and again before they finish anything; the last with {crash}\n"
        f"their messages are in {printable(str(pool.logs))}"
    )
