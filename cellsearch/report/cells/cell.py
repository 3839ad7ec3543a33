"""One cell as `cellsearch show` prints it: lines, or values for JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from cellsearch.dsl.describe import Description, Size, describe, size
from cellsearch.dsl.drawing.wires import draw
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.initial import Drawn
from cellsearch.dsl.nodes import Affine
from cellsearch.dsl.printer import initial
from cellsearch.dsl.roles import Gate
from cellsearch.dsl.text import show
from cellsearch.dsl.weights import Weight, weights
from cellsearch.errors import printable
from cellsearch.report.cells.equations import paint
from cellsearch.report.cells.formulas import formulas
from cellsearch.report.columns import Column, cut, facts, table, text, width_of, wrapped
from cellsearch.report.formatting import plural
from cellsearch.study.leaderboard.rows import Repeated, Row, TaskResult
from cellsearch.study.origin import Origin, Step, in_short, results_json
from cellsearch.study.origin import as_json as origin_json
from cellsearch.study.scoring.verdicts import Verdict

SHORT = 12  # shown letters of a fingerprint


@dataclass(frozen=True, slots=True)
class Page:
    """A cell and the facts that `show` prints."""

    cell: Cell
    fingerprint: str
    origin: str  # its source: the zoo, a file, a search
    description: Description
    size: Size
    weights: tuple[Weight, ...]
    width: int  # D, of the input
    hidden: int  # H
    lineage: Origin | None = None  # its chain of ancestors in a search
    row: Row | None = None  # its results in a search

    @property
    def parent(self) -> Step | None:
        return self.lineage.parent if self.lineage else None


def page(
    cell: Cell,
    origin: str,
    width: int,
    hidden: int,
    lineage: Origin | None = None,
    row: Row | None = None,
) -> Page:
    """The facts about `cell`, counted for one layer. Raises CellError if two weights would share a name."""
    return Page(
        cell,
        fingerprint(cell),
        origin,
        describe(cell),
        size(cell, width, hidden),
        weights(cell),
        width,
        hidden,
        lineage,
        row,
    )


def as_json(p: Page) -> dict[str, Any]:
    """The page as plain values."""
    d = p.description
    return {
        "name": p.cell.name,
        "fingerprint": p.fingerprint,
        "origin": p.origin,
        "parent": p.parent.name if p.parent else "",
        "edits": list(p.lineage.cell.edits) if p.lineage else [],
        "lineage": origin_json(p.lineage) if p.lineage else None,
        "score": p.row and p.row.score,
        "results": results_json(p.row.tasks) if p.row else [],
        "repeated": asdict(p.row.repeated) if p.row and p.row.repeated else None,
        "verdict": asdict(p.row.verdict) if p.row and p.row.verdict else None,
        "description": p.cell.description,
        "text": show(p.cell),
        "formulas": formulas(p.cell),
        "states": [{"name": state.name, "initial": state.initial} for state in p.cell.states],
        "output": d.output,
        "clock": list(p.cell.clock),
        "gates": [{key: value for key, value in asdict(gate).items() if key != "node"} for gate in d.gates],
        "connections": list(d.connections),
        "peepholes": list(d.peepholes),
        "biases": list(d.biases),
        "nodes": d.nodes,
        "depth": d.depth,
        "products": d.products,
        "lookback": d.lookback,
        "matrices": d.matrices,
        "input": p.width,
        "hidden": p.hidden,
        "parameters": p.size.parameters,
        "multiply_adds": p.size.multiply_adds,
        "elementwise": p.size.elementwise,
        "weights": [
            {"name": w.name, "kind": w.kind, "shape": list(w.shape(p.width, p.hidden))} for w in p.weights
        ],
    }


def lines(p: Page, width: int, unicode: bool = True) -> list[Text]:
    """The page for a terminal of `width` columns; without `unicode` it leaves the formulas out."""
    head = text(p.cell.name, "bold")
    head.append(f"  {p.fingerprint[:SHORT]}", "dim")
    head.append(f"  {printable(p.origin)}", "dim")
    shown = [cut(head, width)]
    shown += _description(p.cell.description, width)
    shown += _descent(p, width)
    shown += _results(p, width)
    shown += [text(""), *_equations(p.cell, width), text("")]
    if unicode:
        shown += [*(cut(text(f"  {line}", "cyan"), width) for line in formulas(p.cell)), text("")]
    shown += _gates(p.description.gates, width)
    shown += facts(_structure(p), width)
    shown += [text(""), *_weights(p, width)]
    return shown


def _descent(p: Page, width: int) -> list[Text]:
    """The lineage of the cell, one edit per line."""
    if p.parent is None or p.lineage is None:
        return []
    mine = p.lineage.cell.edits
    edits = [("edits" if k == 0 else "", printable(edit, 1_000)) for k, edit in enumerate(mine)]
    score = "" if p.parent.score is None else f"score {p.parent.score:.4f}, "
    parent = f"{printable(p.parent.name)}  ({score}{p.parent.standing})"
    chain = [("origin", printable(in_short(p.lineage), 1_000))] * (len(p.lineage.steps) > 2)
    return [text(""), *facts([("parent", parent), *edits, *chain], width)]


def _results(p: Page, width: int) -> list[Text]:
    """The score, and for each task the best setting with its values and accuracy."""
    if p.row is None:
        return []
    pairs = [] if p.row.score is None else [("score", f"{p.row.score:.4f}, the smallest of the ratios")]
    if p.row.repeated is not None:
        pairs.append(("repeated", again(p.row.repeated)))
    if p.row.verdict is not None:
        pairs.append(("verified", verified(p.row.verdict)))
    pairs += [(printable(r.task, 40), reached(r)) for r in p.row.tasks if r.accuracy is not None]
    return [text(""), *facts(pairs, width)] if pairs else []


def again(r: Repeated) -> str:
    """The repeats within the search in words."""
    mean = "no mean" if r.ratio is None else f"{r.ratio:.4f}, the mean"
    count = plural(r.count, "training")
    broken = f"; {r.diverged} diverged" if r.diverged else ""
    return f"{mean} of {count} with fresh seeds on each task, at the best settings{broken}"


def verified(v: Verdict) -> str:
    """A verdict in words: the smallest ratio on the test part, its interval, and the ratio per task."""
    tasks = ", ".join(f"{printable(t.task, 40)} {t.ratio:.3f}" for t in v.tasks)
    broken = f"; {plural(v.diverged, 'training')} diverged" if v.diverged else ""
    return (
        f"{v.call} the baseline: {v.ratio:.3f} ({v.low:.3f}-{v.high:.3f}) on the test part after "
        f"{plural(v.repeats, 'repeat')} with fresh seeds; {tasks}{broken}"
    )


def reached(r: TaskResult) -> str:
    """The best result of a cell on a task, and its setting with values."""
    ratio = "" if r.ratio is None else f"ratio {r.ratio:.4f}, "
    loss = "" if r.loss is None else f", loss {r.loss:.4f}"
    of = f"{r.epochs} of " if r.trained and r.trained != r.epochs else ""
    epochs = "" if r.epochs is None else f" after {of}{plural(r.trained or r.epochs, 'epoch')}"
    model = f"{r.hidden:,} units, {r.parameters:,} parameters" if r.hidden and r.parameters else ""
    values = " ".join(f"{name}={value:g}" for name, value in r.values.items() if name != "parameters")
    tried = f"best of {plural(r.settings, 'setting')}"
    return f"{ratio}accuracy {r.accuracy:.2%}{loss}{epochs}; {values}; {model}; {tried}"


def _description(description: str, width: int) -> list[Text]:
    """Pairs the lines of two blocks if they fit, else their paragraphs."""
    shown: list[Text] = []
    for paragraph in description.split("\n\n"):
        lines = [printable(line, 10_000) for line in paragraph.split("\n")]
        if max(map(len, lines)) > width:
            lines = [" ".join(line.strip() for line in lines)]
        shown += [text("")] * bool(shown)
        shown += [part for line in lines for part in wrapped(line, width, style="italic") or [text("")]]
    return shown if description else []


def _equations(cell: Cell, width: int) -> list[Text]:
    """The text of the cell with its drawing, side by side if the width allows."""
    drawing = draw(cell)
    margin = max(len(line) for _, line in drawing.rows)
    fits = 2 + margin + 4 + drawing.width <= width
    shown = []
    for wire, line in drawing.rows:
        painted = paint(f"  {line}")
        if fits:
            painted.append(" " * (margin + 4 - len(line)) + wire)
        shown.append(cut(painted, width))
    if not fits:
        shown += [text(""), *(cut(text(f"  {wire}"), width) for wire, _ in drawing.rows)]
    return [*shown, *wrapped(drawing.legend, width, "  ", "dim")]


def _gates(gates: tuple[Gate, ...], width: int) -> list[Text]:
    if not gates:
        return []
    names = [text(f"  {gate.name or '(unnamed)'}", "bold") for gate in gates]
    acts = [text(_acts(gate)) for gate in gates]
    reads = [
        text(f"{gate.activation} of {', '.join((*gate.reads, *(f'.{n}' for n in gate.peepholes)))}")
        for gate in gates
    ]
    columns = [Column("  gate", names), Column("role", acts), Column("reads", reads)]
    return [*table(columns, width), text("")]


def _acts(gate: Gate) -> str:
    return f"{gate.role} of {gate.state}" if gate.state else gate.role


def _structure(p: Page) -> list[tuple[str, str]]:
    d, cell = p.description, p.cell
    starts = [f"{s.name} (starts at {s.initial:g})" if s.initial else s.name for s in cell.states]
    pairs = [("states", f"{', '.join(starts)}; the output is {d.output}")]
    if cell.clock:
        pairs.append(("clock", f"groups of units with the periods {', '.join(map(str, cell.clock))}"))
    if d.lookback:
        pairs.append(("looks back", f"{plural(d.lookback, 'step')} at most"))
    pairs += [
        ("connections", f"{plural(d.matrices, 'matrix', 'matrices')}: {' '.join(d.connections) or 'none'}"),
        ("peepholes", f"{len(d.peepholes)}: {' '.join(d.peepholes)}" if d.peepholes else "none"),
        ("biases", f"{len(d.biases)}: {' '.join(d.biases)}" if d.biases else "none"),
        ("depth", f"{plural(d.depth, 'op')} one after another, {d.products} of them matrix products; "
                  f"{plural(d.nodes, 'node')} in all"),
        ("parameters", f"{p.size.parameters:,} in a layer with {p.width} inputs and {p.hidden} units; a step "
                       f"takes {p.size.multiply_adds:,} multiply-adds and {p.size.elementwise:,} elementwise "
                       "results"),
    ]  # fmt: skip
    return pairs


def _weights(p: Page, width: int) -> list[Text]:
    names = [text(f"  {w.name}") for w in p.weights]
    kinds = [text(_kind(p.cell, w)) for w in p.weights]
    letters = [text(f"[{', '.join(w.letters())}]") for w in p.weights]
    shapes = [text(" x ".join(map(str, w.shape(p.width, p.hidden)))) for w in p.weights]
    if not p.weights:
        return [text("  no weights")]
    every = {"  weight": names, "kind": kinds, "shape": letters, "here": shapes}
    for left_out in ("", "here", "kind"):
        every.pop(left_out, None)
        columns = [Column(title, cells) for title, cells in every.items()]
        if width_of(columns) <= width:
            break
    return table(columns, width)


def _kind(cell: Cell, weight: Weight) -> str:
    node = cell.nodes[weight.node]
    assert isinstance(node, Affine)
    if weight.term < 0:
        start = node.bias
        match start:
            case Drawn("uniform", (low, high)):
                told = f"in {low:g} … {high:g}"
            case Drawn():
                told = f"at {initial(start)}"
            case _:
                told = f"at {start:g}"
        return f"{'learned scalar' if node.scalar else 'bias'}, starts {told}"
    c = node.connections[weight.term]
    if c.peephole:
        return "peephole"
    several = len(c.row.pieces) > 1
    parts = [("first of", "second of", "third of")[weight.place] if several else "", "matrix"]
    parts.append("" if c.structure is None else f"@{c.structure}" + ("" if c.part is None else f"({c.part})"))
    parts.append("" if c.eye is None else f"@eye({c.eye:g})")
    return " ".join(part for part in parts if part)
