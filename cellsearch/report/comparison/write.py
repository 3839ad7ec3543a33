"""A comparison as a folder: a page, the box plots, and all values."""

import json
from pathlib import Path

from cellsearch import files
from cellsearch.analysis.compare import facts
from cellsearch.analysis.compare.run import Comparison, Plan, Tell, compare
from cellsearch.report.comparison import boxes
from cellsearch.report.comparison.page import page

PAGE, FIGURE, VALUES = "README.md", "compare.svg", "compare.json"


def compared(made: Plan, folder: Path, *, workers: int = 1, tell: Tell = lambda step: None) -> Comparison:
    """Trains, judges and writes page, figure and values into `folder`."""
    found = compare(made, folder, workers=workers, tell=tell)
    values = facts.as_json(found)
    files.write_text(folder / FIGURE, boxes.svg(values))
    files.write_text(folder / PAGE, page(values, FIGURE))
    files.write_text(folder / VALUES, json.dumps(values, indent=1, allow_nan=False) + "\n")
    return found
