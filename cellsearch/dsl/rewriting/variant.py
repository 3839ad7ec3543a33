"""A variant of a cell by several named edits at once. In: a cell and the edits. Out: another cell."""

from collections.abc import Collection, Sequence

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.rewriting import variants


def variant(
    cell: Cell,
    *,
    without: str | Sequence[str] = (),
    couple: Sequence[tuple[str, str]] = (),
    peepholes: str | Collection[str] | None = None,
) -> Cell:
    """`cell` with parts left out, then gates coupled, then peepholes set.

    `without` names gates (by their equation, by the letter i f o z r d, or by their role), or "peepholes",
    "input_activation", "output_activation"; `couple` has pairs of gates, (f, i) for f = 1 - i; `peepholes`
    is "all", "none", or the gates that look at the cell state. Raises CellError where the cell has no such
    part. Greff et al. (2017) compared eight variants of this kind.

        >>> cifg = cs.variant(cs.load("lstm"), couple=[("f", "i")])
        >>> [gate.name for gate in cs.describe(cifg).gates]
        ['i', 'o']
        >>> cs.describe(cs.variant(cs.load("lstm"), peepholes="all")).peepholes
        ('i.c', 'f.c', 'o.c_new')
    """
    for part in [without] if isinstance(without, str) else without:
        cell = variants.without(cell, part)
    for gate, by in couple:
        cell = variants.couple(cell, gate, by)
    if isinstance(peepholes, str):
        peepholes = None if peepholes == "all" else () if peepholes == "none" else (peepholes,)
    elif peepholes is None:
        return cell
    return variants.with_peepholes(cell, peepholes)
