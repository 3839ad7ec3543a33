"""What a notebook shows while a search, a training, a verification or a comparison works: the display of the
command line, replaced in place. Outside of a notebook nothing is shown.
"""

from collections.abc import Callable

from cellsearch import notebook
from cellsearch.analysis.compare.run import Tell as Compared
from cellsearch.analysis.training.model import Progress as Trained
from cellsearch.analysis.verify.run import Tell
from cellsearch.report.comparison import table as comparison
from cellsearch.report.models import epoch_line
from cellsearch.report.searches.progress import line, screen
from cellsearch.report.searches.verify import step_line
from cellsearch.study.leaderboard.progress import Progress

Show = Callable[[Progress], None]

WIDTH, HEIGHT = 100, 24  # columns and lines of the display of a search


def of_search(given: Show | None) -> Show | None:
    """`given`, or where it is None the display of a notebook: a screen, or a line without workers."""
    show = notebook.live() if given is None else None
    if show is None:
        return given

    def shown(p: Progress) -> None:
        if p.workers:
            show(notebook.pre("\n".join(part.plain for part in screen(p, WIDTH, HEIGHT, None))))
        else:
            show(notebook.note(line(p, None).strip()))

    return shown


def of_training(given: Trained | None) -> Trained | None:
    """Likewise; a line with the last epoch."""
    show = notebook.live() if given is None else None
    if show is None:
        return given
    return lambda label, epoch, running, best: show(notebook.pre(epoch_line(label, epoch, running, best)))


def of_verification(given: Tell | None) -> Tell:
    """Likewise; a line with the last repeat."""
    show = notebook.live() if given is None else None
    if show is None:
        return given or (lambda step: None)
    return lambda step: show(notebook.pre(step_line(step) or "nothing is left of this round"))


def of_comparison(given: Compared | None) -> Compared:
    """Likewise; a line with the last population."""
    show = notebook.live() if given is None else None
    if show is None:
        return given or (lambda step: None)
    return lambda step: show(notebook.pre(comparison.step_line(step)))
