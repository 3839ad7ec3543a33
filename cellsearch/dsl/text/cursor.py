"""The state of a parse: the position among the tokens, and the completed nodes.

Grammar rules use it: `expressions` for values, `parser` for the whole text.
"""

from collections.abc import Iterable
from typing import NoReturn

from cellsearch.dsl.limits import MAX_DEPTH, MAX_NESTING, MAX_NODES, check_name
from cellsearch.dsl.nodes import Input, Node, State, sources, written
from cellsearch.dsl.text.lexer import Source, Token, tokens
from cellsearch.errors import did_you_mean


class Cursor:
    """One pass over the tokens; appends to `nodes` as values are completed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens, self.description = tokens(source)
        self.at = 0
        self.token = self.tokens[0]
        self.nodes: list[Node] = []
        self.labels: list[str] = []
        self.depths: list[int] = []
        self.scope: dict[str, int] = {}
        self.states: list[State] = []
        self.clock: tuple[int, ...] = ()
        self.inputs: dict[Input, int] = {}
        self.wide = {0}  # x and its earlier values: nodes with the input width
        self.opened: list[Token] = []
        self.simple = (-1, -1)  # the tokens of the last name, call or parenthesis, which '@' may follow
        self.heads = self._heads()
        self.state_tokens: dict[str, Token] = {}
        self.brackets: list[Token] = []  # the opening token of each affine node, in the order of the nodes

    # ---- tokens

    def next(self) -> Token:
        """Advance by one token and return the previous one."""
        token = self.token
        self.at = min(self.at + 1, len(self.tokens) - 1)
        self.token = self.tokens[self.at]
        return token

    def peek(self) -> Token:
        return self.tokens[min(self.at + 1, len(self.tokens) - 1)]

    def fail(self, key: str, token: Token, **facts: object) -> NoReturn:
        facts = {"found": token.shown, **facts}
        self.source.fail(key, token.at, len(token.text), self.scope, self.state_tokens, **facts)

    def expected(self, what: str, hint: str) -> NoReturn:
        """The error for an unexpected next token."""
        self.fail("expected", self.token, what=what, hint=hint)

    def found(self, sign: str) -> bool:
        """Whether the next token is this symbol."""
        return self.token.kind == "sign" and self.token.text == sign

    def take(self, sign: str, hint: str = "") -> Token:
        if not self.found(sign):
            self.expected(f"'{sign}'", hint)
        return self.next()

    def open(self, sign: str, hint: str = "") -> Token:
        token = self.take(sign, hint)
        self.opened.append(token)
        if len(self.opened) > MAX_NESTING:
            self.fail("deep_text", token, limit=MAX_NESTING)
        return token

    def close(self, sign: str) -> None:
        if not self.found(sign):
            if self.found("@"):
                self.fail("at_outside", self.token)
            if self.starts_value() and not self.heads_here():
                self.fail("value_after_value", self.token)
            what = f"'{sign}'" if sign == ")" else f"',' or '{sign}'"
            self.expected(what, self.unclosed())
        self.next()
        self.opened.pop()

    def unclosed(self) -> str:
        token = self.opened[-1]
        return f"the '{token.text}' of line {self.source.place(token.at).line} is not closed"

    def end_line(self, what: str = "the end of the line", hint: str = "write one equation per line") -> None:
        if self.token.kind == "end":
            return
        if self.token.kind != "line":
            self.expected(what, hint)
        self.next()

    def starts_value(self) -> bool:
        return self.token.kind in ("word", "number") or self.found("(") or self.found("[")

    def heads_here(self) -> bool:
        """Whether an equation seems to start here (a line break inside a bracket that was never closed)."""
        after = self.peek()
        return self.token.kind == "word" and after.kind == "sign" and after.text == "="

    def _heads(self) -> dict[str, Token]:
        """The first equation of each name, anywhere in the text."""
        heads: dict[str, Token] = {}
        for before, word, after in zip(self.tokens, self.tokens[1:], self.tokens[2:], strict=False):
            if before.kind == "line" and word.kind == "word" and after.text == "=":
                heads.setdefault(word.text, word)
        return heads

    # ---- numbers

    def whole(self, key: str, limit: int, **facts: object) -> int:
        """An integer from 1 to `limit`; `key` is the row of the messages for other tokens."""
        token = self.token
        if not token.text.isdigit() or not 1 <= token.value <= limit:
            self.fail(key, token, limit=f"{limit:,}", **facts)
        self.next()
        return int(token.value)

    def number(self, what: str) -> float:
        """A number literal with an optional minus."""
        sign = -1.0 if self.found("-") else 1.0
        if sign < 0:
            self.next()
        if self.token.kind != "number":
            hint = "write a number, as in 0.5 or -1e30"
            self.expected(what, hint)
        return sign * self.next().value + 0.0  # -0 is 0

    # ---- nodes

    def add(self, node: Node, token: Token) -> int:
        depth = 1 + max((self.depths[s] for s in sources(node)), default=-1)
        if depth > MAX_DEPTH:
            self.fail("deep_graph", token, limit=MAX_DEPTH)
        if len(self.nodes) >= MAX_NODES:
            self.fail("many_nodes", token, limit=MAX_NODES)
        self.nodes.append(node)
        self.labels.append("")
        self.depths.append(depth)
        return len(self.nodes) - 1

    def input(self, node: Input, token: Token) -> int:
        """The node of an input; one node for all uses."""
        if node not in self.inputs:
            self.inputs[node] = self.add(node, token)
        return self.inputs[node]

    def spelled(self, index: int) -> str:
        """The spelling of a named value."""
        return written(self.nodes[index], self.labels[index])

    # ---- names

    def check_name(self, token: Token, name: str) -> None:
        if reason := check_name(name):
            self.fail("illegal_name", token, reason=reason)

    def prime_off_state(self, token: Token) -> NoReturn:
        name = token.text.removesuffix("'")
        states = list(self.state_tokens)
        self.fail(
            "prime_off_state",
            token,
            name=name,
            nearest=did_you_mean(name, states, "'"),
            states=listed(states),
        )


def listed(names: Iterable[str], most: int = 24) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
