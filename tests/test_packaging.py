"""What pyproject.toml lists is what there is: packages, their data, and the files that every install needs."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOOL = PROJECT["tool"]["setuptools"]


def folder(package: str) -> Path:
    """Where a package lies: the longest mapped prefix, then its parts."""
    prefix = max((p for p in TOOL["package-dir"] if f"{package}.".startswith(f"{p}.")), key=len)
    return ROOT.joinpath(TOOL["package-dir"][prefix], *package.removeprefix(prefix).strip(".").split("."))


def test_every_folder_with_code_is_a_listed_package() -> None:
    with_code = {path.parent for path in (ROOT / "cellsearch").rglob("*.py")}
    assert with_code == {folder(package) for package in TOOL["packages"]} - {ROOT / "search_spaces"}
    assert all((path / "__init__.py").is_file() for path in with_code)  # an editable install needs them
    assert TOOL["packages"] == sorted(TOOL["packages"])


def test_every_other_file_is_listed_as_data() -> None:
    listed = {
        path
        for package, patterns in TOOL["package-data"].items()
        for pattern in patterns
        for path in folder(package).glob(pattern)
    }
    other = {
        path
        for top in ("cellsearch", "search_spaces")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert other == listed


def test_files_that_the_project_names_exist() -> None:
    assert (ROOT / PROJECT["project"]["readme"]).is_file()
    assert all((ROOT / name).is_file() for name in PROJECT["project"]["license-files"])
