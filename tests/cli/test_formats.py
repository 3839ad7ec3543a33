"""Tables for other programs: `--format`, and what is written to a file or a pipe."""

import csv
import io
from pathlib import Path

import pytest
from cli.conftest import Run
from cli.test_main import command

from cellsearch.cli.terminal import open_terminal
from cellsearch.dsl import zoo
from cellsearch.study.space import names
from cellsearch.tasks import TASKS


def read(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def cells_of(out: str) -> list[list[str]]:
    """The rows of a Markdown table, each with as many cells as the titles."""
    found = [line.replace("\\|", "¦").strip("|\n").split(" | ") for line in out.splitlines()]
    assert len({len(row) for row in found}) == 1
    return [[cell.strip() for cell in row] for row in found]


def test_a_leaderboard_as_csv_is_that_of_json(run: Run, study: str) -> None:
    for more in ((), ("--all",)):
        rows = run("leaderboard", study, "--json", *more).json["rows"]
        found = read(run("leaderboard", study, "--format", "csv", *more).out)
        assert len(found) == len(rows) > 2
        for row, line in zip(rows, found, strict=True):
            assert line["cell"] == row["name"] and line["fingerprint"] == row["fingerprint"]
            assert line["rank"] == ("" if row["rank"] is None else str(row["rank"]))
            assert line["score"] == ("" if row["score"] is None else repr(row["score"]))
            assert line["parent"] == row["parent_name"] and line["status"] == row["status"]
            for task in row["tasks"]:
                for key in ("ratio", "accuracy", "loss", "epochs", "hidden"):
                    value = task[key]
                    assert line[f"{task['task']}_{key}"] == ("" if value is None else repr(value))
                for key, value in (task["setting"] or {}).items():
                    assert line[f"{task['task']}_setting_{key}"] == repr(value)


def test_a_leaderboard_as_markdown_is_the_table(run: Run, study: str) -> None:
    rows = run("leaderboard", study, "--json").json["rows"]
    titles, rule, *found = cells_of(run("leaderboard", study, "--format", "markdown", columns=20).out)
    assert titles[:3] == ["rank", "cell", "score"] and set("".join(rule)) == set("-:")
    assert [row[1] for row in found] == [row["name"] for row in rows]
    assert [row[2] for row in found] == [f"{row['score']:.3f}" for row in rows]
    assert any("`gru with " in row[-1] or "`lstm with " in row[-1] for row in found)


def test_a_front_says_of_each_cell_whether_it_is_on_it(run: Run, study: str) -> None:
    rows = run("leaderboard", study, "--pareto", "matrices", "--json").json["rows"]
    found = read(run("leaderboard", study, "--pareto", "matrices", "--format", "csv").out)
    assert [(r["cell"], r["front"], r["matrices"]) for r in found] == [
        (row["name"], "yes" if row["front"] else "no", str(row["cost"])) for row in rows
    ]
    table = run("leaderboard", study, "--pareto", "matrices", columns=140).out.split("\n\n")[0].splitlines()
    assert "front" in table[0].split()
    shown = {line.split()[1]: line.split()[3] for line in table[1:] if line.lstrip()[0].isdigit()}
    assert shown == {r["cell"]: r["front"] for r in found} and set(shown.values()) == {"yes", "no"}


def test_searches_as_a_table(run: Run, study: str) -> None:
    for words in (("status",), ("status", study)):
        (found,) = read(run(*words, "--format", "csv").out)
        told = run("status", study, "--json").json
        assert found["search"] == study and found["state"] == told["state"] == "finished"
        assert found["seconds"] == repr(told["seconds"])
        assert found["target_trials"] == "20" and found["target_proposals"] == ""
        assert all(found[name] == str(told["counts"][name]) for name in ("trials", "ranked", "settings"))
    shares = read(run("status", study, "--settings", "--format", "csv").out)
    known = run("status", study, "--settings", "--json").json["importance"]
    assert shares and all(
        float(row[task]) == values[row["hyperparameter"]] for row in shares for task, values in known.items()
    )


def test_what_there_is_as_tables(run: Run) -> None:
    cells = read(run("cells", "--format", "csv").out)
    assert [row["cell"] for row in cells] == zoo.names()
    assert next(row for row in cells if row["cell"] == "gru")["equations"].startswith("z = sigmoid[x, h]; ")
    assert len(cells_of(run("cells", "--format", "markdown").out)) == 2 + len(cells)
    assert [row["task"] for row in read(run("tasks", "--format", "csv").out)] == list(TASKS)
    options = read(run("tasks", "xml", "--format", "csv").out)
    assert [row["option"] for row in options] == [o.name for o in TASKS["xml"].listed]
    assert [row["space"] for row in read(run("spaces", "--format", "csv").out)] == names()
    keys = read(run("spaces", "--keys", "--format", "csv").out)
    known = run("spaces", "--keys", "--json").json["sections"]
    assert [row["option"] for row in keys] == [key["name"] for part in known for key in part["keys"]]
    assert len(cells_of(run("spaces", "--format", "markdown").out)) == 2 + len(names())


def test_formats_that_cannot_be_are_told(run: Run, study: str) -> None:
    done = run("spaces", "quick", "--format", "csv")
    assert (done.code, done.out) == (2, "") and "printed as YAML" in done.err
    done = run("leaderboard", study, "--format", "xlsx")
    assert (done.code, done.out) == (2, "") and "csv, markdown" in done.err.replace("'", "")
    done = run("cells", "--json", "--format", "csv")
    assert (done.code, done.out) == (2, "") and "not allowed with" in done.err


@pytest.mark.long
def test_nothing_is_cut_in_a_pipe(run: Run, study: str, tmp_path: Path) -> None:
    known = run("leaderboard", study, "--all", "--json").json["rows"]
    for words in (("leaderboard", study, "--all"), ("status", study), ("cells",), ("tasks",), ("spaces",)):
        done = command(*words, folder=tmp_path)
        assert done.returncode == 0 and "…" not in done.stdout.decode()
    rows = (
        command("leaderboard", study, "--all", folder=tmp_path).stdout.decode().split("\n\n")[0].splitlines()
    )
    assert len(rows) == 1 + len(known)  # a row is a line
    for line, row in zip(rows[1:], known, strict=True):
        assert line.split()[1] == row["name"]
        assert row["seed"] or line.endswith("; ".join(row["changes"] or row["text"].splitlines()[1:]))
    checked = command("cells", folder=tmp_path).stdout.decode()
    assert "torchrecurrent.PeepholeLSTMCell, identity with lstm_b" in checked
    long = "zoo_cell_" + "x" * 50
    (tmp_path / "a.cell").write_text(f"# {'a long comment ' * 30}\ncell {long}(x; h)\nh' = tanh[x, h]\n")
    shown = command("show", "a.cell", folder=tmp_path).stdout.decode()
    assert long in shown and "…" not in shown


@pytest.mark.parametrize("width", [20, 60, 100])
def test_errors_break_between_words_on_a_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = (
        "error: there is no search 'quik' in /a/directory/with/a/name/that/is/long\ndid you mean 'quick'? "
        "there: one, two, three\n\n    z = sigmod[x, h] + an excerpt that stays in one line however long it is"
    )
    terminal = open_terminal()
    monkeypatch.setattr(terminal.err, "_force_terminal", True)
    terminal.err.width = width
    terminal.tell(message)
    lines = capsys.readouterr().err.splitlines()
    assert " ".join(" ".join(lines).split()) == " ".join(message.split())  # no word is broken, none lost
    assert all(len(line) <= width or " " not in line or line.startswith("    ") for line in lines)
    assert "" in lines and message.splitlines()[-1] in lines
    monkeypatch.setattr(terminal.err, "_force_terminal", False)
    terminal.tell(message)
    assert capsys.readouterr().err == f"{message}\n"
