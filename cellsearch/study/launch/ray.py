"""Agents as tasks of a Ray cluster: at $RAY_ADDRESS, else a local one. They end with
this command, which waits for them.

Ray restarts the tasks of a dead node elsewhere. The configuration is an argument of the task: it stays in the
memory of the cluster, which trusts all its users, and is neither on a command line nor in a file.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from cellsearch.errors import RunError, printable
from cellsearch.study.launch import job, place
from cellsearch.study.launch.place import Places
from cellsearch.study.system.signals import Signals
from cellsearch.study.workers.agent import AgentConfig, Tell


def run_agent(orders: str, command: Sequence[str]) -> int:
    """The task: runs an agent until the search is done or Ray cancels the task. Returns its exit code."""
    process = job.started(orders, command)
    try:
        return job.waited(process)
    except BaseException:  # Ray cancels with KeyboardInterrupt
        job.ended(process.pid)
        raise


def launch(config: AgentConfig, places: Places, signals: Signals, tell: Tell) -> int:
    """Places the agents and waits for them. Returns 0, or 128 + number of the signal that ended it. Raises
    RunError if Ray is missing or unreachable, or if no agent could work.
    """
    ray: Any = place.package("ray", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # telemetry off
    try:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = printable(os.environ.get("RAY_ADDRESS", "this machine"), 100)
        raise RunError(
            f"cannot reach Ray ({where}): {printable(first, 300)}\nis RAY_ADDRESS right?"
        ) from error
    try:
        return _placed(ray, config, places, signals, tell)
    finally:
        ray.shutdown()


def _placed(ray: Any, config: AgentConfig, places: Places, signals: Signals, tell: Tell) -> int:
    memory = {} if places.memory is None else {"memory": int(places.memory * 2**30)}
    task = ray.remote(num_cpus=places.cores, num_gpus=places.gpus, max_retries=-1, **memory)(run_agent)
    orders = json.dumps(asdict(config))
    pending = [task.remote(orders, tuple(places.command)) for _ in range(places.count)]
    failed = 0
    while pending and not signals.got:
        done, pending = ray.wait(pending, timeout=0.5)
        for one in done:
            try:
                code = ray.get(one)
            except ray.exceptions.RayError as error:
                code, why = 1, (str(error).strip() or type(error).__name__).splitlines()[-1]
                tell(f"an agent was lost: {printable(why, 300)}")
            failed += bool(code)
            if code:
                tell(f"an agent ended with exit code {code}; its workers' logs are in {config.results}")
    if signals.got:
        for one in pending:
            ray.cancel(one, force=False)
        with suppress(ray.exceptions.RayError):
            ray.wait(pending, num_returns=len(pending), timeout=job.GRACE_SECONDS)
        return 128 + signals.got[0]
    if failed == places.count:
        raise RunError("no agent could work; see their messages above")
    return 0
