"""Damaged space files: each loads or is refused with the place of every error, within bounded time."""

import time
from pathlib import Path

import numpy as np
import pytest

from cellsearch.cli.main import main
from cellsearch.errors import SpaceError
from cellsearch.study.space import load_space, names, parse_space, source_of
from cellsearch.study.space.faults import MOST
from cellsearch.study.space.keys import sections

SECONDS = 2.0  # of CPU time for one file
EVERY = 25  # one in so many files goes through `cellsearch check` too, which builds its data
PIECES = [
    *(key.name for section in sections() for key in section.keys),
    *(section.name for section in sections()),
    *"{}[]:,-#&*!|>'\"%@`\t\\?",
    "\n", "\n  ", "- ", ": ", "null", "true", "0", "-1", "1e999", "017", ".nan", "1e6", "9" * 50, "x" * 300, "é", "\x1b[31m",
    "\ufeff", "\u202e", "<<: ", "!!python/object:os.system ", "&a ", "*a", "---\n", "[[[[", "{a: " * 70,
    "gru", "lstm", "../../etc/passwd", "nosuch.cell", "linear(1e999)", "uniform(1, -1)", "eye(0.9)", "rank(0)",
]  # fmt: skip


def damaged(rng: np.random.Generator, text: str) -> str:
    """`text` after a few edits: characters, words and lines removed, repeated, moved, replaced or put in."""
    for _ in range(int(rng.integers(1, 6))):
        at, length = int(rng.integers(len(text) + 1)), int(rng.geometric(0.2))
        piece = PIECES[rng.integers(len(PIECES))]
        lines = text.splitlines(keepends=True) or [""]
        k, other = (int(rng.integers(len(lines))) for _ in range(2))
        match rng.integers(7):
            case 0:
                text = text[:at] + piece + text[at:]
            case 1:
                text = text[:at] + text[at + length :]
            case 2:
                text = text[:at] + piece + text[at + length :]
            case 3:
                text = "".join([*lines[:k], *lines[k + 1 :]])
            case 4:
                text = "".join([*lines[:k], lines[other], *lines[k:]])
            case 5:
                key, colon, _ = lines[k].partition(":")
                lines[k] = f"{key}{colon} {piece}\n"
                text = "".join(lines)
            case _:
                words = lines[k].split(" ")
                words[rng.integers(len(words))] = piece
                lines[k] = " ".join(words)
                text = "".join(lines)
    return text


@pytest.mark.long
@pytest.mark.parametrize(
    ("files", "seed"),
    [(1_000, 1), *(pytest.param(1_000, seed, marks=pytest.mark.soak) for seed in range(2, 11))],
)
def test_any_damage_loads_or_is_told_with_its_places(
    files: int, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(seed)
    texts = [source_of(name) for name in names()]
    texts += [load_space("quick").text, "tasks: [{name: text, options: {path: a.txt}}]\n"]
    (tmp_path / "a.txt").write_text("to be or not to be\n" * 1_000)
    (tmp_path / "nosuch.cell").mkdir()
    path = tmp_path / "s.yaml"
    main(["check", "quick"])  # what is loaded once
    loaded = refused = 0
    for k in range(files):
        text = damaged(rng, texts[k % len(texts)])
        path.write_text(text, encoding="utf-8", newline="")
        begin = time.process_time()
        try:
            space = load_space(path)
        except SpaceError as error:
            refused += 1
            assert 1 <= len(error.parts) <= MOST
            assert all(part.place is not None and part.message for part in error.parts), text
            assert str(error).replace("\n", "").isprintable(), text
        else:
            loaded += 1
            assert parse_space(space.text) == space, text
        assert time.process_time() - begin < SECONDS, text
        if k % EVERY == 0:
            capsys.readouterr()
            begin = time.process_time()
            code = main(["check", str(path)])
            said = capsys.readouterr()
            assert time.process_time() - begin < SECONDS, text
            assert code in (0, 1), text
            assert "Traceback" not in said.err and "defect" not in said.err, f"{text}\n{said.err}"
            assert code == 0 or "s.yaml:" in said.err, text
    assert loaded > files / 20 and refused > files / 4
