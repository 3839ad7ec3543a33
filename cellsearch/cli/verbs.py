"""The verbs: what each is for, what it takes, and the module that does it. `arguments` makes a parser of
them.

The module of a verb has a function `run_<verb>(args, terminal) -> exit code`, and is imported when its verb
is given: what one verb needs does not slow down another.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from cellsearch.cli import numbers

Parser = argparse.ArgumentParser
TARGETS = ("torch", "latex")


@dataclass(frozen=True, slots=True)
class Verb:
    """A row."""

    name: str
    about: str
    module: str
    takes: Callable[[Parser], None]
    example: str  # one a line
    more: str = ""  # what its help says besides


def _migrate(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of the search")
    _storage(parser)


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _table(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--json", action="store_true", help="one JSON document on stdout")
    which.add_argument(
        "--format", choices=("csv", "markdown"),
        help="the table as CSV, with numbers in full, or as Markdown",
    )  # fmt: skip


def _storage(parser: Parser) -> None:
    parser.add_argument(
        "--storage", metavar="URL", help="database of the search (default: results/NAME/study.db)"
    )


def _device(parser: Parser) -> None:
    parser.add_argument(
        "--device",
        type=numbers.device,
        default="cpu",
        help="where to train: cpu, cuda, cuda:1 (default: cpu)",
    )


def _devices(parser: Parser) -> None:
    parser.add_argument(
        "--devices", "--device", type=numbers.devices, default=["cpu"], metavar="WHERE",
        help="where to train: cpu, cuda, cuda:1, several with commas between them, or all: a worker on each "
        "GPU (default: cpu)",
    )  # fmt: skip


def _data(parser: Parser) -> None:
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="directory with the files that tasks need (ptb, and text where its file "
        "is not in the folder of the YAML file)",
    )


def _rows(parser: Parser) -> None:
    parser.add_argument(
        "--rows", type=numbers.whole(0), default=10, metavar="N",
        help="how many cells the leaderboard shows (default: 10), and the seeds, LSTM and GRU, besides",
    )  # fmt: skip


def _search(parser: Parser) -> None:
    parser.add_argument(
        "space",
        metavar="SPACE",
        nargs="?",
        help="a name (see `cellsearch spaces`), a .yaml file, or the name of a search that is there",
    )
    parser.add_argument(
        "--text", metavar="FILE",
        help="search on a UTF-8 text of your own: replaces the tasks of the space by the next character of "
        "this file; the filter stays",
    )  # fmt: skip
    parser.add_argument(
        "--name", help="name of the search and of its folder in results/ (default: that of the space; with "
        "--text, of the file and the space)",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=numbers.whole(0), metavar="N",
        help="total number of trials, that is proposals and refinements (default: the budget of the space)",
    )  # fmt: skip
    parser.add_argument(
        "--proposals", type=numbers.whole(0), metavar="N",
        help="total number of proposals (new cells); with --trials, the search ends at the first total "
        "that is met. Either option replaces the budget of the space",
    )  # fmt: skip
    parser.add_argument(
        "--time",
        type=numbers.duration,
        metavar="TIME",
        help="total time of searching: 90s, 15m, 2h, 1h30m (default: no limit)",
    )
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), metavar="N",
        help="processes that train, so many on each device (default: one for each core of the CPU, at most "
        "8; one on a GPU)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=numbers.whole(0, 2**63 - 1), metavar="N", help="random seed (default: 1)"
    )
    parser.add_argument(
        "--set", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="change a value of the space, as in tasks.0.options.train=100000; may be given again",
    )  # fmt: skip
    _devices(parser)
    _data(parser)
    _storage(parser)
    _rows(parser)
    parser.add_argument(
        "--dry-run", action="store_true",
        help="estimate cost, memory and time, from a short measurement, without running",
    )  # fmt: skip
    replaying = parser.add_argument_group("replay", "compare strategies on what a search has recorded")
    replaying.add_argument(
        "--replay", metavar="NAME",
        help="of a search, instead of SPACE. Nothing is trained. It takes --set strategy.…, --trials, --seed "
        "and --data too",
    )  # fmt: skip
    replaying.add_argument(
        "--strategies", metavar="NAMES",
        help="with commas between them: jozefowicz2015,evolution,random (default: all)",
    )  # fmt: skip
    replaying.add_argument(
        "--repeats", type=numbers.whole(1, 1_000), default=5, metavar="N", help="of each (default: 5)"
    )
    replaying.add_argument(
        "--json", action="store_true", help="of a replay or a dry run: one JSON document on stdout"
    )


def _worker(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="of a search that is running")
    _storage(parser)
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), default=1, metavar="N",
        help="processes that train, so many on each device (default: 1)",
    )  # fmt: skip
    _devices(parser)
    _data(parser)


def _launch(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="of a search that is running")
    parser.add_argument(
        "--on", choices=("slurm", "ray"), required=True,
        help="a Slurm cluster: jobs that go on by themselves; a Ray cluster ($RAY_ADDRESS, else this "
        "machine): tasks that end with this command",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=numbers.whole(1, 100_000), default=1, metavar="N", help="jobs or tasks (default: 1)"
    )
    parser.add_argument(
        "--workers", type=numbers.whole(1, 1024), default=1, metavar="N",
        help="processes that train in each, so many on each GPU (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--gpus", type=numbers.whole(0, 1024), default=0, metavar="N",
        help="for each, with a worker on each of them (default: 0, training on the CPU)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=numbers.whole(1, 100_000), metavar="GB",
        help="for each (default: what is usual there)",
    )  # fmt: skip
    _data(parser)
    _storage(parser)
    slurm = parser.add_argument_group("slurm")
    slurm.add_argument(
        "--time", type=numbers.duration, metavar="TIME",
        help="that a job may run before it is queued again: 4h, 2d (default: 12h)",
    )  # fmt: skip
    slurm.add_argument("--partition", metavar="NAME", help="where to queue (default: that of the cluster)")
    slurm.add_argument(
        "--option", type=numbers.override, action="append", default=[], metavar="KEY=VALUE",
        help="more of sbatch, as in account=cells or qos=low; may be given again",
    )  # fmt: skip


def _status(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="of a search (default: the newest, and a list of all)"
    )
    parser.add_argument(
        "--settings", action="store_true", help="instead: which hyperparameters matter, on each task"
    )
    _storage(parser)
    _table(parser)


def _leaderboard(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="of a search (default: the newest)")
    _rows(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="filtered, failed and running cells too")
    which.add_argument(
        "--pareto", nargs="?", const="", metavar="COST",
        help="only cells that no other one beats in score without costing more: parameters, multiply_adds, "
        "matrices, nodes, depth or products (default: the cost that the space names)",
    )  # fmt: skip
    _storage(parser)
    _table(parser)


def _searches(parser: Parser) -> None:
    parser.add_argument(
        "--storage", metavar="URL", help="list the searches of this database (default: those in results/)"
    )
    _json(parser)


def _rename(parser: Parser) -> None:
    parser.add_argument("name", metavar="OLD", help="name of the search")
    parser.add_argument("new", metavar="NEW", help="new name of the search and of its folder in results/")
    _storage(parser)


def _delete(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the search")
    parser.add_argument("--yes", action="store_true", help="delete without a question")
    _storage(parser)


def _archive(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of a search in results/")
    parser.add_argument("file", metavar="FILE", nargs="?", help="file to write (default: NAME.tar.gz)")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    _json(parser)


def _restore(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="an archive, made by `cellsearch archive`")
    parser.add_argument("--name", help="name of the search (default: the one in the archive)")
    _json(parser)


def _dashboard(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of a search (default: the newest)")
    _storage(parser)
    parser.add_argument(
        "--port", type=numbers.whole(0, 65_535), default=8080, metavar="N",
        help="port to listen on; 0: any that is free (default: 8080)",
    )  # fmt: skip
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST",
        help="address to listen on (default: 127.0.0.1, this machine alone)",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open it in a web browser")


def _cell(parser: Parser) -> None:
    parser.add_argument(
        "cell", metavar="CELL",
        help="a zoo name, a .cell file, NAME:RANK of a search (quick:1, or quick:m12 by the cell's name), or "
        "the first letters of a fingerprint; looked up in this order",
    )  # fmt: skip
    _storage(parser)


def _show(parser: Parser) -> None:
    _cell(parser)
    parser.add_argument(
        "--input", type=numbers.whole(1, 10**6), default=100, metavar="D", help="inputs (default: 100)"
    )
    parser.add_argument(
        "--hidden", type=numbers.whole(1, 10**6), default=100, metavar="H", help="units (default: 100)"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="PART",
        help="leave out a gate, by its name, letter (i f o z r d) or role, or the input_activation or "
        "output_activation; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--couple", action="append", default=[], metavar="GATE,BY", help="make a gate 1 - another: f,i"
    )
    parser.add_argument(
        "--peepholes", metavar="GATES", help="all, none, or the gates that look at the cell state: i,f"
    )
    _json(parser)


def _check(parser: Parser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .cell or .yaml file, or the name of a cell or of a space, or the database of a search",
    )
    _data(parser)
    _json(parser)


def _cells(parser: Parser) -> None:
    parser.add_argument(
        "--check", action="store_true",
        help="compare every compiled cell with the plain loop over its equations, gradients included",
    )  # fmt: skip
    _table(parser)


def _tasks(parser: Parser) -> None:
    parser.add_argument("name", metavar="TASK", nargs="?", help="with all its options (default: all tasks)")
    _table(parser)


def _spaces(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="SPACE", nargs="?", help="its YAML, to be copied and changed (default: a list)"
    )
    parser.add_argument(
        "--keys", action="store_true", help="list every key of a space: default, allowed values and reason"
    )
    _table(parser)


def _export(parser: Parser) -> None:
    _cell(parser)
    parser.add_argument(
        "--to", metavar="KINDS", type=numbers.words(TARGETS), default=[],
        help=f"kinds of file, with commas between them: {','.join(TARGETS)} (default: torch)",
    )  # fmt: skip
    parser.add_argument(
        "--out", default=".", metavar="PATH",
        help="a directory, or one file that ends in .py or .tex (default: this directory)",
    )  # fmt: skip
    parser.add_argument("--name", default="", help="another name for the cell, its class and its files")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    _json(parser)


def _import(parser: Parser) -> None:
    parser.add_argument(
        "file", metavar="FILE",
        help="recipes of NAS-Bench-NLP (.json), genotypes of DARTS (.py), or a log with genotypes in it",
    )  # fmt: skip
    parser.add_argument(
        "--to", metavar="DIR", help="write a .cell file for each cell there (default: print them)"
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    _json(parser)


def _bench(parser: Parser) -> None:
    def several(low: int, high: int) -> Callable[[str], list[int]]:
        return lambda text: [numbers.whole(low, high)(word) for word in text.split(",")]

    parser.add_argument(
        "--cell", type=lambda text: text.split(","), metavar="CELLS",
        default=["lstm", "gru", "gru_torch", "mut1", "mutant_12", "mutant_24"],
        help="cells, with commas between them; mutant_12 and mutant_24 are nobody's cells of so many nodes "
        "(default: lstm,gru,gru_torch,mut1,mutant_12,mutant_24)",
    )  # fmt: skip
    parser.add_argument(
        "--hidden", type=several(1, 16384), default=[64], metavar="H",
        help="units of a layer, several with commas between them (default: 64)",
    )  # fmt: skip
    parser.add_argument(
        "--population", type=several(1, 65536), default=[20], metavar="K",
        help="members trained at once, several with commas between them (default: 20)",
    )  # fmt: skip
    for name, default, about in (
        ("batch", 20, "sequences of a minibatch"), ("steps", 35, "steps of a window"),
        ("layers", 1, "layers"), ("vocabulary", 50, "symbols, of embedding and output"),
        ("threads", 1, "CPU threads"), ("rounds", 9, "measurements of each"),
    ):  # fmt: skip
        reader = numbers.whole(1, 100_000)
        parser.add_argument(
            f"--{name}", type=reader, default=default, metavar="N", help=f"{about} (default: {default})"
        )
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes a while")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--profile", action="store_true", help="instead of the others: where the time of a step goes"
    )
    instead.add_argument(
        "--mix", metavar="SPACE",
        help="instead of one size: 20 settings of this search space, in the groups of layers and units that "
        "they fall into; batch and steps are the space's",
    )  # fmt: skip
    _device(parser)
    _json(parser)


VERBS = (
    Verb("search", "start a search, or go on with it", "search", _search,
         "cellsearch search quick\ncellsearch search my.yaml --workers 8 --time 2h\n"
         "cellsearch search quick --text my.log\n"
         "cellsearch search quick --set tasks.2.options.level=word --set budget.trials=80 --name words\n"
         "cellsearch search --replay quick",
         "Stopped in whatever way, the same command goes on where it stood; nothing that was shown is lost. "
         "Everything is in results/NAME."),
    Verb("worker", "join a running search, from any machine", "search", _worker,
         "cellsearch worker big --storage postgresql://user@host/db\n"
         "cellsearch worker big --storage postgresql://user@host/db --devices all",
         "It works until nothing is left; ended before, it gives back what it has begun. A password belongs "
         "in ~/.pgpass or $PGPASSWORD: others on this machine see command lines."),
    Verb("launch", "workers on a Slurm or a Ray cluster", "launch", _launch,
         "cellsearch launch big --on slurm --count 64 --gpus 1 --time 12h --storage postgresql://user@host/db\n"
         "cellsearch launch big --on ray --count 8 --storage postgresql://user@host/db",
         "It places workers and does nothing else: they find their work in the database, and a job that is "
         "ended gives back what it has begun. A password belongs in ~/.pgpass, which every node sees."),
    Verb("status", "show the progress of a search", "status", _status, "cellsearch status quick"),
    Verb("leaderboard", "the ranked cells beside LSTM and GRU", "status", _leaderboard,
         "cellsearch leaderboard quick --rows 20\ncellsearch leaderboard quick --json | jq '.rows[0].score'"),
    Verb("searches", "list the searches", "searches", _searches,
         "cellsearch searches\ncellsearch searches --storage postgresql://user@host/db --json",
         "State (running, stopped, done), trials, best score of a cell that is no seed, space, size on disk "
         "and the time of the last write. A search that cannot be read is listed with the reason."),
    Verb("rename", "rename a search", "searches", _rename,
         "cellsearch rename quick first\n"
         "cellsearch rename big paper --storage postgresql://user@host/db",
         "Refused while the search or one of its workers is running."),
    Verb("delete", "delete a search: records, trials and files", "searches", _delete,
         "cellsearch delete quick\ncellsearch delete quick --yes",
         "Asks first on a terminal, and needs --yes elsewhere. Refused while the search or one of its "
         "workers is running."),
    Verb("archive", "write a search into one file", "searches", _archive,
         "cellsearch archive quick\ncellsearch archive quick backup/quick.tar.gz --force",
         "The archive has a consistent copy of the database, the space, cells, logs, exports and models, and "
         "a list of its contents with checksums. Refused while the search or one of its workers is running."),
    Verb("restore", "make a search of an archive", "searches", _restore,
         "cellsearch restore quick.tar.gz\ncellsearch restore quick.tar.gz --name again",
         "An archive is checked before a search appears: regular files that a search has, with the sizes and "
         "checksums of its list of contents, and a database with one study. Nothing in it is executed."),
    Verb("migrate", "bring a search of an earlier version up to date", "searches", _migrate,
         "cellsearch migrate quick\ncellsearch migrate --storage postgresql://user@host/db",
         "All searches of the database are migrated in one transaction: it is as before, or done. An SQLite "
         "file is copied beside itself first."),
    Verb("dashboard", "Optuna's dashboard on a search, in a web browser", "dashboard", _dashboard,
         "cellsearch dashboard quick --open\n"
         "cellsearch dashboard big --storage postgresql://user@host/db --port 0",
         "It reads a search, also while that runs, and changes nothing. Its address is on stdout; Ctrl-C "
         "ends it. It needs the package optuna-dashboard: pip install 'cellsearch[dashboard]'."),
    Verb("show", "a cell: equations, gates, weights, drawing", "show", _show,
         "cellsearch show gru\ncellsearch show quick:1 --hidden 256\n"
         "cellsearch show lstm --without i --peepholes f,o"),
    Verb("check", "a .cell or .yaml file: errors with their place, gradients", "check", _check,
         "cellsearch check my.cell\ncellsearch check my.yaml\ncellsearch check results/quick/study.db",
         "A cell is compiled and compared with the plain loop over its equations, gradients included; the "
         "data of a space is opened, and a search's cost estimated; the records of a database are verified."),
    Verb("export", "a cell as files that work without cellsearch", "export", _export,
         "cellsearch export quick:1 --to torch,latex --out winner",
         "A PyTorch file imports torch alone, and is compared with the compiled cell before it is written."),
    Verb("import", "cells of other programs, read as data", "import_", _import,
         "cellsearch import recipes.json --to cells\ncellsearch import genotypes.py",
         "Nothing in a file is executed, and pickles are refused. A recipe or genotype that cannot be read "
         "is reported with its place, and the others are imported; the exit code is 1 if none is."),
    Verb("bench", "a training step beside what else you could do", "bench", _bench,
         "cellsearch bench --cell lstm --hidden 64,128\ncellsearch bench --profile --population 1,20\n"
         "cellsearch bench --mix jozefowicz2015 --cell lstm,mut1",
         "All do the same work, in turn, in one process; a contestant whose losses differ is an error. "
         "The first row is this program."),
    Verb("cells", "the cells of the zoo", "listing", _cells, "cellsearch cells\ncellsearch cells --check"),
    Verb("tasks", "the tasks and their options", "listing", _tasks, "cellsearch tasks arithmetic"),
    Verb("spaces", "the search spaces that come along", "listing", _spaces,
         "cellsearch spaces quick > my.yaml\ncellsearch spaces --keys\ncellsearch check my.yaml"),
)  # fmt: skip
