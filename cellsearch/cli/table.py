"""The verbs: what each is for, what it takes, and the module that does it. `arguments` makes a parser of
them.

The module of a verb has a function `run_<verb>(args, terminal) -> exit code`, and is imported when its verb
is given: what one verb needs does not slow down another.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from cellsearch.cli.options import cells, searches

Parser = argparse.ArgumentParser


@dataclass(frozen=True, slots=True)
class Verb:
    """A row."""

    name: str
    about: str
    module: str
    takes: Callable[[Parser], None]
    example: str  # one a line
    more: str = ""  # what its help says besides


VERBS = (
    Verb("search", "start a search, or go on with it", "search", searches.search,
         "cellsearch search quick\ncellsearch search my.yaml --workers 8 --time 2h\n"
         "cellsearch search quick --text my.log\n"
         "cellsearch search quick --set tasks.2.options.level=word --set budget.trials=80 --name words\n"
         "cellsearch search --replay quick",
         "Stopped in whatever way, the same command goes on where it stood; nothing that was shown is lost. "
         "Everything is in results/NAME."),
    Verb("worker", "join a running search, from any machine", "search", searches.worker,
         "cellsearch worker big --storage postgresql://user@host/db\n"
         "cellsearch worker big --storage postgresql://user@host/db --devices all",
         "It works until nothing is left; ended before, it gives back what it has begun. A password belongs "
         "in ~/.pgpass or $PGPASSWORD: others on this machine see command lines."),
    Verb("launch", "workers on a Slurm or a Ray cluster", "launch", searches.launch,
         "cellsearch launch big --on slurm --count 64 --gpus 1 --time 12h --storage postgresql://user@host/db\n"
         "cellsearch launch big --on ray --count 8 --storage postgresql://user@host/db",
         "It places workers and does nothing else: they find their work in the database, and a job that is "
         "ended gives back what it has begun. A password belongs in ~/.pgpass, which every node sees."),
    Verb("status", "show the progress of a search", "status", searches.status, "cellsearch status quick"),
    Verb("leaderboard", "the ranked cells beside LSTM and GRU", "status", searches.leaderboard,
         "cellsearch leaderboard quick --rows 20\ncellsearch leaderboard quick --json | jq '.rows[0].score'"),
    Verb("searches", "list the searches", "manage", searches.searches,
         "cellsearch searches\ncellsearch searches --storage postgresql://user@host/db --json",
         "State (running, stopped, done), trials, best score of a cell that is no seed, space, size on disk "
         "and the time of the last write. A search that cannot be read is listed with the reason."),
    Verb("rename", "rename a search", "manage", searches.rename,
         "cellsearch rename quick first\n"
         "cellsearch rename big paper --storage postgresql://user@host/db",
         "Refused while the search or one of its workers is running."),
    Verb("delete", "delete a search: records, trials and files", "manage", searches.delete,
         "cellsearch delete quick\ncellsearch delete quick --yes",
         "Asks first on a terminal, and needs --yes elsewhere. Refused while the search or one of its "
         "workers is running."),
    Verb("archive", "write a search into one file", "manage", searches.archive,
         "cellsearch archive quick\ncellsearch archive quick backup/quick.tar.gz --force",
         "The archive has a consistent copy of the database, the space, cells, logs, exports and models, and "
         "a list of its contents with checksums. Refused while the search or one of its workers is running."),
    Verb("restore", "make a search of an archive", "manage", searches.restore,
         "cellsearch restore quick.tar.gz\ncellsearch restore quick.tar.gz --name again",
         "An archive is checked before a search appears: regular files that a search has, with the sizes and "
         "checksums of its list of contents, and a database with one study. Nothing in it is executed."),
    Verb("migrate", "bring a search of an earlier version up to date", "manage", searches.migrate,
         "cellsearch migrate quick\ncellsearch migrate --storage postgresql://user@host/db",
         "All searches of the database are migrated in one transaction: it is as before, or done. An SQLite "
         "file is copied beside itself first."),
    Verb("dashboard", "Optuna's dashboard on a search, in a web browser", "dashboard", searches.dashboard,
         "cellsearch dashboard quick --open\n"
         "cellsearch dashboard big --storage postgresql://user@host/db --port 0",
         "It reads a search, also while that runs, and changes nothing. Its address is on stdout; Ctrl-C "
         "ends it. It needs the package optuna-dashboard: pip install 'cellsearch[dashboard]'."),
    Verb("show", "a cell: equations, gates, weights, drawing", "show", cells.show,
         "cellsearch show gru\ncellsearch show quick:1 --hidden 256\n"
         "cellsearch show lstm --without i --peepholes f,o"),
    Verb("check", "a .cell or .yaml file: errors with their place, gradients", "check", cells.check,
         "cellsearch check my.cell\ncellsearch check my.yaml\ncellsearch check results/quick/study.db",
         "A cell is compiled and compared with the plain loop over its equations, gradients included; the "
         "data of a space is opened, and a search's cost estimated; the records of a database are verified."),
    Verb("export", "a cell as files that work without cellsearch", "export", cells.export,
         "cellsearch export quick:1 --to torch,latex --out winner",
         "A PyTorch file imports torch alone, and is compared with the compiled cell before it is written."),
    Verb("import", "cells of other programs, read as data", "import_", cells.import_,
         "cellsearch import recipes.json --to cells\ncellsearch import genotypes.py",
         "Nothing in a file is executed, and pickles are refused. A recipe or genotype that cannot be read "
         "is reported with its place, the others are imported, and the exit code is then 1."),
    Verb("bench", "a training step beside what else you could do", "bench", cells.bench,
         "cellsearch bench --cell lstm --hidden 64,128\ncellsearch bench --profile --population 1,20\n"
         "cellsearch bench --mix jozefowicz2015 --cell lstm,mut1",
         "All do the same work, in turn, in one process; a contestant whose losses differ is an error. "
         "The first row is this program."),
    Verb("cells", "the cells of the zoo", "listing", cells.cells,
         "cellsearch cells\ncellsearch cells --check"),
    Verb("tasks", "the tasks and their options", "listing", cells.tasks, "cellsearch tasks arithmetic"),
    Verb("spaces", "the search spaces that come along", "listing", cells.spaces,
         "cellsearch spaces quick > my.yaml\ncellsearch spaces --keys\ncellsearch check my.yaml"),
)  # fmt: skip
