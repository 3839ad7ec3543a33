"""Reading files with care and writing them whole."""

import os
import socket
from pathlib import Path

import pytest

from cellsearch import files
from cellsearch.errors import RunError, SpaceError, TextError


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("size", "got"), [(0, 0), (9, 9), (10, 10), (11, 11), (10**9, 11)])
def test_what_is_longer_than_asked_for_shows(tmp_path: Path, size: int, got: int) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(size)  # sparse: read whole, it would show
    assert len(files.read(path, 10)) == got


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)  # a socket's path may have 100 characters alone
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
        for path, kind in (
            (".", "a directory"),
            ("fifo", "a FIFO"),
            ("/dev/zero", "a device"),
            ("socket", "a socket"),
        ):
            with pytest.raises(files.NotRegularError) as caught:
                files.read(Path(path), 10)
            assert caught.value.kind == kind
            assert caught.value.is_directory == (path == ".")


def test_a_file_that_becomes_a_fifo_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("text")
    opened = os.open

    def changed(name: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return opened(name, flags)

    monkeypatch.setattr(os, "open", changed)
    with pytest.raises(files.NotRegularError, match="a FIFO"):
        files.read(path, 10)


def test_paths_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "none", 10)
    with pytest.raises(ValueError, match="null"):
        files.read(tmp_path / "a\0b", 10)
    with pytest.raises(OSError, match="too long") as caught:
        files.read(tmp_path / ("x" * 300), 10)
    assert files.reason(caught.value) == "File name too long"
    assert files.reason(ValueError("embedded null byte")) == "embedded null byte"


@pytest.mark.parametrize(
    ("data", "line", "column", "text"),
    [
        (b"\xff", 1, 1, "\ufffd"),
        ("ä\nü b".encode() + b"\xfc c\nd", 2, 4, "ü b\ufffd c"),
        (b"a\r\nb\xff\r\nc", 2, 2, "b\ufffd"),
        (b"a\rb\n\xff", 3, 1, "\ufffd"),
    ],
)
def test_the_place_of_a_byte_that_is_not_utf8(
    tmp_path: Path, data: bytes, line: int, column: int, text: str
) -> None:
    path = tmp_path / "a.cell"
    path.write_bytes(data)
    with pytest.raises(TextError, match="is not UTF-8") as caught:
        files.read_text(path, 100, TextError, "a cell", ".cell file", "?")
    place = caught.value.place
    assert place is not None
    assert (place.file, place.line, place.column, place.text) == (str(path), line, column, text)


@pytest.mark.parametrize(("most", "size"), [(4096, "4 KiB"), (2**20, "1 MiB")])
def test_what_is_too_long_says_how_long_it_may_be(tmp_path: Path, most: int, size: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * most)
    assert len(files.read_text(path, most, SpaceError, "a space", ".yaml file", "?")) == most
    path.write_bytes(b"x" * (most + 1))
    with pytest.raises(SpaceError, match=f"is longer than {size}\nis it?"):
        files.read_text(path, most, SpaceError, "a space", ".yaml file", "is it?")


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (Path, "replace")])
def test_files_are_whole_or_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    path = tmp_path / "a.cell"
    files.write_text(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(RunError, match="No space left on device\nfree some space"):
        files.write_text(path, "new")
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == "ä\n".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["a.cell"]


def test_long_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)  # of 255 bytes; the name on the way is no longer
    files.write_whole(path, b"data")
    assert path.read_bytes() == b"data"
