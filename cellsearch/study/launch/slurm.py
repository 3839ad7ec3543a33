"""Agents as jobs of a Slurm cluster, through submitit. The command submits them and exits; the jobs keep
running.

A job that is preempted or near its time limit (Slurm sends SIGUSR2) returns the open trials of its workers
and is requeued: an agent has no state to save. A job that receives only SIGTERM returns its trials too, and
then waits to be killed, so that Slurm may requeue it.

The configuration is in a file that only its owner can read, under `results/NAME/launch`, which every node
must see, like submitit's own files. Command lines, batch scripts and submitit's pickles never hold the
storage URL.
"""

import json
import os
import secrets
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from cellsearch.errors import RunError, printable
from cellsearch.files import own_folder
from cellsearch.study.launch import job, place
from cellsearch.study.launch.place import Places
from cellsearch.study.workers.agent import AgentConfig

REQUEUES = 1_000  # sent near the time limit of a job
LINGER_SECONDS = 120.0  # for a scheduler to kill a job that it asked to end


class Job:
    """The function that submitit runs on a node: an agent, until the search is done. `file` has its
    configuration."""

    def __init__(self, file: str, command: Sequence[str] = ()) -> None:
        self.file, self.command = file, tuple(command)
        self._pid = 0
        self._told = False  # to end, by SIGTERM

    def __call__(self, number: int) -> int:
        process = job.started(Path(self.file).read_text(encoding="utf-8"), self.command)
        self._pid = process.pid
        before = signal.signal(signal.SIGTERM, self._tell)
        try:
            code = job.waited(process)
            self._pid = 0  # the pid may be reused from now on
            if self._told or code >= 128:  # a signal ended it and ends this job too
                time.sleep(LINGER_SECONDS)
        finally:
            signal.signal(signal.SIGTERM, before)
        if code:
            raise RuntimeError(f"the agent ended with exit code {code}; see its log")
        return number

    def checkpoint(self, number: int) -> Any:
        """Called by submitit on SIGUSR2, before the job is queued again."""
        submitit = place.package("submitit", "slurm")
        if self._pid:
            job.ended(self._pid)
        return submitit.helpers.DelayedSubmission(Job(self.file, self.command), number)

    def _tell(self, number: int, _frame: FrameType | None) -> None:
        self._told = True
        if self._pid:
            os.kill(self._pid, number)


def launch(config: AgentConfig, places: Places, cluster: str = "slurm") -> list[Any]:
    """Submits the jobs and returns submitit's jobs. `cluster` "local" means processes on this machine. Raises
    RunError if submitit or Slurm is missing, or if Slurm refuses.
    """
    submitit = place.package("submitit", "slurm")
    folder = Path(config.results) / config.name / "launch"
    file = written(folder, config)
    known: dict[str, Any] = {"timeout_min": round(60 * (places.hours or 12.0)), "gpus_per_node": places.gpus}
    known |= {"cpus_per_task": places.cores, "nodes": 1, "tasks_per_node": 1}
    known |= {"name": f"cellsearch-{config.name}"[:60], "stderr_to_stdout": True}
    if places.memory is not None:
        known["mem_gb"] = places.memory
    if cluster == "slurm":
        known |= {"slurm_array_parallelism": places.count}
        known |= {"slurm_partition": places.partition} if places.partition else {}
        known |= {"slurm_additional_parameters": dict(places.options)} if places.options else {}
    try:
        executor = submitit.AutoExecutor(folder / "%j", cluster, **{f"{cluster}_max_num_timeout": REQUEUES})
        executor.update_parameters(**known)
        return list(executor.map_array(Job(str(file), places.command), range(places.count)))
    except (RuntimeError, submitit.core.utils.FailedJobError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(
            f"{cluster} does not take the jobs: {printable(lines[-1], 400)}\n"
            "does `sbatch` work on this machine, and are partition and options right?"
        ) from error


def written(folder: Path, config: AgentConfig) -> Path:
    """Writes the configuration of every agent to a file that only its owner can read."""
    file = folder / f"orders-{secrets.token_hex(6)}.json"
    try:
        for own in (folder.parent, folder):
            own_folder(own)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(config)))
            stream.flush()
            os.fsync(handle)
    except OSError as error:
        raise RunError(
            f"cannot write {printable(str(file))}: {error.strerror}\nfree some space, or change permissions"
        ) from error
    return file
