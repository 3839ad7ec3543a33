"""Overrides: `tasks.0.options.train=1000` changes one value of a YAML tree, as if it stood in the file.

List items are named by position, from 0. New nodes of the tree have their place in the override, so that
later errors point there. Missing mappings are created; the parser of the tree checks the keys.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from cellsearch.errors import printable
from cellsearch.study.space.yaml_text import MAX_DEPTH, Node, Source, Span, error, parse

FILE = "--set"
INDEX = re.compile(r"[0-9]{1,9}\Z")
FORM = "write key=value, for instance budget.trials=20 or tasks.0.options.train=1000"


def override(root: Node, text: str) -> Node:
    """`root` with the value named in `text` changed."""
    path, equals, value = text.partition("=")
    source = Source(FILE, (text,))
    if not equals or "\n" in text or "\r" in text:
        raise error(source.span(0, 0, len(text)), f"'{printable(text, 60)}' is not an override", FORM)
    words = path.split(".")
    if len(words) > MAX_DEPTH:
        raise error(source.span(0, 0, len(path)), f"more than {MAX_DEPTH} keys", FORM)
    steps, column = [], 0
    for word in words:
        if not word.strip():
            raise error(source.span(0, column), "a key is missing", FORM)
        steps.append((word.strip(), source.span(0, column, len(word))))
        column += len(word) + 1
    new = parse(" " * (len(path) + 1) + value, FILE, shown=text)
    return _put(root, steps, new, "")


def _put(node: Node, steps: Sequence[tuple[str, Span]], new: Node, path: str) -> Node:
    if not steps:
        return replace(new, key=node.key)
    (step, span), rest = steps[0], steps[1:]
    content = node.content
    where = f"'{printable(path, 60)}'" if path else "the whole"
    deeper = f"{path}.{step}" if path else step
    if isinstance(content, tuple):
        if not INDEX.match(step) or int(step) >= len(content):
            raise error(span, f"{where} is a list of {len(content)}", "name an item by its index, from 0")
        k = int(step)
        return replace(node, content=(*content[:k], _put(content[k], rest, new, deeper), *content[k + 1 :]))
    if content is not None and not isinstance(content, dict):
        raise error(
            span, f"{where} is a single value and has no '{printable(step, 60)}'", f"set {where} itself"
        )
    pairs = content or {}
    old = pairs.get(step, Node(None, span))
    return replace(node, content={**pairs, step: _put(replace(old, key=span), rest, new, deeper)})
