"""Names, equations and messages may come from others: no control or invisible character reaches a terminal."""

import io
import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from cli.conftest import Ended, Run
from rich.text import Text

from cellsearch.cli import terminal
from cellsearch.cli.actions.watcher import Watcher
from cellsearch.cli.terminal import Terminal, open_terminal
from cellsearch.errors import RunError, escaped, printable, safe
from cellsearch.study.space import source_of
from cellsearch.study.system import parent, signals
from cellsearch.study.tables import schema
from cellsearch.study.workers import agent
from cellsearch.study.workers import main as worker_main
from cellsearch.study.workers.agent import AgentConfig
from cellsearch.study.workers.pool import WorkerConfig
from tests.cli.test_progress import progress

#: Colours, a title, a link and the clipboard of a terminal; one byte that begins a sequence; text that runs
#: backward; zero width; fillers; a lone surrogate, as of a file name that is not UTF-8; other line breaks.
HOSTILE = (
    "\x1b[31m\x1b]0;title\x07\x1b]8;;http://x\x1b\\\x1b]52;c;eA==\x07\x9b31m\x08\x7f\r\x0b\x0c\u202e\u2066\u200b"
    "\u200d\ufeff\u00ad\u061c\u115f\u3164\u2800\ufe0f\U000e0041\u2028\u2029\x85\ue000"
)
HIDDEN = {c for c in HOSTILE + "\udcff" if not (c.isascii() and c.isprintable())}
SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")  # a style


def shown(done: Ended, *, data: bool = False) -> str:
    """What a command wrote; that none of it is hidden."""
    text = done.out + done.err
    for c in text:
        assert c == "\n" or (escaped(c) == c and c not in HIDDEN), repr(c)
    assert "defect" not in done.err and "Traceback" not in done.err, done.err
    if data:
        json.loads(done.out)
        assert done.out.isascii()
    return text


def test_the_filter() -> None:
    assert safe(f"a{HOSTILE}b\nc") == "a" + escaped(HOSTILE) + "b\nc"
    assert (
        safe("é ü ß ₜ₋₁ ■─┼╮→ 中文 한글 e\u0301 😀 [red] \\x1b")
        == "é ü ß ₜ₋₁ ■─┼╮→ 中文 한글 e\u0301 😀 [red] \\x1b"
    )
    assert safe("\udcff\t") == "\\udcff\\t"
    assert (
        escaped("\x1b\u202e\u200b") == "\\x1b\\u202e\\u200b" and printable("\x1b" * 200, 8) == "\\x1b\\x1b…"
    )


def test_each_way_to_a_terminal_has_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data, messages, whole texts and the display that is redrawn."""
    monkeypatch.setenv("TERM", "xterm-256color")
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setattr(err, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    t = open_terminal()
    t.print([Text(f"name {HOSTILE}", "bold").append(HOSTILE, "red")])
    t.tell(HOSTILE, "yellow")
    t.tell(Text(HOSTILE))
    t.text(HOSTILE)
    t.json({HOSTILE: HOSTILE})
    with Watcher(t, HOSTILE) as watcher:
        watcher(progress(messages=(HOSTILE, "one\ntwo")))
    written = SEQUENCE.sub("", out.getvalue() + err.getvalue())
    for sequence in ("\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[1A", "\r"):  # of the display itself
        written = written.replace(sequence, "")
    assert "name " in written and "\\x1b" in written and "\\u202e" in written
    assert all(c == "\n" or c.isprintable() for c in written), repr(written)


def test_nothing_else_writes_to_the_terminal() -> None:
    """The two streams are written to in `terminal` alone; what argparse prints is this program's own text."""
    for path in Path(terminal.__file__).parent.rglob("*.py"):
        text = path.read_text()
        if path.name not in ("terminal.py", "arguments.py"):
            assert not re.search(
                r"\bprint\(|file\.write\(|sys\.std(out|err)|Console\(", text.replace(".print(", "")
            ), path.name


def test_logs_of_workers_have_the_filter_too() -> None:
    """They are read on terminals: as they are, and their last lines in messages of a search."""
    printed = [
        (path.name, line)
        for path in (Path(terminal.__file__).parents[1] / "study").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"(?<![\w.])print\(|print_exc\(|stderr\.write\(", line)
    ]
    assert len(printed) > 2
    assert all("print(safe(" in line for _, line in printed), printed


def test_what_a_worker_and_an_agent_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hostile(*_: object, **__: object) -> int:
        raise RunError(f"{HOSTILE} postgresql://user:secret@host/db")

    def worse(*_: object, **__: object) -> int:
        raise ValueError(f"{HOSTILE} postgresql://user:secret@host/db")

    worker = WorkerConfig("s", "sqlite:///s.db", "cpu", None)
    config = {"worker": asdict(worker), "agent": asdict(AgentConfig("s", "sqlite:///s.db"))}
    for end in (hostile, worse):
        monkeypatch.setattr(worker_main, "_work", end)
        monkeypatch.setattr(agent, "_join", hostile)
        monkeypatch.setattr(parent, "at_exit", lambda end: None)
        for name, run in (("worker", worker_main.serve), ("agent", agent.main)):
            monkeypatch.setattr(parent, "configuration", lambda name=name: json.dumps(config[name]))
            with signals.listening():  # a worker leaves Ctrl-C to its supervisor
                assert run() != 0
            said = capsys.readouterr().err
            assert "\\x1b[31m" in said and "secret" not in said and "host/db" in said
            assert all(c == "\n" or c.isprintable() for c in said), repr(said)


def test_a_message_of_several_lines_is_several_lines(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    told = open_terminal()
    with Watcher(Terminal(told.out, told.err), "s") as watcher:
        watcher(progress(messages=("first\nsecond",)))
    said = capsys.readouterr().err
    assert "\\n" not in said
    assert re.search(r"^ +\S+  first\n {9}second$", said, re.MULTILINE)


COLUMNS = [
    (table.name, column.name)
    for table in schema.OURS for column in table.columns
    if str(column.type).startswith(("TEXT", "VARCHAR")) and column.name not in ("uuid", "fingerprint")
]  # fmt: skip
VERBS = (
    ("status",), ("status", "s"), ("status", "s", "--json"), ("leaderboard", "s"), ("leaderboard", "s", "--all"),
    ("leaderboard", "s", "--json"), ("leaderboard", "s", "--pareto"), ("show", "s:1"), ("show", "s:1", "--json"),
    ("show", "s:m3"), ("check", "results/s/study.db"), ("check", "results/s/study.db", "--json"),
    ("export", "s:1", "--to", "latex", "--force"),
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=".".join)
def test_every_verb_on_every_text_of_a_database(run: Run, study: str, table: str, column: str) -> None:
    with closing(sqlite3.connect("results/s/study.db", isolation_level=None)) as connection:
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {column} || ?", (HOSTILE,))
        if not connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
            host = "INSERT INTO cellsearch_worker (study, id, kind, parent, host, pid, started, beat, doing) "
            connection.execute(f"{host} VALUES (1, 'w', 'worker', '', 'h', 1, 'x', 0, 'y')")
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {column} || ?", (HOSTILE,))
    for words in VERBS:
        done = run(*words)
        assert done.code in (0, 1)
        shown(done, data="--json" in words and done.code == 0)


@pytest.mark.long
def test_names_of_studies_and_folders(run: Run, study: str) -> None:
    shutil.copytree("results/s", f"results/a{HOSTILE.replace('/', '')}")
    with closing(sqlite3.connect("results/s/study.db", isolation_level=None)) as connection:
        connection.execute("UPDATE studies SET study_name = ?", (f"s{HOSTILE}",))
    url = "sqlite:///results/s/study.db"
    for words in (
        ("status",), ("status", "--storage", url), ("status", "--storage", url, "--json"), ("status", "s"),
        ("leaderboard", "--storage", url), ("leaderboard", "--storage", url, "--json"), ("check", "results/s/study.db"),
        ("show", "x:1", "--storage", url), ("show", "0a0b0c0d"), ("leaderboard", f"s{HOSTILE}", "--storage", url),
    ):  # fmt: skip
        shown(run(*words))
    assert "\\u202e" in run("status", "--storage", url).out


WORDS = (
    ("status", "X"), ("leaderboard", "X"), ("leaderboard", "--pareto", "X"), ("show", "X"), ("show", "X:1"),
    ("show", "s:X"), ("show", "lstm", "--without", "X"), ("show", "lstm", "--couple", "X,f"), ("show", "lstm", "--peepholes", "X"),
    ("check", "X"), ("check", "X.yaml"), ("check", "X.db"), ("export", "lstm", "--out", "X"), ("export", "lstm", "--name", "X"),
    ("export", "lstm", "--to", "X"), ("import", "X"), ("tasks", "X"), ("spaces", "X"), ("search", "X"),
    ("search", "quick", "--name", "X"), ("search", "quick", "--set", "X=1"), ("search", "quick", "--set", "name=X"),
    ("search", "quick", "--data", "X", "--dry-run", "--devices", "X"), ("search", "quick", "--time", "X"),
    ("search", "--replay", "X"), ("status", "--storage", "X"), ("status", "--storage", "postgresql://X@h:1/d"),
    ("status", "--storage", "sqlite:///X"), ("worker", "X"), ("launch", "X", "--on", "slurm"), ("X",), ("--X",),
    ("status", "--X"), ("bench", "--cell", "X"), ("bench", "--mix", "X"), ("migrate", "X"), ("--debug", "show", "X"),
)  # fmt: skip


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_words_of_the_command_line(run: Run, study: str, words: tuple[str, ...]) -> None:
    done = run(*(word.replace("X", f"x{HOSTILE}\udcff") for word in words))
    if "--debug" not in words:
        assert done.code in (1, 2) or words[0] == "export", done.out
        shown(done)
    assert not HIDDEN & set(done.out + done.err)


@pytest.mark.parametrize(
    "line",
    ['baseline: "X"', 'about: "X"', '"X": 1', "seeds: [X]", 'strategy: {name: "X"}', "data: X", "X", 'tasks: [{name: "X"}]'],
)  # fmt: skip
def test_values_of_a_space(run: Run, line: str) -> None:
    key = line.partition(":")[0]
    kept = re.sub(rf"(?m)^{key}:.*\n(?:[ -].*\n)*", "", source_of("quick"))
    for hostile in ("\u202e", "\\e[31m\\u202e\\u2028", "\u200b"):
        Path("my.yaml").write_text(f"{kept}\n{line.replace('X', hostile)}\n")
        for words in (
            ("check", "my.yaml"),
            ("check", "my.yaml", "--json"),
            ("search", "my.yaml", "--name", "new", "--dry-run"),
        ):
            if words[0] == "check" or line != 'about: "X"':  # which may be searched
                done = run(*words)
                shown(done, data="--json" in words and done.code == 0)


@pytest.mark.long
def test_equations_and_comments(run: Run) -> None:
    for c in HOSTILE:
        for text in (
            f"cell a(x; h)\nh' = tanh[x, h]{c}\n",
            f"# {c}\ncell a(x; h)\nh' = [x]\n",
            f"cell a{c}(x; h)\nh' = [x]\n",
        ):
            Path("a.cell").write_bytes(text.encode())
            for words in (("show", "a.cell"), ("show", "a.cell", "--json"), ("check", "a.cell")):
                shown(run(*words))
