"""A leaderboard as a value: a sequence of rows, which a notebook shows as `cellsearch leaderboard` does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from rich.text import Text

from cellsearch import notebook
from cellsearch.errors import RunError, plural
from cellsearch.report import html
from cellsearch.report.columns import WHOLE, Column, as_values
from cellsearch.report.searches.board_columns import columns, described, fitting
from cellsearch.report.searches.leaderboard import chosen, trusted
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.scoring.chance import Band

if TYPE_CHECKING:
    import pandas

FIRST = 10  # rows that a notebook shows, and the seeds besides


@dataclass(frozen=True, slots=True, repr=False)
class Board(Sequence[Row]):
    """The rows of a search, best first: `board[0].cell`, `for row in board`, `len(board)`."""

    name: str  # of the search
    baseline: str  # the cell whose best accuracy on a task is the unit of scores
    rows: tuple[Row, ...]
    band: Band | None = None  # what chance alone would score; None where it is not known

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def frame(self) -> "pandas.DataFrame":
        """The board as a DataFrame, a row a cell: the columns of `cellsearch leaderboard --format csv --all`,
        such as `score`, `parameters`, and for each task `TASK_ratio`, `TASK_accuracy`, `TASK_setting_…`.

        RunError where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise RunError(
                "a DataFrame needs the package pandas: pip install 'cellsearch[notebook]'"
            ) from None
        return pandas.DataFrame(as_values(columns(self.rows, every=True)))

    def __repr__(self) -> str:
        first = next((row for row in self.rows if row.rank == 1), None)
        best = "" if first is None or first.score is None else f", first {first.name} with {first.score:.3f}"
        return f"<Board {self.name}: {plural(len(self.rows), 'cell')}{best}>"

    def _repr_html_(self) -> str:
        """The first rows and the seeds with their equations, and how far they can be trusted."""
        shown = chosen(self.rows, FIRST)
        if not shown:
            return notebook.note(f"{self.name}: no cell has been evaluated yet")
        said = ["".join(described(row)) for row in shown]
        equations = Column("equations", [Text(line) for line in said], code=True)
        left = len(self.rows) - len(shown)
        notes = trusted(self.band, shown, self.baseline, WHOLE)
        return "".join(
            [
                notebook.note(self.name, "bold"),
                html.table([*fitting(shown, WHOLE, None, ()), equations]),
                notebook.note(f"and {plural(left, 'more cell')}" if left else "", "dim"),
                *(notebook.note(line.plain, "dim") for line in notes),
            ]
        )
