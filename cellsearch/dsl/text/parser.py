"""Parse the text of a `.cell` file into a `Cell`. Raises `TextError` with location, message and remedy.

The grammar, on the tokens of `lexer`:

    cell        "cell" NAME "(" NAME ";" state ("," state)* ")" ["->" value] END [clock END] (equation END)*
    state       NAME ["=" number]
    clock       "clock" WHOLE ("," WHOLE)*
    equation    (NAME | NAME') "=" expression
The rules for values (`expression`) are in `expressions`.
"""

from typing import NoReturn

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.limits import MAX_GROUPS, MAX_NESTING, MAX_PERIOD
from cellsearch.dsl.nodes import Affine, Input, State, sources
from cellsearch.dsl.text.expressions import Expressions
from cellsearch.dsl.text.lexer import Source, Token
from cellsearch.dsl.text.spellings import is_new
from cellsearch.dsl.weights import collision
from cellsearch.errors import CellError


def parse(text: str, file: str = "<text>") -> Cell:
    """The cell described by `text`; `file` is its name in messages. Raises only TextError.

    >>> cs.parse("# An Elman network\\ncell elman(x; h)\\nh' = tanh[x, h]")
    <Cell elman(x; h): 1 equation>
    """
    parser = _Parser(Source(text, file))
    try:
        return parser.cell()
    except RecursionError:  # the caller's stack leaves too little room for the allowed nesting
        parser.fail("deep_text", parser.token, limit=MAX_NESTING)


class _Parser(Expressions):
    """The rules for the text as a whole."""

    def cell(self) -> Cell:
        name, output = self.header()
        while self.token.kind != "end":
            self.equation()
        new = [self.scope.get(f"{s.name}'") for s in self.states]
        for state, value in zip(self.states, new, strict=True):
            if value is None:
                named = (head for name, head in self.heads.items() if is_new(name, state.name))
                self.fail("no_new_value", next(named, self.state_tokens[state.name]), name=state.name)
        values = [v for v in new if v is not None]
        out = self.output(output) if output is not None else values[0]
        self.check_used({*values, out})
        try:
            cell = build(
                name.text, self.states, self.nodes, self.labels, values, out, self.clock, self.description
            )
        except CellError as error:
            self.fail("malformed", name, reason=str(error))
        self.check_weights(cell)
        return cell

    def header(self) -> tuple[Token, int | None]:
        """Reads the header and the clock. Returns the cell's name and the token index of its output."""
        if self.token.kind == "end":
            self.fail("empty", self.token)
        if self.token.text != "cell" or self.token.kind != "word":
            self.fail("no_cell", self.token)
        self.next()
        name = self.token
        if name.kind != "word" or name.text.endswith("'"):
            self.fail("no_name", name)
        self.next()
        self.open("(", f"the header is written cell {name.text}(x; h, c)")
        token = self.token
        self.scope[self.header_name("the name of the input")] = self.add(Input("x", token.text), token)
        if self.found(")"):
            self.fail("no_states", self.token, name=name.text)
        self.take(";", hint=f"the header is written cell {name.text}(x; h, c): one input, then the states")
        if self.found(")"):
            self.fail("no_states", self.token, name=name.text)
        self.state()
        while self.found(","):
            self.next()
            self.state()
        self.close(")")
        output = None
        if self.found("->"):
            self.next()
            output = self.at
            self.skip_output()
        self.end_line("'->' or the end of the line", "equations start on the next line")
        if self.token.kind == "word" and self.token.text == "clock" and self.peek().text != "=":
            self.read_clock()
        return name, output

    def header_name(self, what: str) -> str:
        token = self.token
        if token.kind != "word":
            self.expected(what, "the header is written cell NAME(x; h, c)")
        if token.text.endswith("'"):
            self.fail("prime_in_header", token, name=token.text[:-1])
        self.check_name(token, token.text)
        if token.text in self.scope:
            self.fail("taken", token, name=token.text)
        self.next()
        return token.text

    def state(self) -> None:
        token = self.token
        name = self.header_name("the name of a state")
        self.state_tokens[name] = token
        initial = 0.0
        if self.found("="):
            self.next()
            initial = self.number("the initial value of the state")
        self.states.append(State(name, initial))
        self.scope[name] = self.add(Input("state", name), token)

    def skip_output(self) -> None:
        hint = "the output is an equation, a new value or a state, as in -> y"
        if self.token.kind != "word":
            self.expected("the name of the output", hint)
        if self.next().text == "below" and self.found("("):
            self.next()
            self.next()
            self.take(")", hint)

    def output(self, at: int) -> int:
        """The node of the output, resolved after the equations."""
        self.at, self.token = at, self.tokens[at]
        return self.operand()

    def read_clock(self) -> None:
        self.next()
        periods = [self.period()]
        while self.found(","):
            self.next()
            if len(periods) == MAX_GROUPS:
                self.fail("clock_groups", self.token, limit=MAX_GROUPS)
            periods.append(self.period())
        self.clock = tuple(periods)
        self.end_line("',' or the end of the line", "the clock is written clock 1, 2, 4, 8")

    def period(self) -> int:
        token = self.token
        if token.kind != "number" and not self.found("-"):
            self.expected("a period", "the clock is written clock 1, 2, 4, 8")
        if not token.text.isdigit() or not 1 <= token.value <= MAX_PERIOD:
            self.fail("clock_period", token, limit=f"{MAX_PERIOD:,}")
        self.next()
        return int(token.value)

    # ---- equations

    def equation(self) -> None:
        head = self.token
        if head.kind != "word":
            self.expected("an equation", "an equation is written name = value")
        self.next()
        name = head.text
        if self.found("="):
            self.check_head(head)
        self.take("=", hint="an equation is written name = value")
        start = self.token
        value = self.expression()
        if self.token.kind not in ("line", "end"):
            self.stray()
        primed = name.endswith("'")
        plain = isinstance(self.nodes[value], Input) or bool(self.labels[value])
        if not plain:
            self.labels[value] = name
        elif not primed:
            self.fail("renaming", start, name=name, value=self.spelled(value))
        self.scope[name] = value
        self.end_line()

    def check_head(self, head: Token) -> None:
        name = head.text
        base = name.removesuffix("'")
        first = self.heads[name]
        if name != base and base not in self.state_tokens:
            self.check_name(head, base)
            self.prime_off_state(head)
        if name == base:
            if name in self.state_tokens:
                self.fail("old_state_assigned", head, name=name)
            if name in self.scope and self.scope[name] == 0:
                self.fail("input_assigned", head, name=name)
            self.check_name(head, name)
        if first is not head:
            self.fail("assigned_twice", head, name=name, line=self.source.place(first.at).line)

    def stray(self) -> NoReturn:
        """Raises the error for tokens after a complete expression."""
        token = self.token
        if self.starts_value():
            self.fail("value_after_value", token)
        if self.found("@"):
            self.fail("at_outside", token)
        hint = {")": "no '(' is open here", "]": "no '[' is open here"}.get(
            token.text, "write one equation per line"
        )
        self.expected("the end of the line", hint)

    def check_used(self, ends: set[int]) -> None:
        used = ends.union(*(sources(node) for node in self.nodes))
        for index, label in enumerate(self.labels):
            if label and index not in used:
                self.fail("unused", self.heads[label], name=label)

    def check_weights(self, cell: Cell) -> None:
        """Refuse duplicate weight names, at the bracket of the second."""
        weight = collision(cell)
        if weight is not None:
            # `build` keeps the order of the text, so brackets can be matched by position
            number = sum(isinstance(node, Affine) for node in cell.nodes[: weight.node])
            self.fail("one_weight_name", self.brackets[number], name=weight.name)
