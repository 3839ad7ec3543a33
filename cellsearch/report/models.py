"""A trained model as lines of text: scores, record, folder."""

from rich.text import Text

from cellsearch.analysis.training.model import Model
from cellsearch.errors import plural, printable
from cellsearch.report.columns import Column, facts, table, text, wrapped


def lines(model: Model, width: int) -> list[Text]:
    """The scores of each seed, the record, and the folder."""
    f = model.facts
    shape, task = f["model"], f["task"]
    head = text(f["cell"]["name"], "bold")
    head.append(f" on {printable(task['name'])}", "bold")
    shown = [head, text("")]
    shown += facts([("model", _model(shape)), ("setting", _setting(f["setting"]))], width)
    shown += [text(""), *_seeds(model, width), text("")]
    mean = f["test"]["mean"]
    if mean["low"] is not None:
        between = f"95% interval of the mean {mean['low']:.4f} to {mean['high']:.4f}"
        over = plural(mean["count"], "seed")
        shown += wrapped(f"test accuracy {mean['mean']:.4f}, {between}, {over}", width)
    if f["recorded"]:
        style = "green" if f["recorded"]["same"] else "" if f["recorded"]["within"] else "yellow"
        shown += wrapped(printable(f["recorded"]["says"], 1_000), width, style=style)
    where = printable(str(model.folder), 4_000)
    shown.append(text(f"{'written to' if model.new else 'already exists:'} {where}"))
    return shown


def _model(shape: dict[str, int]) -> str:
    return (
        f"{plural(shape['layers'], 'layer')} of {shape['hidden']:,} units, {shape['vocabulary']:,} symbols, "
        f"{shape['parameters']:,} parameters"
    )


def _setting(setting: dict[str, float]) -> str:
    return " ".join(f"{name}={value:g}" for name, value in setting.items() if name != "parameters")


def _seeds(model: Model, width: int) -> list[Text]:
    seeds, chosen = model.facts["seeds"], model.facts["chosen"]
    mark = ["kept" if k == chosen else "" for k in range(len(seeds))]
    columns = [
        Column("seed", [text(seed["seed"]) for seed in seeds], True),
        Column("validation", [_accuracy(seed, "valid") for seed in seeds], True),
        Column("test", [_accuracy(seed, "test") for seed in seeds], True),
        Column("epochs", [text(f"{seed['epochs']} of {seed['trained']}") for seed in seeds], True),
        Column("", [text(word, "bold") for word in mark]),
    ]
    return table(columns, width)


def _accuracy(seed: dict, part: str) -> Text:
    value = seed[part]["accuracy"]
    return text(seed["status"], "yellow") if value is None else text(f"{value:.4f}")


def epoch_line(label: str, epoch: int, running: int, best: float | None) -> str:
    """Progress after an epoch."""
    reached = "" if best is None else f", best validation accuracy {best:.4f}"
    return f"{printable(label, 60)}: epoch {epoch}, {plural(running, 'seed')} in training{reached}"
