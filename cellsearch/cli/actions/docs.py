"""`cellsearch docs`: Markdown pages of the package, rendered on a terminal, plain in a pipe. Pages that list
a table of the program are generated from it. Notebooks are pages too, and in a pipe the file itself."""

import argparse
import json
from importlib import resources

from cellsearch.cli.actions.listing import option_columns
from cellsearch.cli.numbers import nearest
from cellsearch.cli.terminal import Terminal
from cellsearch.errors import RunError, printable
from cellsearch.report.columns import Column, as_markdown, table, text
from cellsearch.study.space.keys import sections
from cellsearch.tasks import TASKS


def pages() -> dict[str, str]:
    """Topic -> text of its page, sorted by topic."""
    written = {name.removesuffix(".md"): said for name, said in _files("docs", ".md").items()}
    books = {name: _as_page(said) for name, said in notebooks().items()}
    return dict(sorted({**written, "keys": _keys(), "tasks": _tasks(), **books}.items()))


def notebooks() -> dict[str, str]:
    """File name -> the notebook as it is written, in JSON."""
    return _files("docs/notebooks", ".ipynb")


def _files(folder: str, ending: str) -> dict[str, str]:
    found = [
        one for one in resources.files("cellsearch").joinpath(folder).iterdir() if one.name.endswith(ending)
    ]
    return {one.name: one.read_text(encoding="utf-8") for one in found}


def _as_page(notebook: str) -> str:
    """A notebook as Markdown: its code in fences, no outputs."""
    parts = []
    for cell in json.loads(notebook)["cells"]:
        said = "".join(cell["source"])
        parts.append(f"```python\n{said}\n```\n" if cell["cell_type"] == "code" else f"{said}\n")
    return "\n".join(parts)


def _keys() -> str:
    """Every key of a search space."""
    parts = ["# Keys of a search space\n"]
    for section in sections():
        name = f"`{section.name}`" if section.name else "Top level"
        parts.append(f"## {name}\n\n{section.about}\n\n{as_markdown(option_columns(section.keys))}")
    return "\n".join(parts)


def _tasks() -> str:
    """Every task with its options."""
    parts = ["# Tasks and their options\n"]
    for task in TASKS.values():
        options = as_markdown(option_columns(task.listed))
        parts.append(f"## `{task.name}`\n\n{task.about}\n\nSource: {task.source}\n\n{options}")
    return "\n".join(parts)


def title(page: str) -> str:
    """The heading of a page."""
    return page.partition("\n")[0].removeprefix("# ")


def docs(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the page `args.topic`, or a list of all pages."""
    every = pages()
    if args.topic is None:
        if args.json:
            terminal.json({"topics": [{"name": name, "title": title(page)} for name, page in every.items()]})
            return 0
        columns = [
            Column("topic", [text(name, "bold") for name in every]),
            Column("title", [text(title(page)) for page in every.values()]),
        ]
        terminal.print(table(columns, terminal.out.width))
        return 0
    if args.topic not in every:
        known = ", ".join(every)
        hint = nearest(args.topic, list(every))
        raise RunError(f"there is no page '{printable(args.topic, 40)}'\n{hint}({known})")
    page = every[args.topic]
    if args.json:
        terminal.json({"name": args.topic, "title": title(page), "text": page})
    elif terminal.out.is_terminal:
        from rich.markdown import Markdown  # imported here: only a terminal needs it

        terminal.out.print(Markdown(page, hyperlinks=False))
    else:
        terminal.text(notebooks().get(args.topic, page))
    return 0
