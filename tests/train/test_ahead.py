"""What is handed over to be compiled: every width that a search can ask for."""

from cellsearch.compiler.ahead import Compilers
from cellsearch.dsl import zoo
from cellsearch.train.resources import cost
from cellsearch.train.resources.ahead import prepare
from cellsearch.train.settings import Grid


class Noted(Compilers):
    """Starts nothing, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def prepare(self, *given: object) -> None:  # type: ignore[override]
        self.asked.append(given)


def test_every_width_of_every_stage_is_asked_for() -> None:
    small, large = (
        Grid((1.0,), (0.5,), (1.0,), (1, 3), (900,)),
        Grid((1.0,), (0.5,), (1.0,), (2,), (2500, 9000)),
    )
    noted, cells = Noted(), [zoo.load("gru"), zoo.load("lstm")]
    prepare(noted, cells, [(5, small), (40, large)])
    for (asked, widths, layers, dtype), cell in zip(noted.asked, cells, strict=True):
        assert asked == [cell] and layers == 3 and dtype == "float32"
        wanted = [(5, 1, 900), (5, 3, 900), (40, 2, 2500), (40, 2, 9000)]
        assert widths == {cost.width(cell, *which) for which in wanted} and len(widths) > 2
