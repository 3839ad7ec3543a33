"""A whole search on the Penn Treebank, word level, small: from the command to the leaderboard and an exported file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DATA = os.environ.get("CELLSEARCH_DATA", "")

SPACE = """
name: words
seeds: [lstm, gru]
baseline: gru
strategy: {list: 10, refine: 0.3, settings: 2, margin: -0.05}
mutation: {size: edits, edits: [1, 2]}
filter:
  task: memorize
  options: {symbols: 2, alphabet: 5, train: 8000, valid: 1000, test: 1000}
  accuracy: 0.9
  parameters: [3000]
  training: {max_epochs: 6}
tasks:
  - name: ptb
    options: {vocabulary: 300, train: 30000, valid: 5000, test: 5000}
grid:
  init_scale: [1]
  learning_rate: [0.1, 0.3]
  max_norm: [2.5]
  layers: [1]
  parameters: [30000]
training: {max_epochs: 3}
budget: {trials: 4}
"""


def cellsearch(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cellsearch", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.skipif(
    not Path(DATA, "ptb", "ptb.train.txt").is_file(),
    reason="CELLSEARCH_DATA does not lead to ptb/ptb.train.txt",
)
def test_a_search_on_words_of_the_penn_treebank(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text(SPACE)
    cellsearch(tmp_path, "search", "words.yaml", "--data", DATA, "--workers", "2")
    board = json.loads(cellsearch(tmp_path, "leaderboard", "words", "--json"))
    rows = {row["name"]: row for row in board["rows"]}
    assert {"lstm", "gru"} <= set(rows)
    assert rows["gru"]["score"] == 1.0
    assert rows["lstm"]["score"] > 0.8
    status = json.loads(cellsearch(tmp_path, "status", "words", "--json"))
    assert "4 of 4" in cellsearch(tmp_path, "status", "words")
    assert status
    again = cellsearch(tmp_path, "search", "words.yaml", "--data", DATA)
    assert "gru" in again
    cellsearch(tmp_path, "export", "words:1", "--to", "torch,latex")
    assert list(tmp_path.rglob("*.tex"))
