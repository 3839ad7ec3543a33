"""Cells as polynomials: an exact judge of whether two cells are the same function, slow and without a number drawn.

A value is a polynomial with rational coefficients over atoms: inputs, learned vectors, matrices times a monomial, and
ops that are not of the ring applied to polynomials. What is equal here is equal by the rules of a commutative ring, by
the linearity of matrices, because relu does nothing to what is never negative, and because odd functions of 0 are 0.
The reverse does not hold: there are more identities than these.
"""

from collections import Counter
from fractions import Fraction
from itertools import product
from math import inf

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.functional import function_of
from cellsearch.dsl.nodes import Affine, Before, Constant, Input
from cellsearch.dsl.ops import OPS

Monomial = tuple[int, ...]  # numbers of atoms, sorted
Polynomial = dict[Monomial, Fraction]
MOST = 300  # terms; a product of more stays an atom
ODD = ("tanh", "softsign", "sin", "sqrt", "abs", "relu", "leaky_relu", "silu")  # or at least 0 at 0


class Ring:
    """Atoms by number, shared by the cells that are compared."""

    def __init__(self) -> None:
        self.number: dict[object, int] = {}
        self.span: dict[int, tuple[float, float]] = {}

    def atom(self, *key: object, span: tuple[float, float] = (-inf, inf)) -> Polynomial:
        number = self.number.setdefault(key, len(self.number))
        self.span[number] = span
        return {(number,): Fraction(1)}

    def at_least(self, value: Polynomial) -> float:
        """A lower bound."""
        total = 0.0
        for monomial, coefficient in value.items():
            low, high = 1.0, 1.0
            for number, times_ in Counter(monomial).items():
                a, b = self.span[number]
                if times_ % 2 == 0:
                    a, b = 0.0, max(abs(a), abs(b)) ** times_
                elif times_ > 1:
                    a, b = a**times_, b**times_
                ends = [0.0 if 0 in (p, q) else p * q for p in (low, high) for q in (a, b)]
                low, high = min(ends), max(ends)
            total += float(coefficient) * (low if coefficient > 0 else high)
        return total

    def op(self, op: str, args: list[Polynomial]) -> Polynomial:
        first, *others = args
        if op == "neg":
            return times(first, {(): Fraction(-1)})
        if op in ("add", "sub"):
            return plus(first, others[0], Fraction(1 if op == "add" else -1))
        if op == "mul" and len(first) * len(others[0]) <= MOST:
            return times(first, others[0])
        if op == "div":
            return self.op("mul", [first, self.atom("inverse", frozen(others[0]))])
        if op == "relu" and self.at_least(first) >= 0:
            return first
        if op in ODD and not first:
            return {}
        if op == "mul":
            return self.atom(op, *sorted(map(frozen, args)))
        return self.atom(op, *map(frozen, args), span=OPS[op].span)


def frozen(value: Polynomial) -> tuple[tuple[Monomial, Fraction], ...]:
    return tuple(sorted(value.items()))


def plus(a: Polynomial, b: Polynomial, sign: Fraction) -> Polynomial:
    found = dict(a)
    for monomial, coefficient in b.items():
        found[monomial] = found.get(monomial, Fraction(0)) + sign * coefficient
    return {m: c for m, c in found.items() if c}


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    found: Polynomial = {}
    for (m, c), (n, d) in product(a.items(), b.items()):
        key = tuple(sorted((*m, *n)))
        found[key] = found.get(key, Fraction(0)) + c * d
    return {m: c for m, c in found.items() if c}


def polynomials(cell: Cell, ring: Ring) -> list[tuple[tuple[Monomial, Fraction], ...]]:
    """What comes out of a cell: its output and new states. A weight is called by its place in the order that makes
    cells comparable."""
    place = {slot: k for k, slot in enumerate(function_of(cell).order)}
    positions = {state.name: k for k, state in enumerate(cell.states)}
    found: list[Polynomial] = []
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Input):
            which = positions.get(node.name, node.name) if node.kind in ("state", "below") else ""
            value = ring.atom(node.kind, which)
        elif isinstance(node, Constant):
            value = {(): Fraction(node.value)} if node.value else {}
        elif isinstance(node, Before):
            value = ring.atom("before", node.delay, frozen(found[node.source])) if found[node.source] else {}
        elif isinstance(node, Affine):
            value = {} if node.bias is None else ring.atom("weight", place[i, -1])
            for k, c in enumerate(node.connections):
                if c.peephole:
                    term = ring.op("mul", [ring.atom("weight", place[i, k]), found[c.source]])
                    value = plus(value, term, Fraction(1))
                else:
                    for monomial, coefficient in found[c.source].items():
                        term = ring.atom("matrix", place[i, k], monomial)
                        value = plus(value, term, coefficient)
        else:
            value = ring.op(node.op, [found[a] for a in node.args])
        found.append(value)
    return [frozen(found[i]) for i in (cell.output, *cell.new)]


def provably_equal(a: Cell, b: Cell) -> bool:
    """Whether the ring shows that two cells with weights of the same kinds are the same function."""
    ring = Ring()
    return polynomials(a, ring) == polynomials(b, ring)
