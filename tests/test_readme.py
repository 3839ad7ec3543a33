"""What the README promises is there: its cells, its ticks, its commands and its messages."""

import re
from pathlib import Path

import pytest

from cellsearch.cli.main import main
from cellsearch.cli.table import verbs
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse
from cellsearch.dsl.zoo.catalogue import CHECKED
from cellsearch.errors import TextError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "cellsearch" / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_tick_has_a_check_behind_each_of_its_cells() -> None:
    page = (DOCS / "systems.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1:-1] for line in page.splitlines() if "✓" in line]
    assert len(lines) > 10
    for _, cells, tick in lines:
        for name in re.findall(r"`([a-z0-9_]+)`", cells):
            assert name in zoo.names(), name
            assert CHECKED[name], name
            if "torch.nn" in tick:
                assert any(claim.startswith("torch.nn.") for claim in CHECKED[name]), name


def test_the_cell_of_the_readme_is_that_of_the_zoo() -> None:
    text = re.sub(r"(?m)^    ", "", section("A cell").split("\n\n")[1])
    assert parse(text).nodes == zoo.load("peephole_lstm").nodes


def test_the_message_of_the_readme_is_what_is_said() -> None:
    shown = re.sub(r"(?m)^    ", "", section("A cell").rstrip().split("\n\n")[-1])
    with pytest.raises(TextError) as caught:
        parse("# A cell\ncell gru(x; h)\nz = sigmod[x, h]\nh' = z\n", "gru.cell")
    said = str(caught.value)
    assert said.splitlines()[:3] == shown.splitlines()[:3]
    assert said.splitlines()[3].startswith(shown.splitlines()[3])


def test_every_verb_is_in_the_table_and_the_table_has_no_other() -> None:
    rows = [line for line in section("What it does").splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(?:cellsearch )?([a-z]+)", " ".join(row.split("|")[1] for row in rows)))
    assert named == {verb.name for verb in verbs()}


def test_both_totals_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for option, meaning in (("trials", "proposals, refinements and repeats"), ("proposals", "new cells")):
        assert f"--{option} N total number of {option}" in said and meaning in said
        assert f"`--{option} N`" in README and f"`budget.{option}`" in README
    assert "ends at the first total reached" in said


def test_the_python_of_the_readme_runs() -> None:
    code = re.search(r"In Python:\n\n((?:    .*\n|\n)+)", section("What it does"))
    assert code is not None
    scope: dict[str, object] = {}
    exec(re.sub(r"(?m)^    ", "", code[1]), scope)
    assert scope["output"].shape == (35, 20, 64)  # type: ignore[attr-defined]


def test_the_space_of_the_readme_is_a_whole_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"`(tasks: \[.*\])` is a complete space", README)
    assert found is not None
    (tmp_path / "my.yaml").write_text(f"{found[1]}\n")
    (tmp_path / "my.log").write_text("to be or not to be\n" * 500)
    assert main(["check", str(tmp_path / "my.yaml")]) == 0
    assert "data of text" in capsys.readouterr().out
