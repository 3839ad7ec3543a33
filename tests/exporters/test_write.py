"""Files are whole or absent, and errors say what to do."""

import errno
import os
import stat
from pathlib import Path

import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError, ExportError
from cellsearch.exporters.latex import latex
from cellsearch.exporters.names import class_name, file_stem
from cellsearch.exporters.torch.source import torch_source
from cellsearch.exporters.write import export


def test_writes_both_kinds(tmp_path: Path) -> None:
    cell, facts = zoo.load("gru"), {"score": 1.5}
    paths = export(cell, tmp_path / "new" / "folder", ("torch", "latex"), provenance=facts)
    assert paths == [tmp_path / "new" / "folder" / "gru.py", tmp_path / "new" / "folder" / "gru.tex"]
    assert paths[0].read_text() == torch_source(cell, facts)
    assert paths[1].read_text() == latex(cell, facts)
    assert sorted(p.name for p in paths[0].parent.iterdir()) == ["gru.py", "gru.tex"]


def test_paths_of_files_and_names(tmp_path: Path) -> None:
    cell = zoo.load("rnn")
    assert export(cell, tmp_path / "a.py") == [tmp_path / "a.py"]
    assert export(cell, str(tmp_path / "b.tex")) == [tmp_path / "b.tex"]
    assert export(cell, tmp_path) == [tmp_path / "rnn.py"]
    assert export(cell, tmp_path, "latex", name="elman") == [tmp_path / "elman.tex"]
    assert export(cell, tmp_path, name="elman") == [tmp_path / "elman.py"]
    assert "class Elman(nn.Module):" in (tmp_path / "elman.py").read_text()
    with pytest.raises(ExportError, match="name a directory for several files"):
        export(cell, tmp_path / "c.py", ("torch", "latex"))


@pytest.mark.parametrize("name", ["a b", "../x", "", "tanh", "x" * 65, "a\nb", "é"])
def test_bad_names_are_refused(name: str, tmp_path: Path) -> None:
    if not name:
        return
    with pytest.raises(ExportError, match="choose another name"):
        export(zoo.load("rnn"), tmp_path, name=name)


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError,
        match=r"unknown format 'latx'\ndid you mean 'latex'\? \(there are torch, onnx, latex, cell\)",
    ):
        export(zoo.load("rnn"), tmp_path, ("latx",))
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there(tmp_path: Path) -> None:
    cell = zoo.load("rnn")
    (path,) = export(cell, tmp_path)
    before = path.stat().st_mtime_ns
    assert export(cell, tmp_path) == [path]
    assert path.stat().st_mtime_ns == before  # the same contents: left alone
    path.write_text("mine")
    with pytest.raises(
        ExportError, match=r"rnn\.py already exists with other contents\nwrite over it with --force"
    ):
        export(cell, tmp_path, ("latex", "torch"))
    assert path.read_text() == "mine" and not (tmp_path / "rnn.tex").exists()
    export(cell, tmp_path, overwrite=True)
    assert path.read_text() == torch_source(cell)
    (tmp_path / "gru.py").mkdir()
    with pytest.raises(ExportError, match="is a directory"):
        export(zoo.load("gru"), tmp_path, overwrite=True)


def test_disagreement_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch_source(zoo.load("rnn"))

    def wrong(cell: object, provenance: object = None) -> str:
        return right.replace("torch.tanh", "torch.sigmoid")

    monkeypatch.setattr("cellsearch.exporters.torch.source.torch_source", wrong)
    with pytest.raises(ExportError, match="its output differs from that of the compiled cell by"):
        export(zoo.load("rnn"), tmp_path, ("latex", "torch"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", ["fsync", "write", "replace"])
def test_a_full_disk_leaves_the_old_file(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rnn.py").write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif failing == "replace":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(ExportError, match="No space left on device\nfree some space") as caught:
        export(zoo.load("rnn"), tmp_path, overwrite=True)
    assert "rnn.py" in str(caught.value)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["rnn.py"]
    assert (tmp_path / "rnn.py").read_text() == "old"


def test_damage_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"")
    with pytest.raises(ExportError, match="reads back with other contents"):
        export(zoo.load("rnn"), tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_directories(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ExportError, match="Permission denied"):
        export(zoo.load("rnn"), tmp_path)
    tmp_path.chmod(stat.S_IRWXU)


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (
        tmp_path / "file" / "below",
        tmp_path / ("x" * 300),
        tmp_path / "a\0b",
        tmp_path / "a\0b.py",
    ):
        with pytest.raises(ExportError, match="cannot write"):
            export(zoo.load("rnn"), path)
    odd = tmp_path / "with space; % ü\n"
    assert export(zoo.load("rnn"), odd)[0].exists()


def test_names_that_the_compiler_refuses(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="project"):
        export(parse("cell t(x; h)\nproject = [x]\nh' = project * h\n"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_class_and_file_names() -> None:
    names = {"lstm": "Lstm", "peephole_lstm": "PeepholeLstm", "mut1": "Mut1", "true": "True_", "_": "Cell"}
    names |= {
        "tensor": "Tensor_",
        "weights": "Weights_",
        "states": "States_",
        "_1": "Cell1",
        "myGRU": "MyGRU",
    }
    assert {name: class_name(name) for name in names} == names
    stems = {"lstm": "lstm", "class": "class_", "torch": "torch_", "math": "math_", "typing": "typing_"}
    assert {name: file_stem(name) for name in stems} == stems
