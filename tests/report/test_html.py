"""What notebooks show: cells, rows and boards as HTML, in which nothing of a name, a comment or a file is markup."""

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

import cellsearch as cs
from cellsearch import notebook
from cellsearch.api import progress
from cellsearch.api.board import FIRST, Board
from cellsearch.report import html
from cellsearch.report.columns import Column, text
from cellsearch.study.leaderboard.rows import Row, TaskResult
from tests.study.scripted import Scripted, one_of, searched, space_of

MARKUP = "<script>alert(1)</script>&\"'"
HOSTILE = f"{MARKUP}\x1b[31m\u202e"  # which the text of a cell cannot have
TAGS = {"div", "span", "pre", "table", "thead", "tbody", "tr", "th", "td", "code"}


class Reader(HTMLParser):
    """The tags, attributes and text of a document."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(source: str) -> Reader:
    """The document, of which every tag is one of ours, is closed, and has a style alone."""
    found = Reader(source)
    assert set(found.tags) <= TAGS and found.attributes <= {"style"} and not found.open
    return found


def row(**changes: Any) -> Row:
    """A ranked row of a hostile search."""
    values = "init_scale=1 learning_rate=0.5"
    result = TaskResult(HOSTILE, 1.01, 0.9, 0.1, None, 1_000, 20, 3, True)
    made = Row(
        1, HOSTILE, "f" * 64, 1.01, (result,), 1_000, 3, "ranked", "", 4,
        f"# {MARKUP}\ncell a(x; h)\nh' = tanh[x, h]\n", edits=(HOSTILE, values),
    )  # fmt: skip
    return replace(made, **changes)


def test_a_cell_is_drawn_with_its_comment() -> None:
    shown = read(cs.load("gru")._repr_html_())
    assert "Cho et al." in shown.text and "z = sigmoid[x, h]           ■─■─╮" in shown.text
    assert "■ through a matrix" in shown.text


@pytest.mark.parametrize("name", ["lstm", "clockwork", "layernorm_lstm", "sru"])
def test_every_line_of_a_cell_is_there(name: str) -> None:
    cell = cs.load(name)
    shown = read(cell._repr_html_()).text
    lines = [line for line in str(cell).splitlines() if not line.startswith("#")]
    assert all(line in shown for line in lines)


def test_a_hostile_comment_is_text() -> None:
    cell = replace(cs.load("gru"), description=f"a </pre>{MARKUP}")
    assert f"a </pre>{MARKUP}" in read(cell._repr_html_()).text


def test_hostile_rows_and_boards_are_text() -> None:
    for one in (row(), Board(HOSTILE, HOSTILE, (row(), row(rank=2, tie=True, above_chance=True)))):
        shown = read(one._repr_html_())
        assert f"{MARKUP}\\x1b[31m\\u202e" in shown.text
        assert not {"\x1b", "\u202e"} & set(one._repr_html_())


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """All cells of a search."""
    folder = tmp_path_factory.mktemp("results")
    searched(folder / "s", Scripted(), space_of(), one_of(4000), trials=12).engine.dispose()
    return cs.leaderboard("s", results=folder, every=True)


@pytest.mark.long
def test_a_board_shows_its_first_rows_and_all_seeds(board: Board) -> None:
    assert len(board) > FIRST + 2 and list(board) == [*board] == list(board[:])
    assert board[0] is board.rows[0] and board[-1] is board.rows[-1]
    assert repr(board) == f"<Board s: {len(board)} cells, first {board[0].name} with {board[0].score:.3f}>"
    shown = read(board._repr_html_())
    names = {one.name for k, one in enumerate(board) if k < FIRST or one.seed}
    assert shown.tags.count("tr") == 1 + len(names)
    assert all(name in shown.text for name in (*names, "lstm", "gru"))
    assert f"and {len(board) - len(names)} more cell" in shown.text
    last = read(board[-1]._repr_html_()).text
    assert board[-1].name in last and str(board[-1].cell).splitlines()[-1] in last


def test_a_board_as_a_data_frame_has_the_columns_of_the_csv(board: Board) -> None:
    pytest.importorskip("pandas")
    frame = board.frame()
    assert list(frame.cell) == [one.name for one in board] and len(frame) == len(board)
    tasks = [result.task for result in board[0].tasks]
    assert {"rank", "score", *(f"{task}_accuracy" for task in tasks)} <= set(frame.columns)
    assert frame.score.dropna().tolist() == [one.score for one in board if one.score is not None]


def test_without_pandas_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(cs.CellsearchError, match=r"cellsearch\[notebook\]"):
        Board("s", "gru", (row(),)).frame()


def test_styles_of_a_terminal_are_css() -> None:
    cell = text("up", "bold green").append("<b>", "dim").append("plain")
    shown = html.table([Column("a & b", [cell], right=True)])
    assert re.search(r'<span style="font-weight:bold;color:#\w+">up</span>', shown)
    assert '<span style="opacity:.65">&lt;b&gt;</span>plain</td>' in shown
    assert "a &amp; b</th>" in shown and "text-align:right" in shown


def kernel(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> None:
    """A notebook that notes what is shown, and what replaces it."""
    handle = SimpleNamespace(update=lambda value: shown.append(f"again: {value}"))

    def display(value: str, display_id: bool) -> Any:
        assert display_id
        shown.append(value)
        return handle

    ipython = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=object()),
        display=SimpleNamespace(HTML=lambda source: source, display=display),
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_a_display_is_replaced_in_place_and_only_where_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    kernel(monkeypatch, shown)
    show = notebook.live()
    assert show is not None
    for source in ("a", "a", "b"):
        show(source)
    assert shown == ["a", "again: b"]


def test_outside_of_a_notebook_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert notebook.live() is None
    assert progress.of_search(None) is None and progress.of_training(None) is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert notebook.live() is None


def test_what_is_given_is_called_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    kernel(monkeypatch, shown)
    given: list[Any] = []
    assert progress.of_search(given.append) == given.append
    trained = progress.of_training(None)
    assert trained is not None
    trained("model", 3, 2, 0.5)
    assert "epoch 3" in read(shown[0]).text
