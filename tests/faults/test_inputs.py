# ruff: noqa: RUF001  (look-alikes are what is tested)
"""What people and programs may give to the command line: cells, spaces and files of others, good and bad.

Each goes the whole way, through a file and a verb: a code of 0, 1 or 2, a message with its place, no traceback, and
nothing executed. The long lists of texts are in tests/dsl (test_text_errors, test_text_any) and
tests/study/space/test_yaml_text, those of words on the command line in tests/cli.
"""

import io
import json
import os
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.faults.witness import command
from tests.study.scripted import TEXT

GOOD, BAD = 0, 1
HEAD = "cell t(x; h, c)\n"
REST = "\nh' = tanh[x, c]\nc' = c"

CELLS: dict[str, tuple[str | bytes, int, str]] = {  # what it is -> a text, the exit code, what is said
    "empty": ("", BAD, "this text has no cell"),
    "blanks alone": (" \n\t\n", BAD, "this text has no cell"),
    "a comment alone": ("# nothing\n", BAD, "cell"),
    "ten megabytes": ("#" * 10_000_000, BAD, "is longer than 64 KiB"),
    "a million tokens": (HEAD + "h' = " + "h+" * 500_000, BAD, "is longer than 64 KiB"),
    "ten thousand parentheses": (HEAD + "h' = " + "(" * 10_000, BAD, "nested more than"),
    "an unknown op": (HEAD + "h' = sigmod[x]\nc' = c", BAD, "did you mean 'sigmoid'?"),
    "an equation twice": (HEAD + "i = tanh[x]\ni = tanh[h]" + REST, BAD, "i is assigned twice"),
    "a state twice": (HEAD + "h' = x" + REST, BAD, "h'"),
    "a cycle within a step": (HEAD + "i = o * x\no = i * x" + REST, BAD, "above"),
    "a gate of itself": (HEAD + "i = sigmoid[x, i]" + REST, BAD, "above"),
    "a value that nobody uses": (HEAD + "i = sigmoid[x]" + REST, BAD, "i is never used"),
    "a gate without inputs": (HEAD + "i = sigmoid[]\nh' = i * c\nc' = x", BAD, "[bias"),
    "a state that nobody reads": ("cell t(x; h, c)\nh' = tanh[x]\nc' = h", GOOD, ""),
    "a state that is never written": ("cell t(x; h, c)\nh' = tanh[x, c]", BAD, "c"),
    "a peephole to what is no state": (HEAD + "i = sigmoid[x]\nh' = tanh[x, .i]\nc' = c", GOOD, ""),
    "a peephole to nothing": (HEAD + "h' = tanh[x, .z]\nc' = c", BAD, "'z'"),
    "a clock of zero": ("cell t(x; h)\nclock 0\nh' = tick * x", BAD, "clock"),
    "a clock that goes backward": ("cell t(x; h)\nclock -1\nh' = tick * x", BAD, ""),
    "a clock of a billion": ("cell t(x; h)\nclock 1000000000\nh' = tick * x", BAD, ""),
    "a clock that divides nothing": ("cell t(x; h)\nclock 3, 7\nh' = tick * [x]", GOOD, ""),
    "a gate coupled with nothing": (HEAD + "h' = (1 - f) * x\nc' = c", BAD, "'f'"),
    "a depth gate at the lowest layer": (HEAD + "d = sigmoid[x, .below(c)]\nh' = d * c\nc' = x + h", GOOD, ""),
    "a keyword of Python": ("cell t(x; h)\nclass = tanh[x, h]\nh' = class * class", GOOD, ""),
    "names that Python knows": ("cell t(x; h)\n__import__ = [x]\neval = [h]\nself = eval * __import__\nh' = self", GOOD, ""),
    "a ligature": ("cell t(x; h)\nﬁ = [x]\nh' = ﬁ", BAD, "U+FB01"),
    "a letter of mathematics": ("cell t(x; h)\nh' = 𝐱", BAD, "U+1D431"),
    "a Cyrillic letter": ("cell t(х; h)\nh' = х", BAD, "U+0445"),
    "text that runs backward": ("cell t(x; h)\nh' = x \u202e+ h", BAD, "U+202E"),
    "an invisible blank": ("cell t(x; h)\nh' = x\u200b", BAD, "U+200B"),
    "a zero byte": ("cell t(x; h)\nh' = x\0", BAD, "U+0000"),
    "an emoji": ("cell t(x; h)\nh' = 😀", BAD, "U+1F600"),
    "a name of ten thousand letters": (f"cell t(x; h)\n{'a' * 10_000} = x\nh' = x", BAD, "64"),
    "a name with a statement": ("cell t(x; h)\nx;import os = h\nh' = x", BAD, ""),
    "a name with quotes": ('cell t(x; h)\n""" = h\nh\' = x', BAD, ""),
    "a name with a call": ("cell t(x; h)\n{__import__('os')} = h\nh' = x", BAD, ""),
    "a name with an escape": ("cell \x1b[31mt(x; h)\nh' = x", BAD, "U+001B"),
    "a name with markup": ("cell [red](x; h)\nh' = x", BAD, ""),
    "comments that end others": ('# */ --> </script> """ $(touch here) `touch here` \\input{/etc/passwd}\ncell t(x; h)\nh\' = [x]', GOOD, ""),
    "a comment with colours": ("# \x1b[31mred\ncell t(x; h)\nh' = [x]", BAD, "U+001B is not allowed in a comment"),
    "a comment with markup": ("# [red]not[/red] [link=file:///x]here[/link] =HYPERLINK(1)\ncell t(x; h)\nh' = [x]", GOOD, ""),
    "lines of another system": ("cell t(x; h)\r\nh' = [x]\r\n", GOOD, ""),
    "a mark of the order of bytes": ("\ufeffcell t(x; h)\nh' = [x]", GOOD, ""),
    "sixteen bits a letter": ("cell t(x; h)\nh' = [x]".encode("utf-16"), BAD, "is not UTF-8"),
    "bytes that are no text": (b"cell t(x; h)\nh' = \xff", BAD, "is not UTF-8"),
    "too large a number": ("cell t(x; h)\nh' = x * 1e309", BAD, "1e309"),
    "no number": ("cell t(x; h)\nh' = x * nan", BAD, "'nan'"),
    "zero with a sign": ("cell t(x; h)\nh' = x * -0", GOOD, ""),
    "a number with a prefix": ("cell t(x; h)\nh' = x * 0x10", BAD, "0x10"),
    "a number with a joint": ("cell t(x; h)\nh' = x * 1_000", BAD, "1_000"),
    "a very long number": (f"cell t(x; h)\nh' = x * {'9' * 5_000}", BAD, ""),
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(words: list[str], code: int, said: str = "") -> str:
    """What a command says that ends with `code`."""
    found, out, err = command(*words)
    assert found == code, err or out
    assert "Traceback" not in err and "defect" not in err
    assert "\x1b" not in out + err and "\u202e" not in out + err and "\0" not in out + err
    assert (out == "") == (code != 0) and said in err
    assert len(err) < 4_000
    return out + err


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_in_a_file(here: Path, name: str) -> None:
    text, code, said = CELLS[name]
    (here / "t.cell").write_bytes(text if isinstance(text, bytes) else text.encode())
    answer = told(["show", "t.cell"], code, said)
    if code:
        assert answer.startswith(("t.cell:", "error: t.cell"))
        told(["check", "t.cell"], code, said)
        told(["export", "t.cell", "--to", "latex"], code, said)
    assert {path.name for path in here.iterdir()} == {"t.cell"}


@pytest.mark.parametrize("name", [name for name, (_, code, _) in CELLS.items() if not code])
def test_what_is_good_goes_all_the_way(here: Path, name: str) -> None:
    text, _, _ = CELLS[name]
    assert isinstance(text, str)
    (here / "t.cell").write_bytes(text.encode())
    told(["check", "t.cell"], GOOD)
    told(["export", "t.cell", "--to", "torch,latex", "--out", "out"], GOOD)
    assert {path.name for path in (here / "out").iterdir()} == {"t.py", "t.tex"}
    compile((here / "out" / "t.py").read_text(), "t.py", "exec")
    latex = (here / "out" / "t.tex").read_text()
    assert not any(
        "\\input" in line.partition("%")[0] or "\\write" in line.partition("%")[0]
        for line in latex.splitlines()
    )
    assert {path.name for path in here.iterdir()} == {"t.cell", "out"}  # nothing of it was executed


SPACES: dict[str, tuple[str | bytes, str]] = {
    "a bomb": ("a: &a [x, x]\nb: [*a, *a, *a]\n", "anchors are not allowed"),
    "an object": ("name: !!python/object/apply:os.system ['touch here']\n", "tags are not allowed"),
    "a key twice": (TEXT + "name: other\n", "duplicate key 'name'"),
    "a merge": (TEXT + "<<: {about: x}\n", "merge keys are not allowed"),
    "two documents": (TEXT + "---\n" + TEXT, "a second document"),
    "a tab": (TEXT + "training:\n\tbatch: 10\n", "a tab"),
    "deep": (TEXT + "mutation: " + "[" * 500 + "]" * 500, "nested more than 64 deep"),
    "a million bytes and more": (TEXT + "#" * 2**20, "is longer than 1 MiB"),
    "no text": (b"\xff\xfe" + TEXT.encode("utf-16-le"), "is not UTF-8"),
    "a list": ("- 1\n", "is a list, not a mapping"),
    "nothing": ("", ""),
    "a variable of the environment": (TEXT.replace("name: arithmetic", 'name: "${HOME}"'), "'${HOME}'"),
    "a seed that is elsewhere": (TEXT.replace("[lstm, gru]", "[lstm, gru, /etc/passwd]"), "/etc/passwd"),
    "a word for a number": (TEXT.replace("threshold: 0.9", "threshold: high"), "strategy.threshold"),
    "a number that is none": (TEXT.replace("threshold: 0.9", "threshold: .nan"), "not a finite number"),
    "a colour": (TEXT.replace("name: scripted", 'name: "\\e[31mred"'), ""),
    "no settings": (TEXT.replace("learning_rate: [0.1, 0.2, 0.5]", "learning_rate: []"), "learning_rate"),
    "an unknown key": (TEXT + "trainning: {}\n", "did you mean 'training'?"),
}


@pytest.mark.parametrize("name", SPACES)
def test_a_space_in_a_file(here: Path, name: str) -> None:
    text, said = SPACES[name]
    (here / "t.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "t.yaml" in told(["check", "t.yaml"], BAD, said)
    code, out, err = command("search", "t.yaml")
    assert (code, out) == (BAD, "") and said in err and "defect" not in err and "\x1b" not in err
    assert {path.name for path in here.iterdir()} == {"t.yaml"}


class Trap:
    """Executed by whoever unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("here",)


def safetensors(*offsets: int) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": list(offsets)}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 8


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


FOREIGN: dict[str, bytes] = {
    "trap.pkl": pickle.dumps(Trap()), "trap.json": pickle.dumps(Trap()), "trap.py": pickle.dumps(Trap(), 0),
    "weights.pt": zipped("weights/data.pkl", pickle.dumps(Trap())), "old.pt": pickle.dumps(Trap(), 2),
    "overlapping.safetensors": safetensors(0, 4), "huge.safetensors": safetensors(0, 2**62),
    "negative.safetensors": safetensors(-8, 8), "long.safetensors": struct.pack("<Q", 2**63) + b"{}",
    "slip.zip": zipped("../../here/slip.cell", b"cell t(x; h)\nh' = x\n"), "archive.json": zipped("a.json", b"[]"),
    "board.csv": b"rank,name\n1,=HYPERLINK(\"http://x\")\n", "board.json": json.dumps({"rows": [{"name": "m1"}]}).encode(),
    "array.npy": b"\x93NUMPY\x01\x00", "nothing.json": b"", "null.json": b"null", "deep.json": b"[" * 100_000,
    "wide.json": json.dumps({f"n{k}": {"op": "linear", "input": ["x"]} for k in range(20_000)}).encode(),
    "code.py": b"import os\nos.mkdir('here')\nA = Genotype([('tanh', 0)], [1])\nos.mkdir('here')\n" * 3,
    "call.py": b"A = Genotype([(__import__('os').mkdir('here'), 0)], [1])\n", "sixteen.json": "[]".encode("utf-16"),
    "nan.json": b'{"h_new_0": {"op": "linear", "input": [NaN]}}', "number.json": b"1" * 10_000,
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_program(here: Path, name: str) -> None:
    (here / name).write_bytes(FOREIGN[name])
    code, out, err = command("import", name, "--to", "cells")
    assert "Traceback" not in err and "defect" not in err and "\x1b" not in out + err
    assert not (here / "here").exists(), "it was executed"
    if name == "code.py":  # genotypes are looked for in any program, which is read and not run
        assert code in (GOOD, BAD)
        return
    assert (code, out) == (BAD, "") and name in err and len(err) < 2_000
    assert {path.name for path in here.iterdir()} == {name}
    for verb in ("show", "check"):
        code, out, err = command(verb, f"./{name}")
        assert code == BAD and "Traceback" not in err and "defect" not in err


@pytest.mark.parametrize("url", [
    "nonsense", "mysql://u:geheim@h/d", "postgresql://u:geheim@127.0.0.1:1/d", "postgresql+psycopg2://u:geheim@h/d",
    "sqlite:///no/such/folder/x.db", "sqlite://", "sqlite:///:memory:", "postgresql://u:ge%68eim@:99999/d", "://", "postgresql://127.0.0.1:1/d?password=geheim",
    "sqlite:///\x1b[31m.db",
])  # fmt: skip
@pytest.mark.parametrize("verb", ["leaderboard", "status", "worker", "check"])
def test_a_storage_that_is_none(here: Path, verb: str, url: str) -> None:
    words = ["check", url] if verb == "check" else [verb, "s", "--storage", url]
    code, out, err = command(*words)
    assert code in (1, 2) and out == ""
    assert "geheim" not in err and "Traceback" not in err and "defect" not in err and "\x1b" not in err
    assert not [path for path in here.rglob("*") if path.is_file()], "reading has made a file"


def test_nothing_here_is_left_elsewhere() -> None:
    assert not Path(tempfile.gettempdir(), "here").exists()
