"""A cell for a notebook: its comment, its equations with the drawing beside them, and what the signs mean."""

from cellsearch import notebook
from cellsearch.dsl.drawing.wires import draw
from cellsearch.dsl.parts import Parts

GAP = 4  # columns between equations and drawing


def html(cell: Parts) -> str:
    """HTML in which all text of the cell is escaped."""
    drawing = draw(cell)
    margin = max(len(line) for _, line in drawing.rows) + GAP
    lines = "\n".join(f"{line:<{margin}}{wires}".rstrip() for wires, line in drawing.rows)
    said = [" ".join(paragraph.split()) for paragraph in cell.description.split("\n\n")]
    return "".join(
        [
            *(notebook.note(paragraph, "italic") for paragraph in said if paragraph),
            notebook.pre(lines),
            notebook.note(drawing.legend, "dim"),
        ]
    )
