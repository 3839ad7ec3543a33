"""The model card: README.md of a trained model, from the facts in `config.json`.

Untrusted text is in indented blocks or one line of printable characters.
"""

from collections.abc import Mapping
from typing import Any

from cellsearch.errors import plural, printable

Facts = Mapping[str, Any]


def card(facts: Facts) -> str:
    """The page, in Markdown."""
    parts = [
        _head(facts),
        _scores(facts),
        _use(facts),
        _cell(facts),
        _origin(facts),
        _made(facts),
        _cite(facts),
    ]
    return "\n".join(line for part in parts if part for line in (*part, "")).rstrip("\n") + "\n"


def _head(facts: Facts) -> list[str]:
    model, task, cell = facts["model"], facts["task"], facts["cell"]
    layers = plural(model["layers"], "layer")
    return [
        f"# {line(cell['name'])} on {line(task['name'])}",
        "",
        f"A recurrent network trained by cellsearch: an embedding of {model['vocabulary']:,} symbols, "
        f"{layers} of {model['hidden']:,} units of the cell `{line(cell['name'])}`, and an output layer; "
        f"{model['parameters']:,} parameters. It predicts the next symbol of the task {line(task['name'])}.",
    ]


def _scores(facts: Facts) -> list[str]:
    valid, test, seeds = facts["valid"], facts["test"], facts["seeds"]
    extra = f" | {facts['task']['measure']}" if "measure" in test else ""
    rows = [
        f"| part | accuracy | loss (nats){extra} |",
        "|---|---|---|" + "---|" * bool(extra),
        *(
            f"| {name} | {part['accuracy']:.4f} | {part['loss']:.4f} |"
            + (f" {part['measure']:.3f} |" if extra else "")
            for name, part in (("validation", valid), ("test", test))
        ),
    ]
    lines = [
        "## Scores",
        "",
        *rows,
        "",
        f"{_chosen(facts)} The test part was scored once, and was not used for any decision.",
    ]
    mean = test["mean"]
    if mean["low"] is not None:
        lines.append(
            f"Over {plural(mean['count'], 'seed')} the test accuracy is {mean['mean']:.4f}, with a "
            f"95% interval of the mean from {mean['low']:.4f} to {mean['high']:.4f} (Student's t)."
        )
    diverged = [seed for seed in seeds if seed["status"] != "done"]
    if diverged:
        lines.append(f"{plural(len(diverged), 'seed')} diverged and are excluded from the means.")
    if facts["recorded"]:
        lines += ["", line(facts["recorded"]["says"], 1_000)]
    return lines


def _chosen(facts: Facts) -> str:
    count = len(facts["seeds"])
    if count == 1:
        return "The weights are those of the epoch with the best validation accuracy."
    return (
        f"The weights are those of the best of {count} seeds, by validation accuracy, at its best epoch; the "
        f"best of several is slightly above the expectation for a new one."
    )


def _use(facts: Facts) -> list[str]:
    return [
        "## Use",
        "",
        "In this folder, with only PyTorch:",
        "",
        "    from model import load",
        "    model = load()",
        "    logits, states = model(symbols)    # whole numbers [T, B] -> [T, B, V]",
        "",
        "`config.json` lists the text of each symbol (`model.symbols`). `python model.py` scores the test "
        "part.",
        "Its data is in `test.safetensors`: remove that file if the data may not be redistributed. The "
        "weights",
        "of the layers have the names of the cell's equations; without `recurrent.` in front they fit",
        "`cellsearch.Recurrent`.",
    ]


def _cell(facts: Facts) -> list[str]:
    text = facts["cell"]["text"].rstrip("\n").split("\n")
    fingerprint = facts["cell"]["fingerprint"]
    return [
        "## Cell", "", *(f"    {printable(part, 10_000)}".rstrip() for part in text), "",
        f"Fingerprint {fingerprint[:16]}.",
    ]  # fmt: skip


def _origin(facts: Facts) -> list[str]:
    origin = facts["origin"]
    if not origin:
        return []
    lines = ["## Origin", "", f"Found by the search {line(origin['search'])} (seed {origin['seed']}):", ""]
    for step in origin["steps"]:
        score = "" if step["score"] is None else f", score {step['score']:.4f}"
        lines.append(f"- `{line(step['name'])}` ({line(step['standing'])}{score})")
        lines += [f"  - {line(edit, 400)}" for edit in step["edits"]]
    lines += [
        "",
        f"A score is the smallest ratio of a cell's best accuracies to those of {line(origin['baseline'])}.",
    ]
    return lines


def _made(facts: Facts) -> list[str]:
    task, program = facts["task"], facts["program"]
    pairs = [
        ("task", f"{task['name']} ({task['task']})" if task["name"] != task["task"] else task["task"]),
        ("options", _pairs(task["options"])),
        ("data, sha256", task["digest"]),
        ("setting", _pairs(facts["setting"])),
        ("training", _pairs(facts["training"])),
        ("seeds", ", ".join(str(seed["seed"]) for seed in facts["seeds"])),
        *((name, str(value)) for name, value in program.items()),
    ]
    return [
        "## How it was made", "", "| | |", "|---|---|",
        *(f"| {line(name)} | {line(value, 2_000)} |" for name, value in pairs),
    ]  # fmt: skip


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def _cite(facts: Facts) -> list[str]:
    name, program = facts["cell"]["name"], facts["program"]
    return [
        "## Cite",
        "",
        "    @software{cellsearch,",
        "      author = {cellsearch developers},",
        "      title = {cellsearch: search for recurrent cells},",
        f"      version = {{{line(program['cellsearch'])}}},",
        f"      note = {{cell {line(name)}, fingerprint {facts['cell']['fingerprint'][:16]}}}",
        "    }",
        "",
        "The method is that of Jozefowicz, Zaremba and Sutskever (2015), An Empirical Exploration of",
        "Recurrent Network Architectures; a published cell cites its paper above its equations.",
    ]


def line(value: object, limit: int = 200) -> str:
    """A value as one line without Markdown syntax."""
    text = printable(" ".join(str(value).split()), limit)
    return "".join(f"\\{c}" if c in "|`<>*[]" else c for c in text)
