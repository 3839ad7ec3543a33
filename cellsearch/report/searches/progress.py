"""Display of a running search: a screen that is redrawn, or a line for a log.

It shows only recorded results, which survive any crash.
"""

from collections.abc import Sequence

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report.cells.equations import paint
from cellsearch.report.columns import cut, text, wrapped
from cellsearch.report.formatting import between, duration
from cellsearch.report.searches import leaderboard, totals
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.leaderboard.progress import Progress
from cellsearch.study.tables.study_facts import Target

DONE, OPEN = "━", "─"  # characters of a bar, distinct without colours
MESSAGES = 3  # number of recent events


def phase(p: Progress) -> tuple[str, int, int]:
    """The current phase in words, the amount done, and the total."""
    c, target = p.counts, p.target
    if c.told < c.seeds:
        return f"baseline: {totals.baseline(c)}", c.baseline, c.pieces
    known = [("trial", c.trials, target.trials), ("proposal", c.proposals, target.proposals)]
    said = [totals.total(done, of, noun) for noun, done, of in known if of is not None]
    return ", ".join(said), *target.nearest(c.trials, c.proposals)[1:]


def speed(p: Progress, settings: float | None) -> str:
    """Settings per minute, and trials if known; "" before the first result."""
    parts = (
        []
        if not settings
        else [f"{settings:,.0f} settings/min" if settings >= 10 else f"{settings:.1f} settings/min"]
    )
    if p.per_hour:
        minutely = p.per_hour / 60
        parts.append(f"{minutely:.1f} trials/min" if minutely >= 1 else f"{p.per_hour:.1f} trials/h")
    return ", ".join(parts)


def screen(p: Progress, width: int, height: int, settings: float | None) -> list[Text]:
    """The display in `width` columns and at most about `height` lines; `settings` is the rate per minute."""
    word, done, of = phase(p)
    head = text(p.name, "bold").append(f"  {word}")
    left = f", about {between(*p.left)} left" if p.left is not None and done < of else ""
    clock = text(f"{duration(p.spent)}{left}", "dim")
    if head.cell_len + 2 + clock.cell_len <= width:
        above = [head.append("  ").append_text(clock)]
    else:
        above = [cut(head, width), cut(clock, width)]
    above += [_bar(done, of, width), text("")]
    table = _best(p, width)
    below = [text(""), *wrapped(_counts(p, settings), width, style="dim")]
    below += [cut(text(f"not used: {printable(line, 300)}", "yellow"), width) for line in p.dropped]
    messages = [line for message in p.messages[-MESSAGES:] for line in message.splitlines()]
    below += [cut(text(printable(line, 300), "yellow"), width) for line in messages[-MESSAGES:]]
    room = max(2, height - len(above) - len(table) - len(below) - 2)
    return [*above, *table, *_workers(p.workers, width, room), *below]


def _bar(done: int, of: int, width: int) -> Text:
    size = min(width, 100)
    filled = size if of == 0 else size * min(done, of) // of
    return text(DONE * filled, "green").append(OPEN * (size - filled), "dim")


def _best(p: Progress, width: int) -> list[Text]:
    """The best found cell and the seeds."""
    rows = _leading(p)
    if not rows:
        return []
    lines = leaderboard.lines(rows, width, equations=False)
    if p.best:
        head, said = leaderboard.described(p.best)
        name = text(f"{printable(p.best.name)}: {head}", "dim")
        lines.append(cut(name.append_text(paint(said)), width))
    return [*lines, text("")]


def _leading(p: Progress) -> list[Row]:
    """The best found cell and the seeds, in the order of the leaderboard."""
    rows = ([p.best] if p.best else []) + list(p.seeds)
    return sorted(rows, key=lambda row: (row.rank is None, row.rank or 0))


def _workers(workers: Sequence[tuple[str, str]], width: int, room: int) -> list[Text]:
    """The activity of each worker, named by number on one machine, else by host."""
    hosts = {name.rpartition(":")[0] for name, _ in workers}
    shown = []
    for k, (name, doing) in enumerate(workers, 1):
        label = f"worker {k}" if len(hosts) == 1 else printable(name, 24)
        shown.append(cut(text(f"{label:<9} ", "dim").append(printable(doing or "starting", 200)), width))
    if len(shown) > room:
        shown = [*shown[: room - 1], text(f"and {len(workers) - room + 1} more", "dim")]
    return shown or [text("workers are starting", "dim")]


def _counts(p: Progress, settings: float | None) -> str:
    c, quick = p.counts, speed(p, settings)
    parts = [totals.kinds(c, Target())] if c.trials else []
    parts += [totals.outcomes(c)] if c.trials or c.failed else []
    return "; ".join([*parts, totals.settings(c), *([quick] if quick else [])])


def line(p: Progress, settings: float | None) -> str:
    """The same as one line for a log."""
    word, done, of = phase(p)
    parts = [word]
    best = [_short(row) for row in _leading(p) if row.score is not None]
    parts += [", ".join(best)] if best else []
    parts.append(_counts(p, settings))
    if p.left is not None and done < of:
        parts.append(f"about {between(*p.left)} left")
    return f"{duration(p.spent):>7}  {'; '.join(parts)}"


def _short(row: Row) -> str:
    return f"{printable(row.name)} {row.score:.3f}"
