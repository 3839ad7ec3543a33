"""Where a found cell comes from: `lineage`, `show`, `show --against`, and the top of an exported file."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Run
from sqlalchemy import update

import cellsearch as cs
from cellsearch.study import lookup, origin, studies
from cellsearch.study.tables import schema
from cellsearch.study.tables.database import connect


def longest(run: Run, study: str) -> dict[str, Any]:
    """The lineage of the cell that has the longest one."""
    rows = run("leaderboard", study, "--all", "--json").json["rows"]
    chains = [run("lineage", f"{study}:{row['name']}", "--json").json for row in rows if row["parent"]]
    return max(chains, key=lambda chain: len(chain["steps"]))


@pytest.mark.long
def test_a_lineage_goes_from_a_seed_to_the_cell(run: Run, study: str) -> None:
    rows = {row["fingerprint"]: row for row in run("leaderboard", study, "--all", "--json").json["rows"]}
    chain = longest(run, study)
    steps = chain["steps"]
    assert len(steps) > 2 and chain["whole"] and chain["search"] == study
    assert rows[steps[0]["fingerprint"]]["seed"] and steps[0]["edits"] == []
    for before, step in pairwise(steps):
        row = rows[step["fingerprint"]]
        assert row["parent"] == before["fingerprint"]
        assert (step["score"], step["edits"], step["changes"]) == (row["score"], row["edits"], row["changes"])
        assert step["tasks"] == row["tasks"]
    out = run("lineage", f"{study}:{steps[-1]['name']}").out
    assert f"{len(steps) - 1} mutations" in out
    places = [out.index(f"{k}  {step['name']}  ") for k, step in enumerate(steps)]
    assert places == sorted(places)
    for step in steps:
        assert step["score"] is None or f"score {step['score']:.4f}" in out
        for result in step["tasks"]:
            if result["setting"]:
                assert f"learning_rate={result['setting']['learning_rate']:g}" in out


@pytest.mark.long
def test_a_fingerprint_and_a_seed_have_one_too(run: Run, study: str) -> None:
    last = longest(run, study)["steps"][-1]
    by_letters = run("lineage", last["fingerprint"][:16], "--json").json
    assert by_letters["steps"][-1]["fingerprint"] == last["fingerprint"]
    assert [step["name"] for step in run("lineage", f"{study}:gru", "--json").json["steps"]] == ["gru"]


def test_what_no_search_has_made_has_none(run: Run, study: str) -> None:
    done = run("lineage", "gru")
    assert done.code == 1 and "no search found gru (zoo)" in done.err and done.out == ""


@pytest.mark.long
def test_records_that_lead_in_a_circle_end(run: Run, study: str, tmp_path: Path) -> None:
    steps = longest(run, study)["steps"]
    opened = studies.opened(study)
    opened.store.engine.dispose()
    engine = connect(opened.store.url)
    with engine.begin() as connection:
        first, last = steps[0]["fingerprint"], steps[-1]["fingerprint"]
        cells = schema.cells
        connection.execute(update(cells).where(cells.c.fingerprint == first).values(parent=last))
    engine.dispose()
    told = run("lineage", f"{study}:{steps[-1]['name']}", "--json").json
    assert [step["name"] for step in told["steps"]] == [step["name"] for step in steps] and not told["whole"]
    out = run("lineage", f"{study}:{steps[-1]['name']}").out
    assert "the beginning of the chain is not recorded" in out


@pytest.mark.long
def test_the_origin_is_in_show_and_in_exported_files(run: Run, study: str, tmp_path: Path) -> None:
    steps = longest(run, study)["steps"]
    word, parent = f"{study}:{steps[-1]['name']}", steps[-2]
    told = run("show", word, "--json").json
    assert told["lineage"]["steps"] == steps and told["parent"] == parent["name"]
    out = run("show", word).out
    assert f"parent  {parent['name']}  (score {parent['score']:.4f}, {parent['standing']})" in out
    assert f"origin  {steps[0]['name']} (" in out
    assert run("export", word, "--to", "torch,latex", "--out", "e").code == 0
    for file in (tmp_path / "e").iterdir():
        text = file.read_text()
        assert f"{parent['name']} {parent['fingerprint'][:12]}" in text, file
        assert steps[-1]["edits"][0][:30] in text and "-> " in text


@pytest.mark.parametrize("count, shown", [(3, "a (0.5) -> a (0.5) -> a (0.5)"), (20, "14 cells more")])
def test_a_long_chain_is_shortened(run: Run, study: str, count: int, shown: str) -> None:
    step = origin.Step("a", "0" * 64, "", 0, "seed", 0.5, (), (), ())
    said = origin.in_short(origin.Origin("s", 1, "1", "gru", (step,) * count, True))
    assert shown in said and said.count("->") == min(count - 1, 6)


def test_the_difference_of_two_cells(run: Run, study: str) -> None:
    done = run("show", "peephole_lstm", "--against", "lstm_b")
    assert done.code == 0
    assert "+ i = sigmoid[x, h, .c]" in done.out and "- i = sigmoid[x, h]" in done.out
    assert "peepholes added  i.c, f.c, o.c_new" in done.out
    told = run("show", "peephole_lstm", "--against", "lstm_b", "--json").json
    assert told["name"] == "peephole_lstm" and told["against"]["peepholes"]["removed"] == []
    assert "the same equations" in run("show", "gru", "--against", "gru").out
    assert run("show", f"{study}:1", "--against", "gru").code == 0
    done = run("show", "gru", "--against", "gruu")
    assert done.code == 1 and "did you mean 'gru'?" in done.err


def test_a_row_has_its_cell(run: Run, study: str) -> None:
    run("status")  # in the directory of the study
    rows = cs.leaderboard(study)
    assert all(isinstance(row.cell, cs.Cell) and row.cell.name == row.name for row in rows)
    assert lookup.find_cell(f"{study}:1").cell == rows[0].cell
