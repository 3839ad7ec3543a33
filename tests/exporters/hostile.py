"""Cells whose names and descriptions are chosen to break generated code."""

from dataclasses import replace

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse

DESCRIPTIONS = (
    '"""',
    "'''\"\"\" + __import__('os').system('false')",
    "\\",
    "ends with a backslash \\\n# import os\nimport os",
    "# -*- coding: utf-7 -*-\n# coding: utf-7\n+AAo-import os+AAo-",
    "{__import__('os')} {0} %s ${HOME} `ls`",
    "\\input{/etc/passwd} \\write18{ls} \\end{align} ^^M\\input",
    "*/ --> </script> [red]bold[/red]",
    "noqa\nfmt: off\ntype: ignore\nruff: noqa\nisort: skip_file",
    "\t tab\n\n\n   \n   indented",
    "時計 « ∂E/∂w »",
    "word " * 400,
    "x" * 500,
)

#: Names that mean something to Python, to torch, or to the code around them.
AWKWARD = tuple(
    "class def None True lambda train forward type float half keys self __x __init__ __class__ __debug__ _ __ l O I "
    "torch nn Tensor range len list t k layer shape single states steps outputs start slower earlier seen past "
    "blocks States Weights x0 h_in n_1 v1 uniform full between units inputs kind project_ periods T_destination "
    "_parameters _modules weight print ValueError TypeError isinstance check_like output n d".split()
)


def described() -> list[Cell]:
    """One small cell with each description."""
    cell = parse("cell lstm(x; h)\nh' = tanh[x, h]\n")
    return [replace(cell, description=text) for text in DESCRIPTIONS]


def named() -> list[Cell]:
    """Cells that use each awkward name for a gate, a state, the input, and themselves."""
    found = []
    for name in AWKWARD:
        gate = f"{name} = sigmoid[x, h]\ncand = tanh[x, {name} * h, .{name}]\nh' = {name} * h + (1 - {name}) * cand"
        state = f"clock 1, 3\ns' = max(s, [x, .{name}])\n{name}' = tanh[s', {name}@slower] + tick * before(s)"
        found.append(parse(f"cell c(x; h)\n{gate}\n"))
        found.append(parse(f"cell {name}({name}; h)\nh' = tanh[{name}, h, .{name}]\n"))
        found.append(parse(f"cell c(x; {name}, s=-1e30)\n{state} + below({name})\n"))
    return found


def large() -> list[Cell]:
    """Cells whose lines would be too long: long names, many states, long sums, deep expressions."""
    a, b, c = ("a" * 64, "b" * 64, "_" * 60 + "cdef")
    states = ", ".join(f"state_number_{k}" for k in range(14))
    equations = "\n".join(
        f"state_number_{k}' = tanh[x, state_number_{k}, .state_number_{13 - k}]" for k in range(14)
    )
    names = [f"v{k}" for k in range(30)]
    wide = "\n".join(f"{name} = tanh[x, h]" for name in names)
    return [
        parse(
            f"cell {a}(x; {b}, {c})\n{a} = tanh[x, {b}, .{c}]\n{b}' = {a} * {b} + {a} * {c}\n{c}' = [{b}', .{b}'] / {a}\n"
        ),
        parse(f"cell {b}({a}; {b})\n{b}' = sigmoid[{a}, {b}, .{b}] * {b} - max({a}, [{a}]) * (2 - {b})\n"),
        parse(f"cell many(x; {states})\n{equations}\n"),
        parse(
            f"cell many_below(x; {states})\n{equations.replace('.state', '.below(state').replace(']', ')]')}\n"
        ),
        parse(
            f"cell wide(x; h)\n{wide}\nh' = tanh[{', '.join(names)}, {', '.join('.' + n for n in names)}]\n"
        ),
        parse("cell sums(x; h)\nh' = tanh(h" + " + h * x" * 30 + ")\n"),
        parse("cell deep(x; h)\nh' = " + "tanh(0.5 * " * 24 + "[x, h]" + ")" * 24 + "\n"),
    ]
