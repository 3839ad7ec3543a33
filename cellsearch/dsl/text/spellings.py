# ruff: noqa: E501, RUF001  (one row per line; look-alike characters are listed so that a message can suggest
# the right one)
"""THE table of common misspellings and their correct forms.

An error inside a match of a row begins its remedy with the correct form. A test runs the example of each row.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cellsearch.dsl.ops import OPS

#: Symbols and letters, in addition to Unicode's compatibility forms.
CHARACTERS = {"−": "-", "–": "-", "—": "-", "×": "*", "⋅": "*", "·": "*", "⊙": "*", "∘": "*", "÷": "/", "⊘": "/", "²": "a * a"}  # fmt: skip
CHARACTERS |= {
    "→": "->",
    "⟶": "->",
    "←": "=",
    "’": "'",
    "′": "'",
    "‘": "'",
    "´": "'",
    "＇": "'",
    "σ": "sigmoid",
}
CHARACTERS |= dict(zip("асеорхуіјѕһԁ", "aceopxyijshd", strict=True))  # Cyrillic
CHARACTERS |= dict(zip("ονυικ", "ovuik", strict=True))  # Greek

#: Functions of other libraries: an op, or their expression in ops of a value a.
FUNCTIONS = {
    "swish": "silu", "mish": "gelu", "hardswish": "silu", "hard_swish": "silu",
    "sigm": "sigmoid", "logistic": "sigmoid", "expit": "sigmoid", "hardsigmoid": "hard_sigmoid", "logsigmoid": "log_sigmoid",
    "lrelu": "leaky_relu", "leakyrelu": "leaky_relu", "elu": "max(a, exp(min(a, 0)) - 1)",
    "celu": "max(a, exp(min(a, 0)) - 1)", "relu6": "min(relu(a), 6)", "hardtanh": "max(-1, min(a, 1))", "hard_tanh": "max(-1, min(a, 1))",
    "tanhshrink": "a - tanh(a)", "atan": "softsign", "arctan": "softsign",
    "square": "a * a", "log1p": "log(1 + a)", "expm1": "exp(a) - 1", "rsqrt": "1 / sqrt(a)",
    "maximum": "max", "minimum": "min", "layernorm": "norm", "layer_norm": "norm", "ln": "norm", "linear": "[x, h]", "dense": "[x, h]",
}  # fmt: skip

_NAME = r"[A-Za-z_]\w*"
_UNARY = "|".join(op.name for op in OPS.values() if op.arity == 1 and not op.symbol)
_STEP = r"_(?:prev|old|last|tm1|t1|t)"
_TERM = (
    rf"\b(?:[WURV](?:_?\w+)?(?:\s*[*@]\s*|\s+)|[WURV])(?:VALUE)(?:{_STEP})?(?![\w'])"  # W x, U_i * h_prev, Wx
)
_TERMS = rf"({_TERM}(?:\s*\+\s*{_TERM})*)(?:\s*\+\s*b\w*)?"
_NEW = r"(?:new_|next_)?(STATE)(?:_t|_new|_next|t)"
_REACH = 200  # searched characters on both sides of an error


def _connected(match: re.Match[str]) -> str:
    """tanh[x, h] for tanh(W x + U h + b)."""
    op, terms = match.groups()
    words = [re.findall(rf"{_NAME}'?", term) for term in terms.split("+")]
    values = [term[-1] if len(term) > 1 else term[0][1:] for term in words]
    return f"{op or ''}[{', '.join(re.sub(f'{_STEP}$', '', value) for value in values)}]"


@dataclass(frozen=True, slots=True)
class Spelling:
    """`keys` are the rows of the messages that it explains, `right` a template over the groups of `pattern`.
    In `pattern`, VALUE matches the names of values, STATE the names of states."""

    keys: str
    pattern: str
    right: str | Callable[[re.Match[str]], str]
    wrong: str  # an example
    meant: str  # its suggestion


# fmt: off
TABLE = (
    Spelling("argument_count", rf"\b({_UNARY})\(([^()\[\]]+,[^()\[\]]*)\)", r"\1[\2]", "h' = sigmoid(x, h)", "sigmoid[x, h]"),
    Spelling("unknown_name", rf"(?:\b({_UNARY})\(\s*)?{_TERMS}(?(1)\s*\))", _connected, "h' = tanh(W x_t + U_h*h_prev + b)", "tanh[x, h]"),
    Spelling("unknown_name", rf"(?:\b({_UNARY})\(\s*)?{_TERMS}", _connected, "h' = tanh(c * (Wx + U h'))\nc' = h", "[x]"),
    Spelling("value_after_value at_outside", r"\b(VALUE)\s*@?\s*[WURV]\w*\s*\+\s*(VALUE)\s*@?\s*[WURV]\w*", r"[\1, \2]", "h' = tanh(x @ W + h @ U)", "[x, h]"),
    Spelling("unknown_name", rf"\b(?:torch|nn|F|np|numpy|jnp|math|self)\.({_UNARY})\b", r"\1", "h' = torch.tanh(c)", "tanh"),
    Spelling("unknown_function", rf"\bpow(?:er)?\(\s*({_NAME}'?)\s*,\s*2\s*\)", r"\1 * \1", "h' = pow(c, 2)", "c * c"),
    Spelling("unknown_function", rf"(?i:\b({'|'.join(FUNCTIONS)}))(?=\s*[(\[])", lambda m: FUNCTIONS[m[1].lower()], "h' = Swish(c)", "silu"),
    Spelling("expected", r"\b(VALUE)\s?\.\s?\*\s?(VALUE)", r"\1 * \2", "h' = h .* c", "h * c"),
    Spelling("expected value_after_value", r"\b(VALUE)\.(VALUE)", r"\1 * \2", "h' = h.c", "h * c"),
    Spelling("expected", r"\b(VALUE)\.(?=\s*[\],])", r".\1", "h' = [x, c.]", ".c"),
    Spelling("no_new_value", rf"^\s*{_NEW}\s*=", r"\1' = …", "c' = c\nh_t = tanh[x, h]", "h' = …"),
    Spelling("prime_off_state", rf"\b{_NEW}'", r"\1'", "h_t' = tanh[x, h]", "h'"),
    Spelling("expected", rf"^\s*({_NAME})\s*[(\[]\s*t\s*[)\]]\s*=", r"\1' = …", "h(t) = tanh[x, h]", "h' = …"),
    Spelling("stray_character", rf"^\s*({_NAME}?)_\{{\s*t\s*\}}\s*=", r"\1' = …", "h_{t} = tanh[x, h]", "h' = …"),
    Spelling("stray_character", rf"\b({_NAME}?)_\{{\s*t\s*-\s*1\s*\}}", r"\1", "h' = tanh[x, h_{t-1}]", "h"),
    Spelling("stray_character", rf"\b({_NAME}?)_\{{\s*t\s*\}}", r"\1", "h' = tanh[x_{t}, h]", "x"),
    Spelling("not_a_function", r"\b(VALUE)\s*[(\[]\s*t\s*-\s*1\s*[)\]]", r"\1", "h' = tanh[x, h(t-1)]", "h"),
    Spelling("not_a_function", r"\b(VALUE)\s*[(\[]\s*t\s*[)\]]", r"\1", "h' = tanh[x[t], h]", "x"),
    Spelling("unknown_name", r"\b(?:(?:prev|old|last)_(VALUE)|(VALUE)_(?:prev|old|last|tm1|t1))\b", r"\1\2", "h' = tanh[x, h_prev]", "h"),
    Spelling("unknown_name", r"\b(VALUE)_?t\b", r"\1", "h' = tanh[x_t, h]", "x"),
    Spelling("no_value stray_character", rf"\b({_NAME}'?)\s*(?:\*\*|\^)\s*2(?![\w.])", r"\1 * \1", "h' = c**2", "c * c"),
    Spelling("no_value stray_character", rf"\b({_NAME}'?)\s*(?:\*\*|\^)\s*3(?![\w.])", r"\1 * \1 * \1", "h' = c ^ 3", "c * c * c"),
    Spelling("stray_character", r":=|<-", "=", "h' := tanh[x, h]", "="),
    Spelling("no_value dot_takes", r"(?<![\w.)])\.([0-9]+)\b", r"0.\1", "h' = .5 * h", "0.5"),
    Spelling("bad_number", r"\b([0-9]+)\.(?![0-9eE])", r"\1", "h' = 1. * h", "1"),
    Spelling("bad_number", r"\b([0-9]+(?:\.[0-9]+)?)([hcfigorz])\b", r"\1 * \2", "h' = 2h", "2 * h"),
)
# fmt: on


def spelled(key: str, line: str, column: int, values: Collection[str], states: Collection[str]) -> str:
    """The start of the remedy for an error of row `key` in a column of a line: a question with the correct
    form, or ""."""
    for row in TABLE:
        if key in row.keys.split():
            pattern = re.compile(row.pattern.replace("VALUE", _any(values)).replace("STATE", _any(states)))
            for match in pattern.finditer(line, max(0, column - _REACH), column + _REACH):
                if match.start() <= column < match.end():
                    right = match.expand(row.right) if isinstance(row.right, str) else row.right(match)
                    quote = '"' if "'" in right else "'"
                    return f"did you mean {quote}{right}{quote}? "
    return ""


def is_new(name: str, state: str) -> bool:
    """Whether a name is a common one for the new value of a state."""
    return re.fullmatch(_NEW.replace("STATE", re.escape(state)), name) is not None


def _any(names: Collection[str]) -> str:
    """A pattern for one of the names, the longest first."""
    few = sorted(names, key=len, reverse=True)[:100]
    return "|".join(map(re.escape, few)) or _NAME
