"""Versions: what `--version` warns of, bounds with their reasons, and the files that repeat them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from cellsearch import version
from cellsearch.cli import arguments

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
EXTRAS = PROJECT["optional-dependencies"]
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def own_extras(requirement: str) -> list[str]:
    """The extras of this project that a requirement names: "cellsearch[bench,onnx]"."""
    found = re.fullmatch(r"cellsearch\[(.*)\]", requirement)
    return found[1].split(",") if found else []


@pytest.mark.parametrize(
    ("here", "newer"),
    [("2.14.1+cpu", False), ("2.15.0", True), ("3.0", True), ("2.9", False), ("main", False), (None, False)],
)
def test_what_is_newer_than_was_tested_is_named(
    here: str | None, newer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "installed", lambda package: here)
    assert version.untested({"torch": "2.14"}) == ({"torch": here} if newer else {})


def test_version_warns_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for newer, said in (({"torch": "9.1.0"}, "torch 9.1.0 (tested: "), ({}, "")):
        monkeypatch.setattr(arguments, "untested", lambda newer=newer: newer)
        with pytest.raises(SystemExit):
            arguments.parse(["--version"], [])
        shown = capsys.readouterr()
        assert shown.out.startswith("cellsearch ") and "warning" not in shown.out
        assert said in shown.err and bool(shown.err) == bool(newer)


def test_the_oldest_allowed_versions_are_not_newer_than_the_tested_ones() -> None:
    every = [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]
    lowest = dict(re.findall(r"^([A-Za-z]+)>=([0-9.]+)", "\n".join(every), re.MULTILINE))
    for package, tested in version.TESTED.items():
        least = PROJECT["requires-python"][2:] if package == version.PYTHON else lowest[package.lower()]
        assert [*map(int, least.split("."))][:2] <= [*map(int, tested.split("."))], package


def test_every_upper_bound_has_its_reason_beside_it() -> None:
    bounded = [line for line in TEXT.splitlines() if re.search(r'"[a-z][^"]*<', line)]
    assert len(bounded) >= 3
    assert all(re.search(r'",?\]?  # \S+ \S+', line) for line in bounded), bounded


def test_the_table_of_extras_is_that_of_the_project() -> None:
    page = (ROOT / "cellsearch" / "docs" / "install.md").read_text(encoding="utf-8")
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `([a-z]+)` \| (.*?) \|", page, re.MULTILINE)}
    assert list(rows) == list(EXTRAS)
    for extra, requirements in EXTRAS.items():
        own = [name for one in requirements for name in own_extras(one)]
        others = [NAME.match(one)[0] for one in requirements if not own_extras(one)]  # type: ignore[index]
        assert sorted(re.findall(r"[\w-]+", rows[extra].lower())) == sorted(map(str.lower, [*own, *others]))


def test_hooks_before_a_commit_have_the_versions_of_the_extra() -> None:
    hooks = {
        hook["id"]: hook
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
        for hook in repo["hooks"]
    }
    assert set(hooks) == {"ruff-check", "ruff-format", "mypy"}
    for name, hook in hooks.items():
        package = name.partition("-")[0]
        (wanted,) = (one for one in EXTRAS["dev"] if one.startswith(package))
        if hook["language"] == "system":  # what the developer has installed with the extra
            assert hook["entry"].split()[0] == package and "additional_dependencies" not in hook
        else:
            assert hook["additional_dependencies"] == [wanted]


def test_the_workflow_runs_every_python_that_is_named() -> None:
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    named = [
        one.rpartition(" ")[2]
        for one in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", one)
    ]
    job = flow["jobs"]["unit"]
    assert job["strategy"]["matrix"]["python"] == named and f">={named[0]}" == PROJECT["requires-python"]
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    assert 'pip install ".[test]"' in commands and re.search(r"^pytest$", commands, re.MULTILINE)


def test_issue_forms_are_forms() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 2
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name == "config.yml":
            continue
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert form["name"] and form["description"] and ids and len(set(ids)) == len(ids)
