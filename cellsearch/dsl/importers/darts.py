"""Recurrent genotypes of DARTS (Liu, Simonyan & Yang 2019, arXiv 1806.09055), and ENAS in the same form, from
a .py file. The file is read as data and never executed.

    DARTS_V2 = Genotype(recurrent=[('sigmoid', 0), ('relu', 1)], concat=range(1, 3))

The cell is that of the published code: s0 = h + c0 * (n0 - h) with c0 = sigmoid and n0 = tanh of [x, h]; the
k-th pair (f, p) makes s_k = s_p + c_k * (n_k - s_p) with c_k = sigmoid and n_k = f of [s_p]; the output, and
new state, is the mean of the s in `concat`. There are no biases. A published matrix W_k is the concatenation
of our matrices of c_k and n_k. 'none' is refused: it means no connection, DARTS never derives it, and its
evaluation code has no such node.
"""

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.importers.genotype import FORM, FUNCTIONS, Genotype, genotypes, logged
from cellsearch.dsl.importers.source import Found, Names, Source, listed
from cellsearch.dsl.limits import MAX_NODES
from cellsearch.dsl.nodes import Affine, Apply, Connection, Constant, Input, Node, State, ancestors
from cellsearch.errors import CellError, ForeignError, printable


def cells(source: Source, log: bool = False) -> Found:
    """The cells of all genotypes in a Python text or a log, and the errors of refused ones."""
    names = Names()
    found: list[Cell] = []
    refused: list[ForeignError] = []
    for genotype in logged(source) if log else genotypes(source):
        if isinstance(genotype, ForeignError):
            refused.append(genotype)
            continue
        name = names.fresh((genotype.name or source.stem).lower(), "cell")
        try:
            found.append(_cell(genotype, name, source.title))
        except CellError as error:
            remedy = "use a smaller genotype"
            message = f"this is not a valid cell: {error}"
            refused.append(source.error(message, genotype.start, genotype.end, remedy))
    if not found and not refused:
        raise ForeignError(f"{printable(source.file)} holds no genotype in literal form", remedy=FORM)
    return Found(tuple(found), tuple(refused))


def _cell(genotype: Genotype, name: str, file: str) -> Cell:
    nodes: list[Node] = [Input("x", "x"), Input("state", "h")]
    labels = ["", ""]

    def put(node: Node, label: str = "") -> int:
        if len(nodes) == MAX_NODES:
            raise CellError(f"it has more than {MAX_NODES:,} nodes")
        nodes.append(node)
        labels.append(label)
        return len(nodes) - 1

    def moved(k: int, reads: tuple[int, ...], function: str | None) -> int:
        """s_k: interpolates from the last of `reads` to a new value, gated by c_k."""
        bracket = Affine(tuple(Connection(source) for source in reads), None)
        share = put(Apply("sigmoid", (put(bracket),)), f"c{k}")
        new = put(bracket, "" if function else f"n{k}")
        new = put(Apply(function, (new,)), f"n{k}") if function else new
        step = put(Apply("mul", (share, put(Apply("sub", (new, reads[-1]))))))
        return put(Apply("add", (reads[-1], step)), f"s{k}")

    values = [moved(0, (0, 1), "tanh")]
    for k, (function, reads) in enumerate(genotype.recurrent, 1):
        values.append(moved(k, (values[reads],), FUNCTIONS[function]))
    total = values[genotype.concat[0]]
    for place in genotype.concat[1:]:
        total = put(Apply("add", (total, values[place])))
    count = len(genotype.concat)
    new = put(Apply("div", (total, put(Constant(float(count)))))) if count > 1 else total
    used = ancestors(nodes, new) | {new}
    idle = [f"s{k}" for k, value in enumerate(values) if value not in used]
    about = f"Genotype {genotype.name} of {file}" if genotype.name else f"A genotype of {file}"
    notes = [f"{about} (the recurrent cell of Liu, Simonyan & Yang 2019, DARTS, arXiv 1806.09055)."]
    notes += [f"Omitted, since the output does not depend on it: {listed(idle)}."] if idle else []
    return build(name, [State("h")], nodes, labels, [new], description="\n".join(notes))
