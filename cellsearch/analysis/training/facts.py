"""The facts of a trained model, as the plain values of `config.json`; views and the model card format
them."""

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from cellsearch.analysis.intervals import mean
from cellsearch.analysis.training.plan import Plan, Record
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import show
from cellsearch.study import origin
from cellsearch.study.tables.study_facts import NUMERICS
from cellsearch.tasks import TASKS
from cellsearch.tasks.data import Dataset
from cellsearch.tasks.options import paths
from cellsearch.train.final.fit import Fitted, Score
from cellsearch.train.resources import cost
from cellsearch.version import version

FORMAT = 1  # of config.json
SPREADS = 2.0  # standard deviations within which a number counts as reproduced


def facts(plan: Plan, fitted: Fitted, again: Fitted | None, device: str) -> dict[str, Any]:
    """The values; `again` is the training that reproduces the record, if it is a separate one."""
    job, chosen = plan.job, fitted.chosen
    assert chosen is not None
    dataset, best = job.dataset, fitted.scores[chosen]
    tested = [score.test_accuracy for score in fitted.scores if score.test_accuracy is not None]
    where = paths(TASKS[dataset.task].options)
    return {
        "format": FORMAT,
        "key": key(plan),
        "cell": {"name": plan.cell.name, "fingerprint": fingerprint(plan.cell), "text": show(plan.cell)},
        "model": {
            "vocabulary": dataset.vocabulary, "layers": job.setting.layers, "hidden": job.hidden,
            "parameters": cost.parameters(plan.cell, dataset.vocabulary, job.setting.layers, job.hidden),
            "dtype": job.training.dtype, "symbols": list(dataset.symbols),
        },
        "task": {
            "name": plan.stage.name, "task": dataset.task, "measure": dataset.measure,
            "options": {
                name: _file(value) if name in where else value for name, value in dataset.options.items()
            },
            "digest": dataset.digest, "seed": plan.seed,
            "scored": {name: getattr(dataset, name).scored for name in ("train", "valid", "test")},
        },
        "setting": asdict(job.setting),
        "training": asdict(job.training),
        "seeds": [
            {"seed": number, **_of_seed(score)}
            for number, score in zip(plan.numbers, fitted.scores, strict=True)
        ],
        "chosen": chosen,
        "valid": _part(best.accuracy, best.loss, dataset.measure),
        "test": _part(best.test_accuracy, best.test_loss, dataset.measure)
        | {"mean": asdict(mean(tested, 0.0, 1.0))},
        "recorded": plan.record and reproduced(plan.record, (again or fitted).scores[0], fitted, dataset),
        "origin": plan.found.origin and origin.as_json(plan.found.origin),
        "program": {
            "cellsearch": version(), "numerics": NUMERICS, "torch": installed("torch"),
            "python": platform.python_version(), "device": device, "machine": platform.machine(),
        },
    }  # fmt: skip


def key(plan: Plan) -> str:
    """The key of this model: that of its job."""
    return plan.job.key


def _of_seed(score: Score) -> dict[str, Any]:
    return {
        "status": str(score.status), "cause": score.cause, "epochs": score.epochs, "trained": score.trained,
        "valid": {"accuracy": score.accuracy, "loss": score.loss},
        "test": {"accuracy": score.test_accuracy, "loss": score.test_loss},
        "curve": [[finite(loss), finite(accuracy)] for loss, accuracy in score.curve],
    }  # fmt: skip


def finite(number: float) -> float | None:
    """The number; None if JSON cannot represent it."""
    return number if math.isfinite(number) else None


def _part(accuracy: float | None, loss: float | None, measure: str) -> dict[str, Any]:
    """Scores of a part of the data; `measure` is the usual measure, if that is not the loss in nats."""
    assert accuracy is not None and loss is not None
    found = {"accuracy": accuracy, "loss": loss}
    if measure == "bits":
        found["measure"] = loss / math.log(2)
    elif measure == "perplexity":
        found["measure"] = math.exp(min(loss, 700.0))
    return found


def _file(path: object) -> object:
    """The name of a file, without its folder: a model must not contain folders of one machine."""
    return path if path is None else Path(str(path)).name


def reproduced(record: Record, score: Score, fitted: Fitted, dataset: Dataset) -> dict[str, Any]:
    """The recorded validation accuracy, the one that the same training gives now, and a sentence on their
    equality."""
    now = score.best_of(record.trained or len(score.curve))
    found: dict[str, Any] = {
        "search": record.search, "accuracy": record.accuracy, "loss": record.loss,
        "now": now and now[0], "same": now == (record.accuracy, record.loss),
    }  # fmt: skip
    sentence = f"The search {record.search} recorded a validation accuracy of {record.accuracy:.6f}"
    if found["same"]:
        return found | {
            "spread": 0.0,
            "within": True,
            "says": f"{sentence}; training again reproduced it bit for bit.",
        }
    if now is None:
        return found | {"spread": None, "within": False, "says": f"{sentence}; training again diverged."}
    count = dataset.valid.scored
    share = min(max(record.accuracy, 1 / count), 1 - 1 / count)  # at the ends one position is unknown
    chance = share * (1 - share) / count  # variance of the mean over the positions
    accuracies = [s.accuracy for s in fitted.scores if s.accuracy is not None]
    between = (mean(accuracies).sd or 0.0) ** 2 if record.job is None and accuracies else 0.0
    spread = SPREADS * math.sqrt(chance + between)
    within = abs(now[0] - record.accuracy) <= spread
    why = (
        f"its numbers are those of version {record.numerics}, this program has {NUMERICS}"
        if record.numerics != NUMERICS
        else "rounding differs on another kind of machine, engine or version of torch"
    )
    says = (
        f"{sentence}; training again gave {now[0]:.6f}, a difference of {abs(now[0] - record.accuracy):.6f}, "
        f"{'within' if within else 'beyond'} {SPREADS:g} standard deviations ({spread:.6f}, of "
        f"{count:,} positions{' and the seeds' if between else ''}): {why}."
    )
    return found | {"spread": spread, "within": within, "says": says}


def known(facts: Mapping[str, Any], plan: Plan) -> bool:
    """Whether these are the facts of an existing model of the plan."""
    return facts.get("format") == FORMAT and facts.get("key") == key(plan)
