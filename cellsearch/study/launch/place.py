"""The configuration shared by all launchers."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from cellsearch.errors import RunError, UsageError
from cellsearch.study.tables import database
from cellsearch.study.tables.database import shown
from cellsearch.study.workers.agent import AgentConfig


@dataclass(frozen=True, slots=True)
class Places:
    """The number of agents, and the resources of each."""

    count: int
    workers: int = 1  # worker processes per agent and device
    gpus: int = 0  # GPUs per agent; 0: train on the CPU
    hours: float | None = None  # time limit of a job (Slurm)
    memory: float | None = None  # memory per agent in GB
    partition: str | None = None  # Slurm
    options: Mapping[str, str] = field(
        default_factory=dict
    )  # other options of Slurm: account, qos, constraint, …
    command: Sequence[str] = ()  # an agent: a process that reads its configuration from standard input

    @property
    def cores(self) -> int:
        """The devices of each agent."""
        return self.workers * max(1, self.gpus)


def config_of(name: str, storage: str, places: Places, results: Path, data: str | None) -> AgentConfig:
    """The configuration of every agent. Paths in them are absolute: a job may start elsewhere."""
    devices = ("all",) if places.gpus else ("cpu",)
    where = str(Path(data).absolute()) if data else None
    return AgentConfig(name, storage, str(results.absolute()), where, devices, places.workers)


def check(storage: str) -> None:
    """Refuses a database that other machines cannot reach."""
    if database.driven(storage).get_backend_name() == "sqlite":
        raise UsageError(
            f"{shown(storage)} is a file; workers on other machines need a server\n"
            "start the search with --storage postgresql://… and give the same URL here"
        )


def package(name: str, extra: str) -> ModuleType:
    """Imports the package of a launcher. Raises a RunError with the install command if it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise RunError(
            f"`--on {extra}` needs the package {name!r}: pip install 'cellsearch[{extra}]'"
        ) from error
