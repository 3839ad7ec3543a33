"""Plain values as YAML text that `yaml_text.parse` reads back; equal values give equal text."""

import re

from cellsearch.study.space.yaml_text import FORBIDDEN, WORDS, Plain

UNQUOTED = re.compile(r"[A-Za-z][A-Za-z0-9_./()-]*\Z")


def emit(value: Plain) -> str:
    """The text, mappings in blocks, lists of scalars in brackets. `parse(emit(v)).plain == v`."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Plain) -> list[str]:
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            if _is_block(item):
                lines += [f"{flow(key)}:", *(f"  {line}" for line in _lines(item))]
            else:
                lines.append(f"{flow(key)}: {flow(item)}")
        return lines
    if isinstance(value, list) and _is_block(value):
        return [
            ("- " if k == 0 else "  ") + line for item in value for k, line in enumerate(_lines(item))
        ]  # fmt: skip
    return [flow(value)]


def _is_block(value: Plain) -> bool:
    """Whether a value needs separate lines."""
    if isinstance(value, list):
        return any(isinstance(item, dict | list) and item for item in value)
    return isinstance(value, dict) and bool(value)


def flow(value: Plain) -> str:
    """A value on one line."""
    if isinstance(value, list):
        return f"[{', '.join(flow(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow(key)}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, str):
        return value if UNQUOTED.match(value) and value not in WORDS else _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _quoted(text: str) -> str:
    def escape(c: str) -> str:
        if c in '"\\':
            return f"\\{c}"
        if FORBIDDEN.match(c) or c in "\n\r":
            return f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}"
        return c

    return f'"{"".join(map(escape, text))}"'
