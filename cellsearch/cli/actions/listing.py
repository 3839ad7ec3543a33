"""`cellsearch tasks` and `spaces`: lists of tasks and bundled spaces."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from cellsearch.cli.terminal import Terminal
from cellsearch.errors import UsageError
from cellsearch.options import Option
from cellsearch.report.columns import Column, column, cut, text, wrapped
from cellsearch.study import space as loading
from cellsearch.study.space.keys import sections
from cellsearch.study.space.model import plain
from cellsearch.study.space.yaml_emit import flow
from cellsearch.tasks import TASKS, Task, task


def tasks(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the tasks, or the options of one."""
    chosen = list(TASKS.values()) if args.name is None else [task(args.name)]
    if args.json:
        terminal.json({"tasks": [_task_json(one) for one in chosen]})
        return 0
    if args.format:
        terminal.table(_task_columns(chosen, options=args.name is not None), args.format)
        return 0
    for k, one in enumerate(chosen):
        terminal.print([text("")] * (k > 0) + _task(one, terminal.out.width, options=args.name is not None))
    if args.name is None:
        _hint(terminal, "with every default and range: cellsearch tasks NAME")
    return 0


def _task_columns(tasks: Sequence[Task], options: bool) -> list[Column]:
    """The table of tasks, or of the options of one."""
    if not options:
        names = [", ".join(option.name for option in task.listed) for task in tasks]
        facts = {"task": [t.name for t in tasks], "about": [t.about for t in tasks]}
        facts |= {"source": [t.source for t in tasks], "options": names}
        return [column(title, said) for title, said in facts.items()]
    return option_columns([option for task in tasks for option in task.listed])


def option_columns(options: Sequence[Option]) -> list[Column]:
    """Options as a table."""
    return [
        column("option", [option.name for option in options]),
        column("default", [_default(option) for option in options]),
        column("allowed", [option.allowed for option in options]),
        column("about", [option.about for option in options]),
    ]


def _default(option: Option) -> str:
    return str(option.default) if option.follows else flow(plain(option.default))


def _task_json(task: Task) -> dict[str, Any]:
    options = [
        {"name": o.name, "default": o.default, "allowed": o.allowed, "about": o.about} for o in task.listed
    ]
    return {"name": task.name, "about": task.about, "source": task.source, "options": options}


def _task(task: Task, width: int, options: bool) -> list[Text]:
    lines = [
        text(task.name, "bold"),
        *wrapped(task.about, width, "  "),
        *wrapped(task.source, width, "  ", "dim"),
    ]
    if not options:
        return [*lines, *wrapped(f"options: {', '.join(o.name for o in task.listed)}", width, "  ")]
    return lines + [line for option in task.listed for line in (text(""), *_option(option, width))]


def _option(option: Option, width: int) -> list[Text]:
    """Name, default and range or choices of an option, and under them its reason."""
    head = text(f"  {option.name}", "bold")
    head.append(f" = {_default(option)}", "green")
    if len(head) + len(option.allowed) + 3 > width:
        allowed = wrapped(option.allowed, width, "      ", "dim")
    else:
        head.append(f"   {option.allowed}", "dim")
        allowed = []
    return [cut(head, width), *allowed, *wrapped(option.about, width, "      ")]


def _keys(args: argparse.Namespace, terminal: Terminal) -> int:
    """All keys of a space's YAML, by section."""
    if args.json:
        listed = [
            {
                "section": section.name, "about": section.about,
                "keys": [{**asdict(key), "default": plain(key.default)} for key in section.keys],
            }
            for section in sections()
        ]  # fmt: skip
        terminal.json({"sections": listed})
        return 0
    if args.format:
        keys = [(section.name, key) for section in sections() for key in section.keys]
        columns = [column("section", [name for name, _ in keys]), *option_columns([key for _, key in keys])]
        terminal.table(columns, args.format)
        return 0
    for section in sections():
        head = text(section.name or "(top level)", "bold underline").append(f"   {section.about}", "dim")
        terminal.print([text("")] * bool(section.name) + [cut(head, terminal.out.width)])
        terminal.print([line for key in section.keys for line in _option(key, terminal.out.width)])
    _hint(
        terminal,
        "options of a task: cellsearch tasks NAME; to start your own space: cellsearch spaces "
        "quick > my.yaml",
    )
    return 0


def spaces(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the bundled spaces, the YAML of one, or all keys of a space."""
    if args.keys:
        if args.name is not None:
            raise UsageError("--keys lists the keys of all spaces\nleave SPACE out, or --keys")
        return _keys(args, terminal)
    if args.name is not None:
        if args.format:
            raise UsageError("--format applies to the list of spaces; a single space is printed as YAML")
        source = loading.source_of(args.name)
        if args.json:
            terminal.json({"name": args.name, "yaml": source})
        else:
            terminal.text(source)
        return 0
    found = [(name, loading.load_space(name)) for name in loading.names()]
    if args.json:
        listed = [{"name": name, "about": s.about, "tasks": [t.name for t in s.tasks]} for name, s in found]
        terminal.json({"spaces": listed})
        return 0
    if args.format:
        columns = [
            column("space", [name for name, _ in found]),
            column("tasks", [", ".join(task.name for task in space.tasks) for _, space in found]),
            column("about", [space.about.strip() for _, space in found]),
        ]
        terminal.table(columns, args.format)
        return 0
    for k, (name, space) in enumerate(found):
        head = text(name, "bold").append(f"   {', '.join(task.name for task in space.tasks)}", "dim")
        terminal.print([text("")] * (k > 0) + [head, *wrapped(space.about.strip(), terminal.out.width, "  ")])
    _hint(
        terminal,
        "to start your own space: cellsearch spaces quick > my.yaml; its keys: cellsearch spaces --keys",
    )
    return 0


def _hint(terminal: Terminal, said: str) -> None:
    """Prints a hint, unless the output is for a program."""
    if terminal.out.is_terminal:
        terminal.tell(f"\n{said}", "dim")
