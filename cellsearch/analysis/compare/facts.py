"""A comparison as plain values: `compare.json`, the source of the page and the figure."""

from dataclasses import asdict
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from cellsearch.analysis.compare.draws import Interval, Ranges
from cellsearch.analysis.compare.judge import ERROR, wanted
from cellsearch.analysis.compare.run import Compared, Comparison, Row
from cellsearch.analysis.compare.work import training_of
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import show
from cellsearch.study.tables.study_facts import NUMERICS
from cellsearch.tasks import TASKS
from cellsearch.tasks.options import paths
from cellsearch.version import version

FORMAT = 1


def as_json(found: Comparison) -> dict[str, Any]:
    """The whole comparison, with every training and without folders of this machine."""
    plan = found.plan
    return {
        "format": FORMAT,
        "baseline": plan.baseline,
        "settings": len(found.settings),
        "best": wanted(len(found.settings), plan.share),
        "share": plan.share,
        "margin": plan.margin,
        "error": ERROR,
        "seed": plan.place.seed,
        "cells": [{"name": c.name, "fingerprint": fingerprint(c), "text": show(c)} for c in plan.cells],
        "tasks": [_task(one) for one in found.tasks],
        "program": {
            "cellsearch": version(), "numerics": NUMERICS, "torch": installed("torch"),
            "device": plan.place.device,
        },
    }  # fmt: skip


def _task(one: Compared) -> dict[str, Any]:
    stage, dataset = one.on.stage, one.on.dataset
    where = paths(TASKS[stage.task].options)
    return {
        "name": stage.name,
        "task": stage.task,
        "options": {
            name: Path(str(value)).name if name in where and value is not None else value
            for name, value in stage.options.items()
        },
        "digest": dataset.digest,
        "vocabulary": dataset.vocabulary,
        "scored": {part: getattr(dataset, part).scored for part in ("train", "valid", "test")},
        "training": asdict(training_of(stage)),
        "ranges": ranges_json(one.on.ranges),
        "settings": [asdict(setting) for setting in one.on.settings],
        "memoryless": one.on.floor,
        "importance": dict(one.importance),
        "rows": [_row(row) for row in one.rows],
    }


def ranges_json(ranges: Ranges) -> dict[str, Any]:
    """Each range: an interval as `low` and `high`, drawn log-uniformly, or a list of values."""
    return {
        name: {"low": one.low, "high": one.high} if isinstance(one, Interval) else list(one)
        for name, one in ranges.items()
    }


def _row(row: Row) -> dict[str, Any]:
    tail, judged = row.tail, row.judged
    d = judged.difference
    return {
        "cell": row.cell.name,
        "statement": judged.statement.value,
        "mean": tail and tail.mean,
        "standard_error": tail and tail.error,
        "ratio": None if d is None else 1 + d.estimate,
        "low": None if d is None else 1 + d.low,
        "high": None if d is None else 1 + d.high,
        "p": judged.p,
        "p_greff": judged.plain,
        "p_margin": judged.worse,
        "diverged": row.diverged,
        "best": list(row.best),
        "outcomes": [
            {
                "hidden": one.hidden, "status": one.status, "accuracy": one.accuracy, "loss": one.loss,
                "test_accuracy": one.test_accuracy, "test_loss": one.test_loss, "epochs": one.epochs,
                "trained": one.trained,
            }
            for one in row.trained
        ],
    }  # fmt: skip
