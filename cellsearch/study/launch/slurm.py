"""Agents as jobs of a Slurm cluster, through submitit. This command submits them and ends; the jobs go on.

A job that is preempted, or whose time is nearly up (Slurm sends SIGUSR2 then), gives back what its workers
have begun and is queued again: an agent keeps nothing that would have to be saved. One that is ended with
SIGTERM alone gives back too, and then waits to be killed, so that Slurm itself may queue it again.

The orders are in a file that its owner alone can read, under `results/NAME/launch`, which every node has to
see, as submitit's own files are; neither command lines, nor the batch script, nor what submitit pickles hold
the storage URL.
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

REQUEUES = 1_000  # of a job whose time is up
LINGER_SECONDS = 120.0  # for a scheduler that has asked a job to end, until it ends it


class Job:
    """What submitit runs on a node: an agent, until nothing is left. `file` has its configuration."""

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
            self._pid = 0  # it may be the number of another process from now on
            if self._told or code >= 128:  # a signal ended it, which ends this job too
                time.sleep(LINGER_SECONDS)
        finally:
            signal.signal(signal.SIGTERM, before)
        if code:
            raise RuntimeError(f"the agent ended with exit code {code}; its log says why")
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
    """Submits the jobs, and gives them as submitit does. `cluster` is "local" for processes of this machine.

    RunError where submitit is missing, or Slurm, or where Slurm refuses.
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
            "is this a machine from which `sbatch` works, and are partition and options right?"
        ) from error


def written(folder: Path, config: AgentConfig) -> Path:
    """A file with the configuration of every agent, which its owner alone can read."""
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
