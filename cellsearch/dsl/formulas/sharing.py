"""Common subexpression elimination: a repeated subexpression of one or several formulas becomes a variable.

It is done once, before any engine sees a kernel: C and Triton compilers would find most of it themselves, but
eager torch would not, and no compiler merges two loops over the units.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from cellsearch.dsl.formulas.evaluate import fold
from cellsearch.dsl.formulas.form import CONDITIONS, Call, Formula, Number, Variable, substitute

Let = tuple[str, Formula]


def share(
    lets: Iterable[Let], results: Iterable[Formula], name_of: Callable[[int], str] = "c{}".format
) -> tuple[list[Let], list[Formula]]:
    """Equivalent lets without a repeated call. `lets` are variables with their formulas in order of
    dependency. A let that is a number or another variable is removed; conditions stay inline, since an engine
    may have no variables for them."""
    values: dict[str, Formula] = {}  # of removed lets
    first: dict[Formula, str] = {}
    for name, formula in lets:
        reduced = fold(substitute(formula, values))
        if isinstance(reduced, Number | Variable):
            values[name] = reduced
        elif (same := first.setdefault(reduced, name)) != name:
            values[name] = Variable(same)
    kept = [(name, formula) for formula, name in first.items()]
    wanted = [fold(substitute(result, values)) for result in results]
    sharing = _Sharing(name_of, [*first, *wanted])
    for name, formula in kept:
        sharing.let(name, formula)
    return sharing.lets, [sharing.reduced(result) for result in wanted]


class _Sharing:
    """The lets of a kernel during the rewrite."""

    def __init__(self, name_of: Callable[[int], str], roots: Iterable[Formula]) -> None:
        self.name_of, self.named = name_of, 0
        self.lets: list[Let] = []
        self.known: dict[Formula, Variable] = {}  # the formula of a variable
        self.aliases: dict[str, Formula] = {}
        self.uses = Counter[Formula]()
        seen: set[Formula] = set()
        for root in roots:
            self.uses[root] += 1
            self._count(root, seen)

    def _count(self, formula: Formula, seen: set[Formula]) -> None:
        """Count the occurrences of each call, with repeated calls counted once."""
        if not isinstance(formula, Call) or (formula in seen and formula.function not in CONDITIONS):
            return
        seen.add(formula)
        for arg in formula.args:
            self.uses[arg] += 1
            self._count(arg, seen)

    def let(self, name: str, formula: Formula) -> None:
        """The variable `name` with this value."""
        if formula in self.known:
            self.aliases[name] = self.known[formula]
            return
        assert isinstance(formula, Call)
        self.known[formula] = Variable(name)
        self.lets.append((name, self._args(formula)))

    def reduced(self, formula: Formula) -> Formula:
        """The formula with shared calls replaced by variables."""
        if isinstance(formula, Variable):
            return self.aliases.get(formula.name, formula)
        if not isinstance(formula, Call):
            return formula
        if formula in self.known:
            return self.known[formula]
        if self.uses[formula] < 2 or formula.function in CONDITIONS:
            return self._args(formula)
        value = self._args(formula)
        self.known[formula] = Variable(self.name_of(self.named))
        self.named += 1
        self.lets.append((self.known[formula].name, value))
        return self.known[formula]

    def _args(self, formula: Call) -> Call:
        return Call(formula.function, tuple(map(self.reduced, formula.args)))
