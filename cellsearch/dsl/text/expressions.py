"""Values in the text of a cell: the right-hand sides of equations.

    expression  operand (("+" | "-" | "*" | "/") operand)*         grouped to the left, * and / first
    operand     "-" operand | number | bracket | simple
    simple      NAME | NAME' | "tick" | "below" "(" NAME ")" | "before" "(" expression ["," WHOLE] ")"
                | "(" expression ")" | OP bracket | OP "(" expression ("," expression)* ")"
    bracket     "[" [item ("," item)*] "]"                         options last
    item        expression | "." simple | OPTION "=" ("none" | initial)
                | simple ("@" STRUCTURE ["(" WHOLE ")"] | "@" "eye" "(" number ")")*
    initial     an expression of numbers and DISTRIBUTION "(" number "," number ")" only

A rule is a method that parses its construct and returns its node. Rules recurse up to the limit of nesting.
"""

from typing import NoReturn

from cellsearch.dsl.initial import APPLIED, DISTRIBUTIONS, Drawn, Initial, wrong
from cellsearch.dsl.limits import KEYWORDS, MAX_DELAY, MAX_PART
from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Input,
)
from cellsearch.dsl.ops import INFIX, OPS, PREFIX, Op
from cellsearch.dsl.structures import STRUCTURES
from cellsearch.dsl.text.cursor import Cursor, listed
from cellsearch.dsl.text.lexer import Token
from cellsearch.errors import did_you_mean

OPTIONS = ("bias", "scalar")
_MATRICES = ("eye", *STRUCTURES)
_FUNCTIONS = [op.name for op in OPS.values() if not op.symbol]
_CALLED = [*_FUNCTIONS, "below", "before"]


class Expressions(Cursor):
    """The rules for values."""

    def expression(self) -> int:
        """Values joined by infix operators."""
        values = [self.operand()]
        signs: list[tuple[Op, Token]] = []
        while True:
            op = INFIX.get(self.token.text) if self.token.kind == "sign" else None
            while signs and (op is None or signs[-1][0].binds >= op.binds):
                done, token = signs.pop()
                right = values.pop()
                values.append(self.add(Apply(done.name, (values.pop(), right)), token))
            if op is None:
                return values[0]
            signs.append((op, self.next()))
            values.append(self.operand())

    def operand(self) -> int:
        """A value after any number of minus signs; the last one is part of a number."""
        signs: list[Token] = []
        while self.token.kind == "sign" and self.token.text in PREFIX:
            signs.append(self.next())
        token = self.token
        if token.kind == "number":
            minus = signs and signs[-1].text == "-"
            number = 0.0 - self.next().value if minus else self.next().value  # -0 is 0
            value = self.add(Constant(number), signs.pop() if minus else token)
        elif self.found("["):
            value = self.bracket()
        elif token.kind == "word" or self.found("("):
            value = self.name_or_group()
        else:
            self.fail("no_value", token)
        for sign in reversed(signs):
            value = self.add(Apply(PREFIX[sign.text].name, (value,)), sign)
        return value

    def name_or_group(self) -> int:
        """A name, a call or a parenthesis."""
        start, token = self.at, self.token
        if token.kind != "word":
            self.open("(")
            value = self.expression()
            self.close(")")
        elif self.next().text in OPS:
            value = self.call(token, OPS[token.text])
        elif token.text == "before":
            value = self.before(token)
        else:
            value = self.below(token) if token.text == "below" else self.name(token)
        self.simple = (start, self.at)
        return value

    def name(self, token: Token) -> int:
        name, called = token.text, self.found("(") or self.found("[")
        if name == "tick" and not called:
            if not self.clock:
                self.fail("needs_clock", token, name="tick")
            return self.input(Input("tick", "tick"), token)
        if name not in self.scope:
            self.unknown(token, called)
        if called:
            self.fail("not_a_function", token, name=name)
        return self.scope[name]

    def below(self, token: Token) -> int:
        hint = "below(c) is the new value of state c in the layer below"
        self.open("(", hint)
        state = self.token
        if state.kind != "word" or state.text.endswith("'"):
            self.expected("the name of a state", hint)
        self.check_name(state, state.text)
        self.next()
        self.close(")")
        return self.input(Input("below", state.text), token)

    def before(self, token: Token) -> int:
        self.open("(", "before(v) is v one step ago, before(v, 2) two steps")
        source = self.expression()
        delay = 1
        if self.found(","):
            self.next()
            delay = self.whole("delay", MAX_DELAY)
        self.close(")")
        index = self.add(Before(source, delay), token)
        if source in self.wide:
            self.wide.add(index)
        return index

    def unknown(self, token: Token, called: bool) -> NoReturn:
        name, known = token.text, list(self.scope)
        base = name.removesuffix("'")
        if name != base and base not in self.state_tokens:
            self.prime_off_state(token)
        if name in self.heads:
            self.fail("used_before", token, name=name, line=self.source.place(self.heads[name].at).line)
        if called:
            near = did_you_mean(name, _CALLED)
            self.fail("unknown_function", token, name=name, nearest=near, functions=listed(_FUNCTIONS))
        if name in KEYWORDS:
            self.fail("keyword", token, name=name, known=f"values here: {listed(known)}")
        near = did_you_mean(name, [*known, *_CALLED])
        self.fail("unknown_name", token, name=name, nearest=near, known=f"(values here: {listed(known)})")

    def call(self, token: Token, op: Op) -> int:
        if op.symbol:
            example = f"a {op.symbol} b" if op.arity == 2 else f"{op.symbol}a"
            self.fail("write_the_sign", token, name=op.name, example=example)
        args: list[int] = []
        if self.found("["):
            args.append(self.bracket())
        elif self.found("("):
            self.open("(")
            args.append(self.expression())
            while self.found(","):
                self.next()
                args.append(self.expression())
            self.close(")")
        else:
            self.fail("function_alone", token, name=op.name)
        if len(args) != op.arity:
            needs = "one argument" if op.arity == 1 else f"{op.arity} arguments"
            example = f"{op.name}({', '.join('abc'[: op.arity])})"
            example += f", or {op.name}[a, b] for a weighted sum" * (op.arity == 1)
            self.fail("argument_count", token, name=op.name, needs=needs, given=len(args), example=example)
        return self.add(Apply(op.name, tuple(args)), token)

    # ---- brackets

    def bracket(self) -> int:
        """The connections and options between square brackets: an affine node."""
        opened = self.open("[")
        connections: dict[tuple[int, bool], Connection] = {}
        options: dict[str, Initial] = {}
        while not (self.found("]") and not connections and not options):
            start = self.token
            if start.kind == "word" and self.peek().kind == "sign" and self.peek().text == "=":
                self.option(options)
            else:
                if options:
                    self.fail("options_last", start)
                c = self.peephole() if self.found(".") else self.matrix(self.at, self.expression())
                if (c.source, c.peephole) in connections:
                    self.fail("connected_twice", start, name=self.spelled(c.source))
                connections[c.source, c.peephole] = c
            if not self.found(","):
                break
            self.next()
        self.close("]")
        if "scalar" in options and (connections or "bias" in options):
            self.fail("scalar_alone", opened)
        bias = options.get("scalar", options.get("bias", 0.0))
        if not connections and (bias is None or not options):
            self.fail("empty_bracket", opened)
        self.brackets.append(opened)
        return self.add(Affine(tuple(connections.values()), bias, "scalar" in options), opened)

    def option(self, options: dict[str, Initial]) -> None:
        token = self.next()
        name = token.text
        if name not in OPTIONS:
            near = did_you_mean(name, OPTIONS, "=")
            if not near and "\n" in self.source.text[self.tokens[self.at - 2].at : token.at]:
                # an equation on the next line: the bracket was never closed
                hint = self.unclosed()
                self.fail("expected", token, what="a connection", hint=hint)
            self.fail("unknown_option", token, name=name, nearest=near)
        if name in options:
            self.fail("option_twice", token, name=f"{name}=")
        self.next()
        start = self.token
        if name == "bias" and start.kind == "word" and start.text == "none":
            self.next()
            options[name] = None
            return
        options[name] = value = self.initial("a number or none" if name == "bias" else "a number")
        if problem := wrong(value):
            self.fail("initial", start, reason=problem)

    def initial(self, what: str = "a number or a distribution") -> float | Drawn:
        """An initial value: a number, or ops of numbers and distributions."""
        values = [self.initial_operand(what)]
        signs: list[tuple[Op, Token]] = []
        while True:
            op = INFIX.get(self.token.text) if self.token.kind == "sign" else None
            while signs and (op is None or signs[-1][0].binds >= op.binds):
                done, token = signs.pop()
                right = values.pop()
                values.append(self.drawn(done.name, (values.pop(), right), token))
            if op is None:
                return values[0]
            signs.append((op, self.next()))
            values.append(self.initial_operand())

    def initial_operand(self, what: str = "a number or a distribution") -> float | Drawn:
        signs: list[Token] = []
        while self.found("-") and self.peek().kind != "number":
            signs.append(self.next())
        value = self.initial_value(what)
        for sign in reversed(signs):
            value = self.drawn("neg", (value,), sign)
        return value

    def initial_value(self, what: str) -> float | Drawn:
        token = self.token
        if self.found("("):
            self.open("(")
            value = self.initial(what)
            self.close(")")
            return value
        if token.kind != "word" or token.text not in (*DISTRIBUTIONS, *APPLIED):
            return self.number(what)
        self.next()
        if token.text in DISTRIBUTIONS:
            return self.distribution(token)
        self.open("(", f"as in {token.text}(uniform(1, 2))")
        args = [self.initial()]
        while self.found(","):
            self.next()
            args.append(self.initial())
        self.close(")")
        return self.drawn(token.text, tuple(args), token)

    def drawn(self, name: str, args: tuple[float | Drawn, ...], token: Token) -> Drawn:
        """An op of initial values."""
        value = Drawn(name, args)
        if not any(isinstance(arg, Drawn) for arg in args):
            self.fail("initial", token, reason=wrong(value))
        return value

    def distribution(self, token: Token) -> Drawn:
        """A distribution with its numbers."""
        row = DISTRIBUTIONS[token.text]
        hint = f"as in bias={token.text}({'-0.1' if row.ordered else '0'}, 0.1)"
        opened = self.open("(", hint)
        first = self.number(row.numbers[0])
        self.take(",", hint)
        value = Drawn(token.text, (first, self.number(row.numbers[1])))
        self.close(")")
        if wrong(value):
            self.fail("uniform_order" if row.ordered else "deviation", opened)
        return value

    def peephole(self) -> Connection:
        dot = self.next()
        if self.token.kind != "word" and not self.found("("):
            self.fail("dot_takes", dot)
        source = self.name_or_group()
        if self.found("@"):
            self.fail("peephole_kind", self.token)
        if self.token.kind == "sign" and self.token.text in INFIX:
            self.fail("dot_takes", dot)
        return Connection(source, peephole=True)

    def matrix(self, start: int, source: int) -> Connection:
        """The full connection from `source`, which begins at token `start`; parses its matrix structure."""
        if self.found("@") and self.simple != (start, self.at):
            self.fail("at_takes", self.token)
        eye: float | None = None
        structure: str | None = None
        part: int | None = None
        while self.found("@"):
            self.next()
            kind = self.token
            if kind.kind != "word":
                self.expected("a matrix structure", f"({listed(_MATRICES)})")
            if kind.text not in _MATRICES:
                near = did_you_mean(kind.text, _MATRICES)
                self.fail("unknown_matrix", kind, name=kind.text, nearest=near, kinds=listed(_MATRICES))
            if kind.text == "eye":
                if eye is not None:
                    self.fail("matrix_twice", kind, name="@eye")
                self.next()
                self.open("(", "as in h@eye(0.9)")
                eye = self.number("the value on the diagonal")
                self.close(")")
            else:
                if structure is not None:
                    key = "matrix_twice" if structure == kind.text else "two_matrices"
                    self.fail(key, kind, name=f"@{kind.text}", other=f"@{structure}")
                structure, part = kind.text, self.structure(kind, source, self.tokens[start])
            if structure is not None and eye is not None and not STRUCTURES[structure].eye:
                self.fail("eye_beside", kind, name=f"@{structure}")
        return Connection(source, eye=eye, structure=structure, part=part)

    def structure(self, token: Token, source: int, first: Token) -> int | None:
        """Parses a matrix structure on the connection from `source`, which begins at `first`, and its number
        if it takes one."""
        kind, name = STRUCTURES[token.text], f"@{token.text}"
        if kind.clock and not self.clock:
            self.fail("needs_clock", token, name=name)
        if kind.square and source in self.wide:
            self.fail("matrix_of_input", first, name=name)
        self.next()
        if not kind.number:
            if self.found("("):
                self.fail("no_number", self.token, name=name)
            return None
        example = f"h@{kind.text}"
        self.open("(", f"as in {example}")
        number = self.whole("matrix_number", MAX_PART, part=kind.number, name=name, example=example)
        self.close(")")
        return number
