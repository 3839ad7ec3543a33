"""The cache of compiled kernels: nobody else can put a library there, nothing is left over, its size is bounded."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellsearch.compiler.engines.native import cache, toolchain
from cellsearch.errors import RunError

needs_compiler = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be other users")
OTHER = 12_345  # a user
TEXT = "int answer(void) { return %d; }"


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What CELLSEARCH_CACHE says; nothing is loaded or open."""
    monkeypatch.setenv("CELLSEARCH_CACHE", str(tmp_path / "a" / "b"))
    toolchain._loaded.clear()
    cache.opened.cache_clear()
    yield tmp_path / "a" / "b"
    cache.opened.cache_clear()
    toolchain._loaded.clear()


def answer(number: int) -> int:
    """What a library says that is made for it, or found, and unloaded again."""
    said = toolchain.library(TEXT % number, "float32").answer()
    toolchain._loaded.clear()
    return int(said)


def names(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "kernels").iterdir())


def test_it_is_made_for_this_user_alone(base: Path) -> None:
    before = os.umask(0)
    try:
        assert cache.opened().path == base / "kernels"
    finally:
        os.umask(before)
    for folder in (base.parent, base, base / "kernels"):
        assert folder.stat().st_mode & 0o777 == 0o700


def writable(folder: Path) -> None:
    folder.chmod(0o777)


def of_a_group(folder: Path) -> None:
    folder.chmod(0o770)


def of_another(folder: Path) -> None:
    os.chown(folder, OTHER, -1)


@pytest.mark.parametrize("where", ["kernels", ".", ".."])
@pytest.mark.parametrize("change", [writable, of_a_group, pytest.param(of_another, marks=needs_root)])
def test_it_is_not_used_where_another_user_may_write(
    base: Path, where: str, change: Callable[[Path], None]
) -> None:
    (base / "kernels").mkdir(parents=True)
    change(folder := (base / where).resolve())
    with pytest.warns(UserWarning, match="compiled kernels are not kept in") as told:
        found = cache.opened()
    assert base not in found.path.parents and found.path.stat().st_mode & 0o777 == 0o700
    said = str(told[0].message)
    assert f"{folder}; chmod go-w {folder}" in said or f"{folder} belongs to another user ({OTHER})" in said


@pytest.mark.parametrize("where", [".", ".."])
def test_a_sticky_directory_above_it_is_none_of_those(base: Path, where: str) -> None:
    """As /tmp is; the cache itself may not be one."""
    (base / "kernels").mkdir(parents=True)
    (base / where).resolve().chmod(0o1777)
    assert cache.opened().path == base / "kernels"
    (base / "kernels").chmod(0o1777)
    assert "other users may write" in cache.unsafe(base / "kernels")


def test_a_link_on_the_way_is_followed_once_and_what_it_leads_to_is_checked(
    base: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    base.parent.mkdir()
    base.symlink_to(tmp_path / "theirs")
    assert cache.opened().path == tmp_path / "theirs" / "kernels"
    cache.opened.cache_clear()
    (tmp_path / "theirs").chmod(0o777)
    with pytest.warns(UserWarning, match=f"{tmp_path / 'theirs'}; chmod"):
        cache.opened()
    cache.opened.cache_clear()
    shutil.rmtree(tmp_path / "theirs" / "kernels")
    (tmp_path / "theirs").chmod(0o700)
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs" / "kernels").symlink_to(tmp_path / "mine")
    with pytest.warns(UserWarning, match="is not a directory"):
        assert tmp_path not in cache.opened().path.parents


def test_where_nothing_can_be_written_it_goes_with_the_process(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CELLSEARCH_CACHE", str(tmp_path / "file"))
    assert cache.opened().path.is_dir() and tmp_path not in cache.opened().path.parents


@needs_compiler
def test_a_library_is_compiled_once_and_used_from_then_on(base: Path) -> None:
    before = os.umask(0)
    try:
        assert answer(42) == 42
    finally:
        os.umask(before)
    (made,) = (base / "kernels").iterdir()
    assert made.suffix == ".so" and made.stat().st_mode & 0o777 == 0o600
    os.utime(made, (1, 1))
    inode = made.stat().st_ino
    assert answer(42) == 42
    assert made.stat().st_ino == inode and made.stat().st_mtime > 1  # it was used now


def link(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


def hard_link(path: Path, other: Path) -> None:
    path.unlink()
    path.hardlink_to(other)


def folder(path: Path, _other: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)


def fifo(path: Path, _other: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def anybody_writes(path: Path, _other: Path) -> None:
    path.chmod(0o666)


def another_owns(path: Path, other: Path) -> None:
    path.unlink()
    shutil.copy(other, path)
    os.chown(path, OTHER, -1)


def cut_off(path: Path, _other: Path) -> None:
    data = path.read_bytes()[:1_000]
    path.unlink()  # it may still be mapped
    path.write_bytes(data)
    path.chmod(0o600)


def emptied(path: Path, _other: Path) -> None:
    path.unlink()
    path.touch(0o600)


@needs_compiler
@pytest.mark.parametrize(
    "trap",
    [
        link,
        hard_link,
        folder,
        fifo,
        anybody_writes,
        pytest.param(another_owns, marks=needs_root),
        cut_off,
        emptied,
    ],
)
def test_what_is_no_library_of_this_user_is_made_anew(
    base: Path, tmp_path: Path, trap: Callable[[Path, Path], None]
) -> None:
    assert answer(1) == 1
    (made,) = (base / "kernels").iterdir()
    planted = tmp_path / "planted.so"
    toolchain._loaded.clear()
    assert answer(666) == 666
    (other,) = set((base / "kernels").iterdir()) - {made}
    other.rename(planted)
    trap(made, planted)
    assert answer(1) == 1
    assert names(base) == [made.name]
    assert made.is_file() and not made.is_symlink() and made.stat().st_mode & 0o777 == 0o600


@needs_compiler
def test_a_directory_that_is_put_in_its_place_is_not_read(base: Path, tmp_path: Path) -> None:
    """What is held open counts, not the name."""
    assert answer(2) == 2
    here = cache.opened()
    (name,) = names(base)
    (base / "kernels").rename(tmp_path / "moved")
    (base / "kernels").mkdir()
    (base / "kernels" / name).write_bytes(b"planted")
    path = cache.find(here, name)
    assert path is not None
    if path.startswith("/proc/"):
        assert Path(path).read_bytes() == (tmp_path / "moved" / name).read_bytes()
        assert answer(2) == 2


@needs_compiler
def test_what_cannot_be_loaded_at_all_is_one_message(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise OSError(f"{path}: failed to map segment from shared object")

    monkeypatch.setattr("ctypes.CDLL", refused)
    with pytest.raises(RunError, match=r"failed to map.*\n.*noexec. choose another CELLSEARCH_CACHE"):
        answer(3)


COMPILING = """
import os, sys
from cellsearch.compiler.engines.native import toolchain
toolchain.subprocess.run = lambda *_, **__: os.kill(os.getpid(), 9)
toolchain.compiler = lambda: "cc"
toolchain._version = lambda _: "cc"
toolchain.library("int x;", "float32")
"""


def test_what_a_killed_compilation_has_left_goes(base: Path) -> None:
    done = subprocess.run([sys.executable, "-c", COMPILING], env={**os.environ}, check=False)
    assert done.returncode == -9
    (left,) = names(base)
    assert left.startswith(cache.MAKING)
    here = cache.opened()
    cache.tidy(here)
    assert names(base) == [left]  # it may still be at work
    old = time.time() - 2 * cache.LEFT_OVER
    os.utime(base / "kernels" / left, (old, old))
    cache.tidy(here)
    assert names(base) == []


def test_its_size_is_bounded_and_what_was_used_last_stays(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LIMIT", 10_000)
    here = cache.opened()
    for k in range(10):
        path = here.path / f"{k}.so"
        path.write_bytes(b"x" * 1_000)
        os.utime(path, (k, k))
        path.chmod(0o600)
    cache.tidy(here)
    assert len(names(base)) == 10  # at the limit, not above it
    assert cache.find(here, "0.so") and cache.find(here, "3.so")  # which is to use them
    (made := base / "new").write_bytes(b"x" * 1_000)
    cache.put(here, made, "new.so")
    assert names(base) == ["0.so", "3.so", "6.so", "7.so", "8.so", "9.so", "new.so"]


@needs_compiler
def test_a_library_that_is_in_use_goes_on_when_it_is_removed(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = toolchain.library(TEXT % 5, "float32")
    monkeypatch.setattr(cache, "LIMIT", 0)
    cache.tidy(cache.opened())
    assert len(names(base)) == 1  # that which was used last is kept
    assert answer(6) == 6 and len(names(base)) == 1
    assert library.answer() == 5
    toolchain._loaded.clear()
    assert answer(5) == 5
