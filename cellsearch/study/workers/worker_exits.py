"""Consequences of a worker's exit: cause, message, and restart. The trial of that worker is released."""

from dataclasses import dataclass

from cellsearch.errors import RunError, printable
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.exit_codes import ExitCode
from cellsearch.study.system.signals import ENDING
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.pool import STRIKES, Exit, Pool

RESTARTS = 10  # maximum exits of workers without a finished trial


@dataclass(frozen=True, slots=True)
class Verdict:
    """The consequences of a worker's exit."""

    message: str = ""  # for the user
    crash: str = ""  # the cause, if the trial may be responsible
    done: bool = False  # no trial was left


def verdict(gone: Exit, hours: float) -> Verdict:
    """The consequences of an exit; `hours` is the time limit of a stage. Raises RunError if another worker
    would fail too."""
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
        return Verdict(f"a stage that took longer than {hours:g} hours was ended; another worker continues")
    if gone.code == ExitCode.AWAY:
        return Verdict(f"a worker gave up on the database: {last}; another one takes over")
    if gone.code == ExitCode.DEVICE_GONE:
        return Verdict(last or f"{gone.device} does not answer")
    crash = f"{how}: {last}" if last else how
    return Verdict(f"a worker ended with {crash}; another one takes over", crash)


def handle_exit(store: Store, by: str, pool: Pool, space: Space, gone: Exit) -> Verdict:
    """Releases the trial of an exited worker, and gives up its place if its device has failed. Raises
    RunError if another worker would fail too, or if the last device has failed.
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
        return Verdict(f"{found.message}; its worker is restarted")
    if not pool.size:
        raise RunError(f"{found.message}\nno device is left; repair it, then run the same command again")
    return Verdict(f"{found.message}; it is unused until the search is restarted")


def keeps_crashing(pool: Pool, crash: str) -> RunError:
    """The error for repeated crashes of workers."""
    return RunError(
        f"workers exit repeatedly before finishing a trial; the last one with {crash}\n"
        f"their messages are in {printable(str(pool.logs))}"
    )
