# ruff: noqa: E501, RUF001  (one row per line; the examples need look-alike characters)
"""THE table of errors in a text: message, remedy, and examples.

The parser raises by key, and a test walks the same rows: every example must give its row's message at a
place. An example without the word `cell` is the equations of a cell with input x and states h and c.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """`message` and `remedy` are format strings over the parser's values at that place."""

    key: str
    message: str
    remedy: str
    bad: tuple[str, ...]


# fmt: off
TABLE = (
    # ---- characters, words and numbers
    Message("too_long", "a cell's text has at most {limit} KiB", "is this the right file?",
            ("#" * 65_537, "[" * 1_000_000, "é" * 40_000)),
    Message("foreign_character", "{code} has no meaning here", "{nearest}names and operators are ASCII; "
    "other characters are allowed in comments",
            ("h' = х", "h' = h × c", "ｃ' = h", "h' = h\u200b", "h' = h\u202e", "h' = h − c", "h\x00' = h", "h' = h\x1b[31m", "h' =\xa0h", "\rh' = h", "h' = h\x0c", "𝐱 = 1", "ﬁ = 1", "cell t(x; h) → h")),
    Message("comment_character", "{code} is not allowed in a comment", "remove it: comments have printable "
    "characters only",
            ("# a\u202eb", "# \x1b[31mred", "h' = h # \u200b", "# a\x00")),
    Message("stray_character", "'{character}' has no meaning here", "the symbols are + - * / = , ; ( ) [ ] . "
    "@ -> and ' after a state",
            ("h' = h ^ 2", "h' = h ? c", 'h\' = "h"', "h' = {{h}}", "h' = h & c", "' = h", "h' = h > c", "$(ls)", "h' = h!", "\\input{/etc/passwd}")),
    Message("long_name", "a name has at most {limit} characters", "choose a shorter one",
            ("a" * 65 + " = h", "cell " + "t" * 65 + "(x; h)\nh' = h", "h' = " + "y" * 60_000)),
    Message("primes", "{name} has more than one '", "one ' marks the new value of a state",
            ("h'' = h", "h' = c'''")),
    Message("bad_number", "'{number}' is not a number", "write a decimal number, with an optional exponent: "
    "2, 0.5, 1e-3",
            ("h' = 0x1F * h", "h' = 1_000 * h", "h' = 1. * h", "h' = 2h", "h' = 1e * h", "h' = 1.2.3", "h' = 1e-", "h' = [h, bias=0b1]", "h' = 1.e5", "cell t(x; h=1j)\nh' = h")),
    Message("number_range", "this number is too {side}", "numbers are 64-bit floating point: up to 1.8e308, down to 4.9e-324",
            ("h' = h * 1e309", "h' = [h, bias=-1e400]", "h' = h + 1e-400", "h' = " + "9" * 400, "cell t(x; h=1e999)\nh' = h")),
    # ---- the header
    Message("no_cell", "a cell begins with its header, not with {found}", "write cell NAME(x; h) on the first line",
            ("cel t(x; h)\nh' = h", "(x; h) cell", "[cell]")),
    Message("empty", "this text has no cell", "write cell NAME(x; h) and its equations",
            ("\n", "# nothing", "\ufeff", "\n \t\n# a\n\n")),
    Message("no_name", "the cell's name is missing before {found}", "write cell NAME(x; h)",
            ("cell (x; h)\nh' = h", "cell 3(x; h)\nh' = h", "cell", "cell t'(x; h)\nh' = h")),
    Message("expected", "expected {what}, found {found}", "{hint}",
            ("cell t x; h)\nh' = h", "cell t(x; h\nh' = h", "cell t(x; h,)\nh' = h", "cell t(; h)\nh' = h", "cell t(x; h=c)\nh' = h", "cell t(x; h) h' = h", "cell t(x; h) -> \nh' = h",
             "cell t(x, y; h)\nh' = h", "h' h", "h' = h,", "h' = (h", "h' = (h]", "h' = [h)", "h' = max(h; c)", "h' = [h, bias=c]", "h' = [h, bias=]", "h' = [h, bias=nan]", "h' = [h, bias=uniform]", "h' = [h, bias=uniform(1)]", "h' = [h, bias=uniform(1, 2, 3)]", "h' = [h, bias=uniform(c, 1)]", "h' = [h, bias=uniform[-1, 1]]",
             "h' = before", "h' = before * c", "h' = before[x]", "h' = before(h, 1, 2)", "h' = before(h; c)", "h' = [h@rank]", "h' = [h@blocks]", "h' = [h@rank[8]]", "h' = [h@rank(8]", "h' = [h@blocks(4, 4)]",
             "h' = [h@eye(x)]", "h' = [h@eye]", "h' = [h@]", "h' = below(c", "h' = below[c]", "h' = below(3)", "cell t(x; h)\nclock 1,\nh' = h", "h' = h)", "h' = h]", "h' = (h = c)", "= h", "3 = h", "h' = [x,\nc' = c", "h' = [x\nc' = c", "h' = below * c", "h' = [h@eye=2]",
             "cell t(x; h)\nh' = h\nclock 1, 2")),
    Message("no_states", "a cell has at least one state", "name the states after a semicolon: cell {name}(x; h)",
            ("cell t(x)\nh' = x", "cell t(x;)\nh' = x")),
    Message("taken", "{name} is already in the header", "choose another name",
            ("cell t(x; x)\nx' = x", "cell t(x; h, h)\nh' = h")),
    Message("illegal_name", "{reason}", "choose another name",
            ("cell t(tanh; h)\nh' = h", "cell t(x; cell)\ncell' = h", "tanh = h", "bias = 1", "below = c", "before = c", "tick = c", "none = 1", "cell t(x; sigmoid)\nh' = h", "h' = below(tanh)", "clock' = h")),
    Message("prime_in_header", "{name} is in the header with a '", "write it without the ': h is the old "
    "value of a state, h' its new value",
            ("cell t(x; h')\nh' = h", "cell t(x'; h)\nh' = h")),
    Message("clock_period", "a period is a whole number of steps from 1 to {limit}", "as in clock 1, 2, 4, 8",
            ("cell t(x; h)\nclock 0\nh' = h", "cell t(x; h)\nclock 1.5\nh' = h", "cell t(x; h)\nclock 1, 1000000000\nh' = h", "cell t(x; h)\nclock 1e3\nh' = h", "cell t(x; h)\nclock -1\nh' = h", "cell t(x; h)\nclock 99999999999999999999999\nh' = h")),
    Message("clock_groups", "a clock has at most {limit} periods", "merge some of them",
            ("cell t(x; h)\nclock " + ", ".join(["2"] * 65) + "\nh' = h",)),
    # ---- equations
    Message("assigned_twice", "{name} is assigned twice, first in line {line}", "each name is assigned once: "
    "choose another name",
            ("a = h * c\na = h + c\nh' = a\nc' = a", "h' = h\nh' = c")),
    Message("input_assigned", "{name} is the input and cannot be assigned", "choose another name",
            ("x = h * c\nh' = x", )),
    Message("old_state_assigned", "{name} is the old value of a state and cannot be "
    "assigned", "the new value is written {name}' = …",
            ("h = c * c", "c = h")),
    Message("prime_off_state", "{name} is not a state, so it has no new value", "{nearest}only states take a "
    "': {states}",
            ("a' = h", "h' = x'", "i = h * c\nh' = i'", "h' = tanh'(h)", "h' = [.g']", "h' = tick'", "cell t(x; h) -> c'\nh' = h")),
    Message("no_new_value", "state {name} never gets a new value", "add an equation: {name}' = …",
            ("h' = h * c", "c' = c", "cell t(x; h)", "cell t(x; h)\n# nothing")),
    Message("renaming", "{name} is just another name for {value}", "use '{value}' itself",
            ("a = h\nh' = a\nc' = a", "a = h * c\nb = a\nh' = b\nc' = b", "a = x\nh' = a\nc' = h", "h' = h * c\na = h'\nc' = a * a", "cell t(x; h)\nclock 1, 2\na = tick\nh' = a * h", "a = below(c)\nh' = a\nc' = a")),
    Message("unused", "{name} is never used", "use it, or remove its equation",
            ("a = h * c\nh' = h\nc' = c", "a = h * c\nb = a + 1\nh' = h\nc' = c", "dt = 0.04\nh' = h\nc' = c")),
    # ---- expressions
    Message("no_value", "expected a value, found {found}", "a value is a name, a number, a function, a bracket or a parenthesis",
            ("h' = ", "h' = h +", "h' = * h", "h' = h ** 2", "h' = ()", "h' = tanh()", "h' = max(h,)", "h' = [x, , h]", "h' = [,]", "h' = +h", "h' = (", "h' = [", "h' = =", "h' = .5", "h' = .h", "h' = @eye(1)", "h' = h // c", "h' = [x, h,]", "h' = -")),
    Message("unknown_name", "unknown name '{name}'", "{nearest}{known}",
            ("h' = hh", "h' = i * h", "h' = nan", "h' = inf", "h' = [x, .d]", "h' = eval", "h' = self", "h' = __import__", "cell t(x; h) -> y\nh' = h")),
    Message("used_before", "{name} is used above its equation in line {line}", "an equation uses only values "
    "above it; move one of them",
            ("h' = a\na = h * c\nc' = c", "h' = c'\nc' = c", "a = a * h\nh' = a", "h' = [x, .c']\nc' = c")),
    Message("keyword", "'{name}' is a keyword, not a value", "{known}",
            ("h' = bias", "h' = clock * h", "h' = cell", "h' = none", "h' = [scalar]")),
    Message("unknown_function", "unknown function '{name}'", "{nearest}({functions})",
            ("h' = sigmod[x, h]", "h' = normal(h)", "h' = softmin[x]", "h' = befor(h, 2)", "h' = median(h)", "h' = total[h]", "h' = uniform(-1, 1)", "h' = rank(8)", "h' = eval(h)", "h' = foo[x]", "h' = [x, .foo(h)]", "h' = print(1)", "h' = bias(1)")),
    Message("not_a_function", "{name} is a value, not a function", "put a function or an operator before the "
    "bracket or parenthesis, as in {name} * [x]",
            ("h' = h[x]", "h' = h(c)", "a = h * c\nh' = a[x]", "h' = c * h[x]")),
    Message("function_alone", "{name} is a function", "give it an argument: {name}(…) or {name}[…]",
            ("h' = tanh", "h' = tanh * h", "h' = [x, tanh]", "h' = [.sigmoid]")),
    Message("write_the_sign", "{name} is written as an operator", "write {example}",
            ("h' = add(h, c)", "h' = mul(h, c)", "h' = neg(h)", "h' = neg[x]", "h' = sub", "h' = div(h, c)")),
    Message("argument_count", "{name} takes {needs}, not {given}", "as in {example}",
            ("h' = tanh(h, c)", "h' = max(h)", "h' = min(h, c, x)", "h' = max[x, h]", "h' = sigmoid(h, h, h)")),
    Message("value_after_value", "{found} follows a value without an operator between them", "put + - * / or "
    "a comma between them",
            ("h' = h 2", "h' = h c", "h' = [x h]", "h' = 2 h", "h' = (h)(c)", "h' = h tanh(c)", "h' = 2(h)", "h' = (h)[x]", "h' = [x][h]", "h' = tanh(h)(c)", "h' = [x, 2 h]", "h' = (h c)", "h' = max(h c, h)", "h' = before(h c", "h' = before(h 2)")),
    Message("deep_text", "parentheses and brackets are nested more than {limit} deep", "move a part to its "
    "own named equation",
            ("h' = " + "(" * 10_000, "h' = " + "[" * 10_000, "h' = " + "tanh(" * 10_000, "h' = " + "[.(" * 9_000, "h' = " + "(" * 300 + "h" + ")" * 300)),
    Message("deep_graph", "a chain of more than {limit} dependent values", "make the cell less deep",
            ("h' = h" + " * h" * 200, "h' = " + "tanh[" * 51 + "h" + "]" * 51 + "\nc' = c", "a0 = h * c\n" + "".join(f"a{k + 1} = a{k} * h\n" for k in range(120)) + "h' = a120\nc' = c")),
    Message("many_nodes", "a cell has at most {limit} values", "make it smaller",
            ("".join(f"a{k} = h * c\n" for k in range(1_200)), )),
    # ---- brackets
    Message("empty_bracket", "this bracket is empty", "connect something, as in [x, h], or write [bias=0] "
    "for a learned vector",
            ("h' = []", "h' = tanh[]", "h' = [bias=none]", "h' = h * [ ]")),
    Message("options_last", "options come last in a bracket", "move bias=… after the connections",
            ("h' = [bias=1, x]", "h' = [x, bias=none, .c]")),
    Message("option_twice", "{name} appears twice in one bracket", "remove one",
            ("h' = [x, bias=1, bias=2]", "h' = [scalar=1, scalar=1]")),
    Message("unknown_option", "unknown option '{name}'", "{nearest}the options of a bracket are bias= and scalar=",
            ("h' = [x, bais=1]", "h' = [x, init=1]", "h' = [x, h=1]", "h' = [eye=1]")),
    Message("scalar_alone", "a learned scalar has no connections and no bias", "write [scalar=0.5] alone",
            ("h' = [x, scalar=1]", "h' = [scalar=1, bias=1]", "h' = [bias=none, scalar=1]")),
    Message("connected_twice", "{name} is connected twice in the same way", "remove one; a matrix and a "
    "peephole from one value are allowed",
            ("h' = [x, h, x]", "h' = [.c, .c]", "h' = [h, h@eye(1)]", "cell t(x; h)\nclock 1, 2\nh' = [h@slower, h]")),
    Message("dot_takes", "'.' takes a name, a call or a parenthesis", "write .(…) around the expression",
            ("h' = [.c * h]", "h' = [x, .h * c]", "h' = [. ]", "h' = [.5]", "h' = [..c]", "h' = [.-c]", "h' = [.[x]]", "h' = [.h + c]")),
    Message("at_takes", "'@' takes a name, a call or a parenthesis", "write (…)@… around the expression",
            ("h' = [c * h@eye(1)]", "h' = [2@eye(1)]", "h' = [[x]@eye(1)]", "h' = [-h@eye(1)]")),
    Message("at_outside", "'@' is allowed only in brackets", "write [h@…] for a connection with such a "
    "matrix",
            ("h' = h@eye(1)", "h' = (h@eye(1))", "h' = tanh(h@slower)", "h' = [(h@eye(1))]", "h' = [tanh(h@eye(1))]")),
    Message("peephole_kind", "a peephole is a vector and has no matrix structure", "remove the '.' or the "
    "'@'",
            ("h' = [.c@eye(1)]", "h' = [x, .(h * c)@slower]")),
    Message("unknown_matrix", "unknown matrix structure '{name}'", "{nearest}({kinds})",
            ("h' = [h@ranks(8)]", "h' = [h@block(4)]", "h' = [h@eyes(1)]", "h' = [h@slow]", "h' = [h@diag]", "h' = [h@unitary]")),
    Message("matrix_twice", "{name} appears twice", "a connection has at most one matrix structure and one "
    "@eye(…)",
            ("h' = [h@eye(1)@eye(1)]", "h' = [h@rank(2)@rank(2)]", "h' = [h@blocks(2)@blocks(4)]", "h' = [h@skew@skew]", "cell t(x; h)\nclock 1, 2\nh' = [h@slower@slower]")),
    Message("two_matrices", "{name} cannot be combined with {other}", "a connection has at most one matrix "
    "structure and one @eye(…)",
            ("h' = [h@rank(2)@skew]", "h' = [h@blocks(2)@rank(4)]", "cell t(x; h)\nclock 1, 2\nh' = [h@slower@blocks(2)]")),
    Message("eye_beside", "{name} has no free diagonal, so it cannot be combined with "
    "@eye(…)", "remove one of them, or write two brackets: [h@…] + [h@eye(1)]",
            ("h' = [h@rank(2)@eye(1)]", "h' = [h@eye(1)@rank(2)]", "h' = [h@eye(0.5)@skew]")),
    Message("matrix_number", "the {part} of {name} is a whole number from 1 to {limit}, not {found}", "as in {example}",
            ("h' = [h@rank(0)]", "h' = [h@rank(1.5)]", "h' = [h@rank()]", "h' = [h@rank(r)]", "h' = [h@blocks(-1)]", "h' = [h@blocks(1e3)]", "h' = [h@blocks(65537)]", "h' = [h@rank(99999999999999999999999)]", "h' = [h@rank(H / 2)]")),
    Message("no_number", "{name} takes no number", "remove the parenthesis",
            ("h' = [h@skew(2)]", "h' = [h@skew()]", "cell t(x; h)\nclock 1, 2\nh' = [h@slower(2)]")),
    Message("matrix_of_input", "{name} needs a value of the hidden width, not the input", "remove {name}",
            ("cell t(x; h)\nclock 1, 2\nh' = [x@slower]", "h' = [x@skew]", "h' = [before(x)@skew]", "a = before(before(x, 2))\nh' = [a@skew]\nc' = a * c")),
    Message("delay", "before(v, d) looks back a whole number of steps from 1 to {limit}, not {found}", "as in before(c, 2); before(c) is one step",
            ("h' = before(h, 0)", "h' = before(h, 1.5)", "h' = before(h, -1)", "h' = before(h, c)", "h' = before(h, )", "h' = before(h, 1001)", "h' = before(h, 1e2)", "h' = [.before(c, d)]")),
    Message("uniform_order", "the lower bound of uniform(low, high) is above the upper "
    "bound", "write the lower bound first",
            ("h' = [x, bias=uniform(1, -1)]", "h' = [scalar=uniform(0.2, 0.1)]")),
    Message("deviation", "the standard deviation of normal(mean, deviation) is negative", "write a deviation of at least 0",
            ("h' = [x, bias=normal(0, -1)]", "h' = [scalar=exp(normal(2, -0.1))]")),
    Message("initial", "{reason}", "as in bias=1, bias=uniform(-0.1, 0.1), bias=log(uniform(1, 100))",
            ("h' = [x, bias=log(2)]", "h' = [x, bias=1 + 1]", "h' = [x, bias=log(uniform(-1, 1))]", "h' = [x, bias=sqrt(normal(0, 1))]", "h' = [x, bias=max(uniform(0, 1))]", "h' = [x, bias=uniform(0, 1)" + " + 1" * 40 + "]", "h' = [scalar=exp(uniform(900, 901))]")),
    Message("needs_clock", "{name} needs a clock", "write clock 1, 2, 4, 8 on the line after the header",
            ("h' = tick * h", "h' = [h@slower]", "h' = [tick]", "h' = tanh(tick)", "h' = before(tick)")),
    Message("one_weight_name", "two weights would have the name {name}", "rename an equation, or name the "
    "connected value",
            ("i = [x] * [h]\ni_1 = [x]\nh' = i * i_1\nc' = c", "c' = [c]\nc_new = c * c\nh' = [c', c_new]", "h_peephole = h * c\nh' = [h, .h, h_peephole]\nc' = c", "h' = [before(c), before(c)]\nc' = h",
             "before_c = h * c\nh' = [before(c), before_c]\nc' = c", "h_down = h * c\nh' = [h@rank(2), h_down]\nc' = c")),
    Message("malformed", "{reason}", "see `cellsearch docs language`",
            ()),
)
# fmt: on

MESSAGES = {row.key: row for row in TABLE}
assert len(MESSAGES) == len(TABLE), "two rows of one key"
