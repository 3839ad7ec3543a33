"""The difference between two canonical texts, as one short line per equation."""

import re

_TOKEN = re.compile(r"[A-Za-z0-9_.]+'?|\S")


def changes(old: str, new: str) -> tuple[str, ...]:
    """The lines of `new` that `old` does not have, in order, then the names that only `old` has.

    If a single word of an equation changed, only that word: `o: sigmoid -> tanh`. A renamed equation counts
    as new.
    """
    before, after = _lines(old), _lines(new)
    found = _added(before.pop("states", ""), after.pop("states", ""))
    found += [
        _change(name, before.get(name), said) for name, said in after.items() if before.get(name) != said
    ]
    gone = [name for name in before if name not in after]
    return (*found, *([f"without {', '.join(gone)}"] if gone else []))


def _lines(text: str) -> dict[str, str]:
    """Name -> definition: the states and the output of the header, the clock, the equations."""
    found = {}
    for line in text.splitlines():
        head, equals, said = line.partition(" = ")
        if line.startswith("#") or not line:
            continue
        if line.startswith("cell "):
            inside, _, output = line.partition(" -> ")
            found["states"] = inside.partition(";")[2].strip(" )")
            first = found["states"].split(",")[0].split("=")[0]
            found["output"] = output or f"{first}'"  # the default output
        elif line.startswith("clock "):
            found["clock"] = line.removeprefix("clock ")
        elif equals:
            found[head] = said
    return found


def _added(old: str, new: str) -> list[str]:
    """The states that are new or have another initial value; a removed state shows as a removed equation."""
    names = old.split(", ")
    added = [state for state in new.split(", ") if state not in names]
    return [f"state{'s' * (len(added) > 1)} {', '.join(added)}"] if added else []


def _change(name: str, old: str | None, new: str) -> str:
    if name in ("output", "clock"):
        return f"{name} {new}"
    before, after = _TOKEN.findall(old or ""), _TOKEN.findall(new)
    pairs = [(a, b) for a, b in zip(before, after, strict=False) if a != b]
    if len(before) == len(after) and len(pairs) == 1:
        ((a, b),) = pairs
        if before.count(a) == 1 and all(word[0].isalpha() for word in (a, b)):
            return f"{name}: {a} -> {b}"
    return f"{name} = {new}"
