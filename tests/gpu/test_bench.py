"""The one command for a GPU, small: every section measures."""

import json
from pathlib import Path

from cellsearch.analysis.bench import gpu


def test_every_section_measures(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    words = "--population 8 --hidden 16 --batch 4 --steps 6 --rounds 2 --cells 3".split()
    assert gpu.main([str(file), *words]) == 0, file.read_text()
    found = json.loads(file.read_text())
    assert found["conditions"]["memory_bytes"] > 0
    assert found["step"][0]["what"].endswith("graph)")
    assert found["cohort"][0]["cells"] == 3
    assert found["search"]["all_stages_cells_per_hour"] > 0
    assert found["compiling"]["ahead"]["cells_per_hour"] > 0
    assert any(row["us"] > 0 for row in found["kernels"])
    assert "TF32" in next(value for name, value in found["rounding"].items() if name.startswith("after"))
