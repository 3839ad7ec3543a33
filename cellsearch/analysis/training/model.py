"""Train a plan to its end and write its folder. After a kill the same command resumes from the last
checkpoint, bit for bit."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellsearch import files
from cellsearch.analysis.training import facts as values
from cellsearch.analysis.training.plan import Plan
from cellsearch.errors import RunError, printable
from cellsearch.exporters.model import folder as folders
from cellsearch.study.origin import provenance
from cellsearch.study.system import processes
from cellsearch.train.final import fit as final
from cellsearch.train.final.fit import Fitted, Job

MOST = 64 << 20  # maximal bytes of a config.json
MEMORY = 16.0  # gigabytes for seeds that train together, as for the settings of a search
LOCK = "train.lock"

#: Called after every epoch: name of the training, epochs done, seeds in training, best validation accuracy.
Progress = Callable[[str, int, int, float | None], None]


@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """A trained model: its folder, and the contents of `config.json`."""

    folder: Path
    facts: Mapping[str, Any]
    new: bool = True  # False: it already existed

    @property
    def accuracy(self) -> float:
        """The scores of the validation part."""
        return float(self.facts["valid"]["accuracy"])

    @property
    def test_accuracy(self) -> float:
        """The scores of the test part, which was not used for decisions."""
        return float(self.facts["test"]["accuracy"])

    def __repr__(self) -> str:
        scores = f"validation accuracy {self.accuracy:.4f}, test accuracy {self.test_accuracy:.4f}"
        return f"<Model {self.folder}: {scores}>"


def trained(
    plan: Plan,
    folder: Path,
    *,
    device: str = "cpu",
    memory: float = MEMORY,
    overwrite: bool = False,
    share: float = final.CHECKPOINT_SHARE,
    progress: Progress | None = None,
) -> Model:
    """The model of a plan in its folder: trained now, or read if it exists.

    Checkpoints are in a hidden folder beside it, which is removed when the model is complete. Raises
    CellsearchError if the folder has another model, if every seed diverges, or if a file cannot be written.
    """
    if not overwrite and (there := _there(plan, folder)) is not None:
        return there
    work = folder.with_name(f".{folder.name}.training")
    files.own_folder(work)
    with processes.exclusive(work / LOCK, f"the training in {printable(str(folder))}"):
        if overwrite:
            _drop_others(plan, work)
        again = None
        if plan.record is not None and plan.record.job is not None:
            again = _fit(plan.record.job, work / "recorded", "as recorded", device, memory, share, progress)
        fitted = _fit(plan.job, work / "model", plan.cell.name, device, memory, share, progress)
        chosen = fitted.chosen
        if chosen is None:
            causes = "; ".join(dict.fromkeys(score.cause for score in fitted.scores))
            shutil.rmtree(work, ignore_errors=True)
            raise RunError(
                f"every seed diverged: {printable(causes, 300)}\n"
                "give a lower rate, as in --setting learning_rate=0.1"
            )
        facts = json.loads(json.dumps(values.facts(plan, fitted, again, device), allow_nan=False))
        said = provenance(plan.found.origin) if plan.found.origin else dict(plan.found.provenance)
        model = folders.Trained(
            plan.job.shape, fitted.rows[chosen], plan.job.dataset.test, facts,
            said | {"model": _in_short(facts)},
        )  # fmt: skip
        folders.write(folder, folders.contents(model), overwrite=overwrite)
        shutil.rmtree(work, ignore_errors=True)
    return Model(folder, facts)


def _in_short(facts: Mapping[str, Any]) -> str:
    model, test = facts["model"], facts["test"]
    return (
        f"trained on {facts['task']['name']}: {model['layers']} x {model['hidden']} units, "
        f"test accuracy {test['accuracy']:.6g}"
    )


def _fit(
    job: Job,
    file: Path,
    label: str,
    device: str,
    memory: float,
    share: float,
    progress: Progress | None,
) -> Fitted:
    def tell(epoch: int, running: int, best: float | None) -> None:
        if progress is not None:
            progress(label, epoch, running, best)

    if device == "cpu":
        # imported here: it loads torch, which an existing model does not need
        from cellsearch.train.resources.threads import one_thread

        one_thread()
    parts = [
        final.fit(
            part, device=device, file=file.with_name(f"{file.name}-{k}.safetensors"), share=share, tell=tell
        )
        for k, part in enumerate(final.split(job, 1e9 * memory))
    ]
    return final.joined(job, parts)


def _drop_others(plan: Plan, work: Path) -> None:
    """Removes checkpoints of other models; training continues from those of this one."""
    mark, mine = work / "key", values.key(plan)
    with suppress(OSError):
        if mark.read_text() == mine:
            return
    for left in work.glob("*.safetensors"):
        left.unlink()
    files.write_text(mark, mine)


def _there(plan: Plan, folder: Path) -> Model | None:
    """The existing model, if any; raises RunError if the folder belongs to something else."""
    if not os.path.lexists(folder):
        return None
    shown = printable(str(folder))
    remedy = "overwrite it with --force, or give another --out"
    try:
        facts = json.loads(files.read(folder / "config.json", MOST))
        mine = isinstance(facts, dict) and values.known(facts, plan)
        whole = all((folder / name).is_file() for name in folders.NAMES[:-1])
    except (OSError, ValueError, RecursionError, files.NotRegularError) as error:
        raise RunError(f"{shown} exists and is not a model of cellsearch\n{remedy}") from error
    if not mine or not whole:
        raise RunError(f"{shown} holds another model\n{remedy}")
    return Model(folder, facts, new=False)
