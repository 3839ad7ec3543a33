"""Python expressions over tensors, composed so that every statement fits on its line.

A form such as "{0} + {1}" combines expressions; parts that would make a line too long are first assigned to a
variable.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cellsearch.dsl.ops import CALL, UNARY
from cellsearch.dsl.printer import number
from cellsearch.exporters.names import MAX_LOCAL, Locals
from cellsearch.exporters.torch import layout

ATOM = MAX_LOCAL + 3  # characters of the longest name in an expression: a local variable and its [t]


class Extent(IntEnum):
    """The shape of a value; where two meet, the larger wins."""

    NUMBER = 0  # a Python number
    ONE = 1  # [1]: a learned scalar
    VECTOR = 2  # [H]: made of weights alone
    SEQUENCE = 3  # [T, B, H] ([T, B, D] for x): does not wait for the loop
    STEP = 4  # [B, H]


@dataclass(frozen=True, slots=True)
class Code:
    """A Python expression, and its precedence."""

    text: str
    binds: int = CALL

    def within(self, binds: int) -> str:
        """The text in a context of precedence `binds`, with parentheses if needed."""
        return self.text if self.binds > binds else f"({self.text})"


@dataclass
class Place:
    """Where a statement is being written: before the loop over time or in it, and the name that it assigns.

    `lines` are the statements that had to come before it.
    """

    in_loop: bool
    target: str
    locals: Locals
    lines: list[str]

    @property
    def indent(self) -> int:
        return 12 if self.in_loop else 8

    @property
    def room(self) -> int:
        """How long an expression may be; the names of its parts are up to four characters longer."""
        return layout.LINE - self.indent - len(self.target) - len(" = ") - 4

    def join(self, form: str, parts: Sequence[Code], needs: Sequence[int], binds: int) -> Code:
        """`form` with the parts in it; where that is too long, the longest part gets a name first."""
        left = list(parts)
        while True:
            code = Code(form.format(*(p.within(n) for p, n in zip(left, needs, strict=True))), binds)
            k = max(range(len(left)), key=lambda k: len(left[k].text))
            if len(code.text) <= self.room or len(left[k].text) <= ATOM:
                return code
            name = self.locals.fresh(f"{self.target[: MAX_LOCAL - 4]}_{len(self.lines) + 1}")
            self.lines.append(f"{' ' * self.indent}{name} = {left[k].text}")
            left[k] = Code(name)


def at_step(name: str, extent: Extent) -> Code:
    """A variable as the loop reads it."""
    return Code(f"{name}[t]" if extent == Extent.SEQUENCE else name)


def literal(value: float) -> Code:
    """A number in Python."""
    if math.isnan(value):
        return Code("torch.nan")
    text = f"{'-' if value < 0 else ''}torch.inf" if math.isinf(value) else number(value)
    return Code(text, UNARY if text.startswith("-") else CALL)


def real(value: float) -> str:
    """A number in Python that is a float."""
    text = number(value)
    return text if "." in text or "e" in text else f"{text}.0"
