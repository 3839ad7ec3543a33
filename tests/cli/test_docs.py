"""The pages of the documentation: their links, their examples, and that they name everything there is."""

import re
import shlex
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.cli.actions.docs import pages
from cellsearch.cli.arguments import parse as parse_words
from cellsearch.cli.table import verbs
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.structures import STRUCTURES
from cellsearch.dsl.text import parse
from cellsearch.tasks import TASKS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "cellsearch" / "docs"
FILES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "notebooks").glob("*.ipynb"))]
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
PLACEHOLDERS = {
    "SPACE": "quick",
    "CELL": "lstm",
    "FILE": "x.cell",
    "TOPIC": "language",
    "TASK": "xml",
    "NAME": "quick",
}


def read(file: Path) -> str:
    """The Markdown of a page, or of a notebook."""
    return pages()[file.name] if file.suffix == ".ipynb" else file.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_links_resolve(file: Path) -> None:
    for target in LINK.findall(read(file)):
        assert (file.parent / target).exists(), target


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_cells_of_examples_parse(file: Path) -> None:
    for block in re.findall(r"```cell\n(.*?)```", read(file), re.DOTALL):
        parse(block)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_commands_are_ones_that_the_program_has(file: Path) -> None:
    """Every `cellsearch …` in a code span or an indented line has a verb, and options that the verb knows."""
    text = read(file)
    spans = re.findall(r"`(cellsearch [^`]+)`", text)
    spans += [
        part.strip() for line in re.findall(r"(?m)^    (.*cellsearch .*)$", text) for part in line.split("&&")
    ]
    for span in spans:
        words = shlex.split(" ".join(span.split()), comments=True)
        if not words or words[0] != "cellsearch":
            continue
        words = words[1 : words.index(">") if ">" in words else None]
        if "|" in words or any("…" in word for word in words):
            continue
        filled = [PLACEHOLDERS.get(word, word) for word in words]
        if not filled or filled[0] in ("VERB", "--version"):
            continue
        known = {verb.name: verb for verb in verbs()}
        assert filled[0] in known, span
        if len(filled) > 1 and not filled[1].startswith("-"):  # else its other arguments are left out
            parse_words(filled, verbs())


def test_the_language_names_every_op_and_every_structure() -> None:
    page = pages()["language"]
    for op in OPS.values():
        assert re.search(rf"(?<![a-z_]){re.escape(op.symbol or op.name)}(?![a-z_])", page), op.name
    assert all(f"@{name}" in page for name in STRUCTURES)


def test_generated_pages_have_every_key_and_task() -> None:
    every = pages()
    assert all(f"## `{name}`" in every["tasks"] for name in TASKS)
    assert "learning_rate" in every["keys"] and "| option | default |" in every["keys"]


def test_the_examples_with_optuna_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second example as it stands, with an objective that trains nothing and fewer trials."""
    _, own = re.findall(r"```python\n(.*?)```", pages()["optuna"], re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"score_of": lambda cell, rate: -len(cell.nodes) * rate}
    exec("import cellsearch as cs\nimport optuna\n" + own.replace("n_trials=50", "n_trials=4"), scope)
    assert len(scope["study"].trials) == 4  # type: ignore[attr-defined]


def test_docs_lists_and_prints(run: Run) -> None:
    listed = run("docs")
    assert listed.code == 0 and {line.split()[0] for line in listed.out.splitlines()[1:]} == set(pages())
    assert run("docs", "language").out == pages()["language"]
    assert run("docs", "cell.ipynb").out == (DOCS / "notebooks" / "cell.ipynb").read_text(encoding="utf-8")
    assert run("docs", "cell.ipynb", "--json").json["title"] == "A cell, from equation to training"
    assert run("docs", "language", "--json").json["title"] == "The language of cells"
    wrong = run("docs", "langage")
    assert wrong.code == 1 and "did you mean 'language'?" in wrong.err


def test_every_page_is_linked_from_the_readme_or_a_page() -> None:
    linked = {(file.parent / target).resolve() for file in FILES for target in LINK.findall(read(file))}
    assert not [file.name for file in FILES[1:] if file.resolve() not in linked]
