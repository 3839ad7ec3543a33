"""The configuration of any launcher."""

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
    """How many agents, and what each of them gets."""

    count: int
    workers: int = 1  # of each agent, on each of its devices
    gpus: int = 0  # of each agent; without one it trains on the CPU
    hours: float | None = None  # that one may run (Slurm)
    memory: float | None = None  # GB of each
    partition: str | None = None  # Slurm
    options: Mapping[str, str] = field(default_factory=dict)  # more of Slurm: account, qos, constraint, …
    command: Sequence[str] = ()  # an agent: a process that reads its configuration from standard input

    @property
    def cores(self) -> int:
        """Of each agent."""
        return self.workers * max(1, self.gpus)


def config_of(name: str, storage: str, places: Places, results: Path, data: str | None) -> AgentConfig:
    """The configuration of every agent. Paths in them are absolute: a job may start elsewhere."""
    devices = ("all",) if places.gpus else ("cpu",)
    where = str(Path(data).absolute()) if data else None
    return AgentConfig(name, storage, str(results.absolute()), where, devices, places.workers)


def check(storage: str) -> None:
    """Refuses what other machines cannot reach."""
    if database.driven(storage).get_backend_name() == "sqlite":
        raise UsageError(
            f"{shown(storage)} is a file, and workers on other machines need a server\n"
            "start the search with --storage postgresql://… and give the same here"
        )


def package(name: str, extra: str) -> ModuleType:
    """The package of a launcher; a RunError that says how to get it where it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise RunError(
            f"`--on {extra}` needs the package {name!r}: pip install 'cellsearch[{extra}]'"
        ) from error
