"""Tasks: generators and loaders of sequences, from options, batch and seed to a `Dataset`."""

from cellsearch.tasks.data import IGNORE, Dataset, Part, memoryless
from cellsearch.tasks.table import TASKS, Task, build, parse_options, task

__all__ = ["IGNORE", "TASKS", "Dataset", "Part", "Task", "build", "memoryless", "parse_options", "task"]
