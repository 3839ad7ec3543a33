"""Loading: zoo names and files, and what is refused without a hang."""

import os
from pathlib import Path

import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.load import load
from cellsearch.dsl.text import show
from cellsearch.errors import TextError

TEXT = "cell mine(x; h)\nh' = tanh[x, h]\n"


def refuse(path: str | Path) -> TextError:
    with pytest.raises(TextError) as caught:
        load(path)
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    return caught.value


def test_a_zoo_name_comes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lstm").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    assert load("lstm") == zoo.load("lstm")
    assert load("./lstm").name == "mine"
    assert load(Path("lstm")).name == "mine"


@pytest.mark.parametrize(
    "data", [TEXT, "\ufeff" + TEXT, TEXT.replace("\n", "\r\n"), TEXT.rstrip(), "\n\n" + TEXT]
)
@pytest.mark.parametrize("name", ["a.cell", "with space %s ü [red].cell", "no_ending"])
def test_files(tmp_path: Path, data: str, name: str) -> None:
    (tmp_path / name).write_bytes(data.encode())
    assert show(load(tmp_path / name)) == TEXT
    assert show(load(str(tmp_path / name))) == TEXT


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.cell").write_text("cell t(x; h)\nh' = hh\n")
    assert str(refuse(tmp_path / "bad.cell")).startswith(f"{tmp_path / 'bad.cell'}:2:6: unknown name 'hh'")


@pytest.mark.parametrize(
    "name", ["lstn", "no/such/file.cell", "", "a\0b", "x" * 5_000, "a\x1b[31m\nb", "\ud800"]
)
def test_names_of_nothing(name: str) -> None:
    error = refuse(name)
    assert error.remedy
    if name == "lstn":
        assert "did you mean 'lstm'?" in error.remedy


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "is a directory" in refuse(tmp_path).message
    assert "is not a regular file" in refuse("/dev/zero").message
    os.mkfifo(tmp_path / "pipe.cell")
    assert "is not a regular file" in refuse(tmp_path / "pipe.cell").message
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot read" in refuse(tmp_path / "loop").message
    (tmp_path / "link").symlink_to("/dev/zero")
    assert "is not a regular file" in refuse(tmp_path / "link").message
    (tmp_path / "gone").symlink_to("nowhere")
    assert "neither" in refuse(tmp_path / "gone").message


def test_sizes(tmp_path: Path) -> None:
    path = tmp_path / "long.cell"
    path.write_text(TEXT + "#" * (65_536 - len(TEXT)))
    assert load(path).name == "mine"
    path.write_text(TEXT + "#" * (65_537 - len(TEXT)))
    assert "longer than 64 KiB" in refuse(path).message
    with path.open("wb") as file:
        file.truncate(10**9)  # sparse: read whole, it would show
    assert "longer than 64 KiB" in refuse(path).message
    path.write_bytes(b"")
    assert "no cell" in refuse(path).message


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.cell"
    path.write_bytes(b"# Kout\xedk\n" + TEXT.encode())
    error = refuse(path)
    assert "byte 0xED is not UTF-8" in error.message
    assert error.place is not None
    assert (error.place.line, error.place.column) == (1, 7)
    path.write_bytes("# Koutník ∂".encode() + b"\xff\n" + TEXT.encode())
    error = refuse(path)
    assert error.place is not None
    assert error.place.column == 12, "columns count characters"
    for encoding in ("utf-16", "utf-32", "utf-16-le"):
        path.write_bytes(TEXT.encode(encoding))
        refuse(path)
