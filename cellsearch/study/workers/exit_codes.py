"""What it means that a worker process has ended: whose fault it was, what is said about it, and whether its
place is filled again.

The trial of that worker is free for another one then.
"""

from dataclasses import dataclass

from cellsearch.errors import RunError, printable
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.signals import ENDING
from cellsearch.study.tables.schema import Store
from cellsearch.study.workers.pool import AWAY, FATAL, GONE, STRIKES, UNTOLD, Crew, Exit

RESTARTS = 10  # of workers without a trial finished in between


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from the end of a worker."""

    told: str = ""  # to whoever watches
    crash: str = ""  # the cause, where the trial may have been the reason
    done: bool = False  # there was nothing left to take


def verdict(gone: Exit, hours: float) -> Verdict:
    """What follows from how a worker ended; `hours` are those that a stage may take. A RunError where no
    other worker would do better."""
    last = printable(gone.said.splitlines()[-1], 500) if gone.said else ""
    how = f"signal {-gone.code}" if gone.code < 0 else f"exit code {gone.code}"
    if gone.code == FATAL:
        raise RunError(gone.said or how)
    if gone.code == UNTOLD:
        raise RunError(
            "a worker met an error that it could not write to its log\n"
            "free some space, or change the permissions, then give the same command again"
        )
    if gone.code == 0 or -gone.code in ENDING:
        return Verdict(done=gone.code == 0)
    if gone.code == heartbeat.OVERDUE:
        return Verdict(f"a stage that took longer than {hours:g} hours was ended; another worker goes on")
    if gone.code == AWAY:
        return Verdict(f"a worker gave the database up: {last}; another one takes over")
    if gone.code == GONE:
        return Verdict(last or f"{gone.device} does not answer")
    crash = f"{how}: {last}" if last else how
    return Verdict(f"a worker ended with {crash}; another one takes over", crash)


def bury(store: Store, by: str, crew: Crew, space: Space, gone: Exit) -> Verdict:
    """Frees what a worker had that has ended, and gives up its place where its device is gone.

    A RunError where no other worker would do better, and where the last device is gone.
    """
    try:
        found = verdict(gone, space.budget.stage_hours)
    except RunError:
        heartbeat.leave(store, [gone.worker], by, failures=space.strategy.failures)
        raise
    heartbeat.leave(store, [gone.worker], by, crash=found.crash, failures=space.strategy.failures)
    if gone.code != GONE:
        crew.strikes.pop(gone.place, None)
        return found
    strikes = crew.strike(gone.place)
    if strikes < STRIKES:
        return Verdict(f"{found.told}; its worker is started again")
    if not crew.size:
        raise RunError(f"{found.told}\nno device is left; repair it, then give the same command again")
    return Verdict(f"{found.told}; it is left out from now on, until the search is started again")


def hopeless(crew: Crew, crash: str) -> RunError:
    """For workers that end again and again."""
    return RunError(
        f"workers end again and again before they finish anything; the last with {crash}\n"
        f"their messages are in {printable(str(crew.logs))}"
    )
