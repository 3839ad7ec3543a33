"""Texts from disk: what is read, and that everything else is one clear message and never a hang."""

import bz2
import gzip
import lzma
import os
import signal
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellsearch.errors import DataError
from cellsearch.tasks import build, files
from cellsearch.tasks.files import read_text


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    if not hasattr(signal, "SIGALRM"):
        yield
        return
    signal.alarm(20)
    yield
    signal.alarm(0)


def refused(path: Path, *words: str) -> str:
    with pytest.raises(DataError) as caught:
        read_text(path, "the text")
    message = str(caught.value)
    assert "the text" in message
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_marks_and_line_ends_of_other_systems(tmp_path: Path) -> None:
    path = tmp_path / "windows.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntw\xc3\xb6\r\n")
    assert read_text(path, "the text") == "one\ntwö\n"


def test_a_carriage_return_alone_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "old_mac.txt"
    path.write_bytes(b"one\rtwo\r\n\rthree\r")
    assert read_text(path, "the text") == "one\ntwo\n\nthree\n"


def test_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    packed = {"gunzip": gzip.compress, "bunzip2": bz2.compress, "unxz": lzma.compress}
    for command, compress in packed.items():
        path.write_bytes(compress(b"some text " * 99))
        refused(path, "compressed", f"{command} FILE")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.txt", "some text " * 99)
    refused(path, "compressed", "unzip FILE")


def test_what_is_missing(tmp_path: Path) -> None:
    refused(tmp_path / "no.txt", "no.txt", "does not exist", "--data")
    refused(tmp_path / "no" / "no.txt", "does not exist")


def test_what_is_no_file(tmp_path: Path) -> None:
    refused(tmp_path, "a directory")
    refused(Path(os.devnull), "a device")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_fifo_and_a_socket_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "a FIFO")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path may have 100 characters alone
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        refused(tmp_path / "socket", "a socket")


def test_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", "cannot access")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    refused(tmp_path / "dangling", "does not exist")
    (tmp_path / "real").write_text("text")
    (tmp_path / "good").symlink_to(tmp_path / "real")
    assert read_text(tmp_path / "good", "the text") == "text"


def test_paths_that_no_system_has(tmp_path: Path) -> None:
    refused(tmp_path / ("x" * 5000), "cannot access")
    refused(tmp_path / "a\0b", "cannot access")
    message = refused(tmp_path / "a\x1b[31m\nb", "does not exist")
    assert "\x1b" not in message


def test_what_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9 au lait")
    refused(path, "not UTF-8", "0xe9", "offset 3", "iconv")
    path.write_bytes(b"\xef\xbb\xbfcaf\xe9")
    refused(path, "not UTF-8", "0xe9", "offset 6")
    path.write_bytes("wide".encode("utf-16"))
    refused(path, "not UTF-8")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \n\r\n\t"])
def test_what_is_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(content)
    refused(path, "empty")


def test_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(files.MAX_BYTES + 1)  # sparse: takes no room on the disk
    refused(path, "larger than 128 MiB")
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    path.write_bytes(b"x" * 2**20)
    assert len(read_text(path, "the text")) == 2**20


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("text")
    path.chmod(0)
    refused(path, "cannot read", "ermission")


def test_the_data_directory(tmp_path: Path) -> None:
    options = {"path": "x.txt"}
    with pytest.raises(DataError, match=r"no 'x.txt' in the folder of the search space, .*--data DIR"):
        build("text", options, batch=2, seed=0, data=None)
    with pytest.raises(DataError, match="the data directory of task 'text' does not exist"):
        build("text", options, batch=2, seed=0, data=tmp_path / "no")
    (tmp_path / "file").write_text("text")
    with pytest.raises(DataError, match="not a directory"):
        build("text", options, batch=2, seed=0, data=tmp_path / "file")
    (tmp_path / "x.txt").write_text("abcdefghij" * 10)
    relative = build("text", options, batch=2, seed=0, data=tmp_path)
    absolute = build("text", {"path": str(tmp_path / "x.txt")}, batch=2, seed=0, data=None)
    assert relative.digest == absolute.digest


def test_a_file_that_moved_is_found_in_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("abcdefghij" * 10)
    there = build("text", {"path": str(tmp_path / "x.txt")}, batch=2, seed=0, data=None)
    gone = {"path": str(tmp_path / "gone" / "x.txt")}
    assert build("text", gone, batch=2, seed=0, data=tmp_path).digest == there.digest
    for data in (None, tmp_path.parent):
        with pytest.raises(DataError, match=r"gone/x\.txt: the text of task 'text' does not exist"):
            build("text", gone, batch=2, seed=0, data=data)


def test_a_look_at_a_file_reads_its_start(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    for content, size in (("é" * 40_000, 80_000), ("", 0), ("x" * files.PROBE + "é", files.PROBE + 2)):
        path.write_text(content)
        assert files.probe(path, "the text") == size
    path.write_bytes(b"x" * 100 + b"\xff")
    with pytest.raises(DataError, match=r"the text is not UTF-8 .*offset 100"):
        files.probe(path, "the text")
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(files.MAX_BYTES + 1)
    with pytest.raises(DataError, match="larger than 128 MiB"):
        files.probe(path, "the text")
