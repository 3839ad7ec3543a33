"""Values in the text of a cell: what stands to the right of an equation's sign.

    expression  operand (("+" | "-" | "*" | "/") operand)*         grouped to the left, * and / first
    operand     "-" operand | number | bracket | simple
    simple      NAME | NAME' | "tick" | "below" "(" NAME ")" | "before" "(" expression ["," WHOLE] ")"
                | "(" expression ")" | OP bracket | OP "(" expression ("," expression)* ")"
    bracket     "[" [item ("," item)*] "]"                         options last
    item        expression | "." simple | OPTION "=" (number | "none" | "uniform" "(" number "," number ")")
                | simple ("@" STRUCTURE ["(" WHOLE ")"] | "@" "eye" "(" number ")")*

Each rule is a generator that yields the rule it calls and is sent the node that was read, so that nesting
costs a list and no Python frames.
"""

from collections.abc import Generator
from typing import NoReturn

from cellsearch.dsl.limits import KEYWORDS, MAX_DELAY, MAX_PART
from cellsearch.dsl.nodes import (
    STRUCTURES,
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Initial,
    Input,
    Uniform,
)
from cellsearch.dsl.ops import INFIX, OPS, PREFIX, Op
from cellsearch.dsl.text.cursor import Cursor, listed
from cellsearch.dsl.text.lexer import Token
from cellsearch.errors import did_you_mean

OPTIONS = ("bias", "scalar")
_MATRICES = ("eye", *STRUCTURES)
_FUNCTIONS = [op.name for op in OPS.values() if not op.symbol]
_CALLED = [*_FUNCTIONS, "below", "before"]
_EXAMPLES = {"rank": "h@rank(8)", "blocks": "h@blocks(4)"}  # of the structures that take a number

Rule = Generator["Rule", int, int]


def run(rule: Rule) -> int:
    """Run a rule and all that it calls; the node it ends with."""
    calls, fresh, value = [rule], True, 0
    while calls:
        try:
            calls.append(next(calls[-1]) if fresh else calls[-1].send(value))
            fresh = True
        except StopIteration as end:
            calls.pop()
            fresh, value = False, end.value
    return value


class Expressions(Cursor):
    """The rules for values."""

    def expression(self) -> Rule:
        """Values with infix signs between them."""
        values: list[int] = []
        signs: list[tuple[Op, Token]] = []
        while True:
            values.append((yield self.operand()))
            op = INFIX.get(self.token.text) if self.token.kind == "sign" else None
            while signs and (op is None or signs[-1][0].binds >= op.binds):
                done, token = signs.pop()
                right = values.pop()
                values.append(self.add(Apply(done.name, (values.pop(), right)), token))
            if op is None:
                return values[0]
            signs.append((op, self.next()))

    def operand(self) -> Rule:
        token = self.token
        if token.kind == "sign" and token.text in PREFIX:
            self.next()
            if token.text == "-" and self.token.kind == "number":
                return self.add(Constant(0.0 - self.next().value), token)  # -0 is 0
            self.deeper(token)
            value = yield self.operand()
            self.nesting -= 1
            return self.add(Apply(PREFIX[token.text].name, (value,)), token)
        if token.kind == "number":
            self.next()
            return self.add(Constant(token.value), token)
        if self.found("["):
            return (yield self.bracket())
        if token.kind == "word" or self.found("("):
            return (yield self.name_or_group())
        self.fail("no_value", token, found=token.shown)

    def name_or_group(self) -> Rule:
        """A name, a call or a parenthesis."""
        start, token = self.at, self.token
        if token.kind == "word":
            self.next()
            value = yield self.word(token)
        else:
            self.open("(")
            value = yield self.expression()
            self.close(")")
        self.simple = (start, self.at)
        return value

    def word(self, token: Token) -> Rule:
        """What a word stands for; a call's arguments follow it."""
        name = token.text
        if name in OPS:
            return (yield self.call(token, OPS[name]))
        if name == "before":
            return (yield self.before(token))
        if name == "below":
            hint = "below(c) is the new value of state c in the layer below"
            self.open("(", hint)
            state = self.token
            if state.kind != "word" or state.text.endswith("'"):
                self.fail("expected", state, what="the name of a state", found=state.shown, hint=hint)
            self.check_name(state, state.text)
            self.next()
            self.close(")")
            return self.input(Input("below", state.text), token)
        called = self.found("(") or self.found("[")
        if name == "tick" and not called:
            if not self.clock:
                self.fail("needs_clock", token, name="tick")
            return self.input(Input("tick", "tick"), token)
        if name in self.scope:
            if called:
                self.fail("not_a_function", token, name=name)
            return self.scope[name]
        self.unknown(token, called)
        yield from ()  # a generator like the others

    def before(self, token: Token) -> Rule:
        self.open("(", "before(v) is v one step ago, before(v, 2) two steps")
        source = yield self.expression()
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

    def call(self, token: Token, op: Op) -> Rule:
        if op.symbol:
            example = f"a {op.symbol} b" if op.arity == 2 else f"{op.symbol}a"
            self.fail("write_the_sign", token, name=op.name, example=example)
        args: list[int] = []
        if self.found("["):
            args.append((yield self.bracket()))
        elif self.found("("):
            self.open("(")
            args.append((yield self.expression()))
            while self.found(","):
                self.next()
                args.append((yield self.expression()))
            self.close(")")
        else:
            self.fail("function_alone", token, name=op.name)
        if len(args) != op.arity:
            needs = "one argument" if op.arity == 1 else f"{op.arity} arguments"
            example = f"{op.name}({', '.join('abc'[: op.arity])})"
            self.fail("argument_count", token, name=op.name, needs=needs, given=len(args), example=example)
        return self.add(Apply(op.name, tuple(args)), token)

    # ---- brackets

    def bracket(self) -> Rule:
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
                c = yield from self.connection()
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
                self.fail("expected", token, what="a connection", found=token.shown, hint=hint)
            self.fail("unknown_option", token, name=name, nearest=near)
        if name in options:
            self.fail("option_twice", token, name=f"{name}=")
        self.next()
        word = self.token.text if self.token.kind == "word" else ""
        if name == "bias" and word == "none":
            self.next()
            options[name] = None
        elif word == "uniform":
            self.next()
            options[name] = self.uniform()
        else:
            options[name] = self.number("a number or none" if name == "bias" else "a number")

    def uniform(self) -> Uniform:
        """The bounds between which initial values are drawn."""
        hint = "as in bias=uniform(-0.1, 0.1)"
        opened = self.open("(", hint)
        low = self.number("the lower bound")
        self.take(",", hint)
        high = self.number("the upper bound")
        self.close(")")
        if low > high:
            self.fail("uniform_order", opened)
        return Uniform(low, high)

    def connection(self) -> Generator[Rule, int, Connection]:
        if self.found("."):
            dot = self.next()
            if self.token.kind != "word" and not self.found("("):
                self.fail("dot_takes", dot)
            source = yield self.name_or_group()
            if self.found("@"):
                self.fail("peephole_kind", self.token)
            if self.token.kind == "sign" and self.token.text in INFIX:
                self.fail("dot_takes", dot)
            return Connection(source, peephole=True)
        start, first = self.at, self.token
        source = yield self.expression()
        if self.found("@") and self.simple != (start, self.at):
            self.fail("at_takes", self.token)
        eye: float | None = None
        structure: str | None = None
        part: int | None = None
        while self.found("@"):
            self.next()
            kind = self.token
            if kind.kind != "word":
                hint = f"({listed(_MATRICES)})"
                self.fail("expected", kind, what="a kind of matrix", found=kind.shown, hint=hint)
            if kind.text not in _MATRICES:
                near = did_you_mean(kind.text, _MATRICES)
                self.fail("unknown_matrix", kind, name=kind.text, nearest=near, kinds=listed(_MATRICES))
            if kind.text == "eye":
                if eye is not None:
                    self.fail("matrix_twice", kind, name="@eye")
                self.next()
                self.open("(", "as in h@eye(0.9)")
                eye = self.number("what stands on the diagonal")
                self.close(")")
            else:
                if structure is not None:
                    key = "matrix_twice" if structure == kind.text else "two_matrices"
                    self.fail(key, kind, name=f"@{kind.text}", other=f"@{structure}")
                structure, part = kind.text, self.structure(kind, source, first)
            if structure is not None and eye is not None and not STRUCTURES[structure].eye:
                self.fail("eye_beside", kind, name=f"@{structure}")
        return Connection(source, eye=eye, structure=structure, part=part)

    def structure(self, token: Token, source: int, first: Token) -> int | None:
        """Reads a kind of matrix on the connection from `source`, which begins at `first`: its number where
        it takes one."""
        kind, name = STRUCTURES[token.text], f"@{token.text}"
        if token.text == "slower" and not self.clock:
            self.fail("needs_clock", token, name=name)
        if kind.square and source in self.wide:
            self.fail("matrix_of_input", first, name=name)
        self.next()
        if not kind.part:
            if self.found("("):
                self.fail("no_number", self.token, name=name)
            return None
        self.open("(", f"as in {_EXAMPLES[token.text]}")
        number = self.whole("matrix_number", MAX_PART, part=kind.part, name=name)
        self.close(")")
        return number
