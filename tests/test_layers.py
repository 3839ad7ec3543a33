"""The layers of the package: who imports whom, read from the sources; and what starting a verb loads."""

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cellsearch"
FOLDERS = (
    "states",
    "system",
    "mutation",
    "scoring",
    "strategies",
    "space",
    "tables",
    "storage",
    "migrations",
    "leaderboard",
    "workers",
    "launch",
    "studies",
    "origin",
    "lookup",
    "manage",
)  # of the search, the lowest first
LAYERS = (
    "cli",
    "api",
    "report",
    "analysis",
    "study",
    "exporters",
    "train",
    "compiler",
    "dsl",
    "tasks",
    "files",
    "version",
    "options",
    "notebook",
    "errors",
)
FACE = ("__init__", "__main__")  # the two modules above all layers
TORCH = ("compiler", "train", "exporters", "analysis/bench")  # the last one times torch itself
# Optuna drives the search: its storage, the one that runs trials, and two that make a study in memory
OPTUNA = (
    "study/storage/",
    "study/migrations/",
    "study/workers/trial/runner.py",
    "study/strategies/tpe.py",
    "study/leaderboard/importance.py",
)
QUIET = (
    ["show", "gru"],
    ["cells"],
    ["tasks"],
    ["spaces"],
    ["check", "quick"],
    ["status"],
    ["leaderboard"],
    ["leaderboard", "--json"],
    ["leaderboard", "--pareto"],
    ["--version"],
    ["--help"],
    ["export", "--help"],
)


def modules() -> list[Path]:
    """All sources of the package."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def layer_of(path: Path) -> str:
    """The layer that a file belongs to, or its name where it stands above them."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a source."""
    return parsed(path.read_text(encoding="utf-8"))


@cache
def parsed(source: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(source)))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside functions and for type checkers too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def for_types_alone(path: Path) -> set[int]:
    """The lines that stand under `if TYPE_CHECKING:`."""
    found: set[int] = set()
    for node in nodes(path):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found |= {
                line for inner in node.body for line in range(inner.lineno, (inner.end_lineno or 0) + 1)
            }
    return found


def test_every_module_is_in_a_layer() -> None:
    assert {layer_of(path) for path in modules()} <= {*LAYERS, *FACE}
    assert len(modules()) > 50


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    mine = layer_of(path)
    for line, module in imports(path):
        parts = module.split(".")
        if parts[0] != "cellsearch" or mine in FACE or module == "cellsearch":
            continue
        assert parts[1] in LAYERS, f"{path}:{line}: {module}"
        assert LAYERS.index(parts[1]) >= LAYERS.index(mine), (
            f"{path}:{line}: {mine} must not import {parts[1]}"
        )


def test_in_the_search_too() -> None:
    for path in (PACKAGE / "study").rglob("*.py"):
        mine = path.relative_to(PACKAGE / "study").parts[0].removesuffix(".py")
        for line, module in imports(path):
            parts = module.split(".")
            if mine == "__init__" or parts[:2] != ["cellsearch", "study"] or len(parts) < 3:
                continue
            assert FOLDERS.index(parts[2]) <= FOLDERS.index(mine), (
                f"{path}:{line}: {mine} must not import {parts[2]}"
            )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_where_they_belong(path: Path) -> None:
    types = for_types_alone(path)
    place = path.relative_to(PACKAGE).as_posix()
    with_torch = place.startswith(tuple(f"{folder}/" for folder in TORCH))
    with_optuna = place.startswith(OPTUNA)
    for line, module in imports(path):
        if line in types:
            continue
        top = module.partition(".")[0]
        assert top != "torch" or with_torch, f"{path}:{line}: torch outside of {', '.join(TORCH)}"
        assert top not in ("optuna", "alembic") or with_optuna, (
            f"{path}:{line}: {top} outside of {', '.join(OPTUNA)}"
        )


def test_optuna_is_loaded_in_every_place_that_may() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if any(module.partition(".")[0] == "optuna" for _, module in imports(path))
    }
    for place in OPTUNA:
        assert any(name.startswith(place) for name in found), f"{place} loads no Optuna: leave it out"


def modules_imported(path: Path, known: Collection[str]) -> set[str]:
    """The modules of `known` that a file imports anywhere: inside functions, and for type checkers alone too.
    A name that a package takes from one of its modules is an import of the package."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & set(known)
            if names - set(known):
                found.add(str(node.module))
    return found & set(known)


def circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """A circle for each module from which a way leads back to it, the shortest first step that does."""

    def back(start: str) -> list[str]:
        before, queue = {start: ""}, [start]
        for here in queue:
            for other in sorted(graph[here]):
                if other == start:
                    way = [here]
                    while way[0] != start:
                        way.insert(0, before[way[0]])
                    return way
                if other not in before:
                    before[other] = here
                    queue.append(other)
        return []

    return [way for way in map(back, sorted(graph)) if way]


def test_no_files_import_each_other_in_a_circle() -> None:
    """Those inside functions and for type checkers count."""
    known = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in modules()
    }
    graph = {name: modules_imported(path, known.keys()) for name, path in known.items()}
    assert graph["cellsearch.study.storage.driver"] >= {
        "cellsearch.study.storage.rdb",
        "cellsearch.study.tables.transactions",
    }
    assert graph["cellsearch.study.strategies.parents"]
    assert not circles(graph)


MOST_FILES = 14  # of a folder, its __init__ left out


def test_folders_are_small() -> None:
    for folder in {path.parent for path in modules()}:
        files = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(files) <= MOST_FILES, f"{folder}: {len(files)} files"


def test_the_tests_would_see_a_wrong_import(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("def f():\n    import torch.nn\n    from cellsearch.cli import main\n")
    assert list(imports(source)) == [(2, "torch.nn"), (3, "cellsearch.cli"), (3, "cellsearch.cli.main")]
    source.write_text(
        "try:\n    from p import b, f\nexcept ImportError:\n    import p.c\ndef f():\n    import p.d\n"
    )
    assert modules_imported(source, ["p", "p.b", "p.c", "p.d"]) == {"p", "p.b", "p.c", "p.d"}
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["a"]}) == [["b", "c"], ["c", "b"]]


def loaded(code: str, folder: Path) -> set[str]:
    """The top-level packages that a fresh Python has loaded after `code`."""
    program = f"import sys\n{code}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    found = loaded("import cellsearch", tmp_path)
    assert not found & {"torch", "optuna", "numpy", "sqlalchemy", "rich"}


@pytest.mark.long
@pytest.mark.parametrize("words", QUIET, ids=" ".join)
def test_verbs_that_only_read_start_without_torch(words: list[str], tmp_path: Path) -> None:
    found = loaded(f"from cellsearch.cli.main import main\nmain({words!r})", tmp_path)
    assert "cellsearch" in found
    assert not found & {"torch", "optuna"}
