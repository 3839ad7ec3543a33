"""The chain of mutations from a seed to a cell, as `cellsearch lineage` prints it."""

from rich.text import Text

from cellsearch.errors import plural, printable
from cellsearch.report.cells.equations import in_short, paint
from cellsearch.report.columns import cut, text, wrapped
from cellsearch.study.origin import Origin, Step


def lines(found: Origin, width: int) -> list[Text]:
    """Each cell of the chain, the seed first, with its score, its edits and its parts."""
    made = plural(len(found.steps) - 1, "mutation")
    shown = [text(f"{printable(found.cell.name)} in {printable(found.search)}: {made}", "bold")]
    if not found.whole:
        shown.append(text("the beginning of the chain is not recorded", "yellow"))
    for k, step in enumerate(found.steps):
        shown += [text(""), *_step(step, k, width)]
    note = f"score: the smallest ratio of a cell's best accuracies to those of {printable(found.baseline)}"
    return [*shown, text(""), *wrapped(note, width, style="dim")]


def _step(step: Step, place: int, width: int) -> list[Text]:
    head = text(f"{place}  ", "dim")
    head.append(printable(step.name), "bold")
    score = "" if step.score is None else f"score {step.score:.4f}, "
    head.append(f"  {score}{step.standing}  {step.fingerprint[:12]}", "dim")
    shown = [cut(head, width)]
    for edit in step.edits:
        shown += wrapped(printable(edit, 1_000), width, "   ")
    equations = "; ".join(step.changes) if step.changes else in_short(step.text) if place == 0 else ""
    if equations:
        shown.append(cut(text("   ").append_text(paint(printable(equations, 10_000))), width))
    for result in step.tasks:
        if result.accuracy is not None:
            ratio = "" if result.ratio is None else f", ratio {result.ratio:.4f}"
            values = " ".join(f"{name}={v:g}" for name, v in result.values.items() if name != "parameters")
            said = f"{printable(result.task, 40)}: accuracy {result.accuracy:.2%}{ratio}; {values}"
            shown.append(cut(text(f"   {said}", "dim"), width))
    return shown
