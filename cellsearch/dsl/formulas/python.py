"""Formulas as Python text for torch."""

from collections.abc import Callable, Sequence

from cellsearch.dsl.formulas.form import ATOM, COMPARE, SIGNS, UNARY, Formula, Number, Variable

Writer = Callable[[str, Sequence[str]], str]


def python(
    of: Formula, call: Callable[[str, Sequence[str]], str], number: Callable[[float], str] = repr
) -> str:
    """The text of a formula in Python syntax with minimal parentheses. `call` prints a function or reduction,
    `number` a number."""
    return _print(of, call, number)[0]


def _print(of: Formula, call: Writer, number: Callable[[float], str]) -> tuple[str, int]:
    if isinstance(of, Variable):
        return of.name, ATOM
    if isinstance(of, Number):
        text = number(of.value)
        return text, UNARY if text.startswith("-") else ATOM
    args = [_print(arg, call, number) for arg in of.args]
    sign = SIGNS.get(of.function)
    if sign is None:
        return call(of.function, [text for text, _ in args]), ATOM

    def within(k: int, least: int) -> str:
        text, binds = args[k]
        return text if binds >= least else f"({text})"

    if len(args) == 1:
        return f"{sign.text}{within(0, sign.binds)}", sign.binds
    first = sign.binds + (sign.binds == COMPARE)  # a < b < c means something else
    return f"{within(0, first)} {sign.text} {within(1, sign.binds + 1)}", sign.binds
