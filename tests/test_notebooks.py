"""The notebooks of the documentation: committed without outputs, and executed here."""

import json
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "cellsearch" / "docs" / "notebooks").glob("*.ipynb"))
#: What a notebook must show, as HTML or as text.
SHOWN = {
    "cell.ipynb": ("■─■─╮", "did you mean &#39;sigmoid&#39;?", "f.x", "torch.nn.LSTM", "import torch"),
    "search.ipynb": (
        "8 of 8 trials",
        "<table>",
        "lstm",
        "the GRU, ratio",
        "model.safetensors",
        "test accuracy",
    ),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_valid_and_has_no_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5 and not any(cell.outputs or cell.execution_count for cell in code)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}  # nothing of who ran it last
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


def shown(output: Any) -> str:
    """The text of an output, its HTML where it has some."""
    if output.output_type == "stream":
        return str(output.text).replace("'", "&#39;")
    return str(output.data.get("text/html") or output.data.get("text/plain"))


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=280, kernel_name="python3", resources=resources).execute()
    outputs = [one for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs]
    errors = [one for one in outputs if one.get("name") == "stderr" or one.output_type == "error"]
    assert not errors, json.dumps(errors)
    said = "\n".join(map(shown, outputs))
    assert [part for part in SHOWN[path.name] if part not in said] == []
