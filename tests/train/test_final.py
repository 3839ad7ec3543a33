"""The training of a model that is kept: what a search records, weights of the best epoch, and going on after
an end at any epoch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.dsl import zoo
from cellsearch.errors import DataError, RunError
from cellsearch.tasks import build
from cellsearch.train.evaluate import evaluate, member_seed
from cellsearch.train.final import safetensors
from cellsearch.train.final.fit import Fitted, Job, fit, joined, scored_on, split, windows_of
from cellsearch.train.outcome import Status
from cellsearch.train.settings import Grid, Training

TRAINING = Training(max_epochs=7, batch=10, steps=20, patience=1, halvings=2)
GRID = Grid((1.0,), (0.5, 2.0, 1e30), (1.0,), (1,), (1_000,))
DATA = build(
    "memorize", {"symbols": 2, "alphabet": 5, "train": 4000, "valid": 800, "test": 800},
    batch=10, seed=1, data=None,
)  # fmt: skip


def job_of(count: int = 3, place: int = 1, name: str = "gru") -> Job:
    cell = zoo.load(name)
    seeds = tuple(member_seed(seed, cell, DATA.task, place) for seed in range(1, 1 + count))
    return Job(cell, DATA, GRID[place], 12, TRAINING, seeds)


class Stop(Exception):
    """The end of the process, as far as a test needs it."""


def test_settings_of_one_shape_train_as_one_population() -> None:
    """Each as it trains alone: every number, the test part included; one that diverges stays alone."""
    cell = zoo.load("gru")
    seeds = tuple(member_seed(1, cell, DATA.task, place) for place in range(len(GRID)))
    settings_ = tuple(GRID[place] for place in range(len(GRID)))
    job = replace(job_of(), seeds=seeds, settings=settings_)
    together = fit(job)
    assert [one.status for one in together.scores] == [Status.DONE, Status.DONE, Status.DIVERGED]
    for place, score in enumerate(together.scores):
        (alone,) = fit(replace(job_of(), setting=GRID[place], seeds=(seeds[place],))).scores
        assert score == alone
    assert len({job.key, replace(job, settings=()).key, replace(job, settings=settings_[::-1]).key}) == 3
    parts = split(job, fit_bytes(job, 2))
    assert [part.settings for part in parts] == [settings_[:2], settings_[2:]]
    assert joined(job, [fit(part) for part in parts]).scores == together.scores


def fit_bytes(job: Job, members: int) -> float:
    """Memory in which that many members fit, and no more."""
    return replace(job, seeds=job.seeds[:members], settings=job.settings[:members]).bytes


def stopping(after: int):
    def tell(epoch: int, running: int, best: float | None) -> None:
        if epoch == after:
            raise Stop

    return tell


@pytest.fixture(scope="module")
def whole() -> Fitted:
    return fit(job_of())


def test_the_numbers_are_those_of_a_search(whole: Fitted) -> None:
    cell = zoo.load("gru")
    grid = replace(GRID, parameters=(1_000,))
    (outcome,) = evaluate(cell, DATA, grid, [1], TRAINING, seed=1)
    job = replace(job_of(), hidden=outcome.hidden)
    found = fit(job)
    first = found.scores[0]
    assert (first.accuracy, first.loss) == (outcome.accuracy, outcome.loss)
    assert (first.epochs, first.trained) == (outcome.epochs, outcome.trained)
    assert first.best_of(first.trained) == (outcome.accuracy, outcome.loss)
    assert fit(replace(job, seeds=job.seeds[:1])).scores[0] == first  # neighbours change no bit


def test_the_weights_are_those_of_the_best_epoch(whole: Fitted) -> None:
    job = whole.job
    accuracy, loss = scored_on(job.shape, whole.rows, windows_of(DATA.valid, job, "cpu"))
    assert [float(a) for a in accuracy] == [s.accuracy for s in whole.scores]
    assert [float(v) for v in loss] == [s.loss for s in whole.scores]
    assert whole.chosen == max(range(3), key=lambda k: whole.scores[k].accuracy or 0.0)
    assert all(len(s.curve) == s.trained for s in whole.scores)
    assert len({s.trained for s in whole.scores} | {s.epochs for s in whole.scores}) > 1


@pytest.mark.parametrize("after", [1, 3, 6])
def test_what_was_stopped_goes_on_with_the_same_bits(whole: Fitted, after: int, tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    with pytest.raises(Stop):
        fit(job_of(), file=file, share=1e9, tell=stopping(after))
    seen: list[int] = []
    again = fit(job_of(), file=file, tell=lambda epoch, running, best: seen.append(epoch))
    assert seen[0] == after + 1
    assert again.scores == whole.scores and torch.equal(again.rows, whole.rows)
    assert fit(job_of(), file=file, tell=stopping(1)).scores == whole.scores  # nothing is left to train


def test_members_that_end_early_leave_in_the_same_way(tmp_path: Path) -> None:
    job = replace(job_of(4, 2), seeds=tuple(range(4)))  # all diverge at once
    found = fit(job, file=tmp_path / "c")
    assert found.chosen is None
    assert all(
        s.status == Status.DIVERGED and s.accuracy is None and s.test_loss is None for s in found.scores
    )
    assert not found.rows.any()
    noisy, short = replace(GRID[1], learning_rate=8.0), replace(TRAINING, halvings=0, max_epochs=10)
    early = replace(job_of(5), setting=noisy, training=short)
    wanted = fit(early)
    assert len({score.trained for score in wanted.scores}) > 1
    for after in {1, min(score.trained for score in wanted.scores)}:
        file = tmp_path / f"{after}"
        with pytest.raises(Stop):
            fit(early, file=file, share=1e9, tell=stopping(after))
        again = fit(early, file=file)
        assert again.scores == wanted.scores and torch.equal(again.rows, wanted.rows)


def test_parts_that_fit_the_memory_are_one_job(whole: Fitted) -> None:
    job = job_of()
    parts = split(job, replace(job, seeds=job.seeds[:2]).bytes)
    assert len(parts) == 2 and sum(len(part.seeds) for part in parts) == 3
    assert joined(job, [fit(part) for part in parts]).scores == whole.scores
    assert split(job, job.bytes) == [job]
    with pytest.raises(RunError, match=r"one seed needs about .* GB"):
        split(job, 1000.0)


def test_a_checkpoint_belongs_to_one_job_and_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "c"
    fit(job_of(1), file=file)
    with pytest.raises(RunError, match="is the checkpoint of another training"):
        fit(job_of(2), file=file)
    data = file.read_bytes()
    for cut in (0, 4, 9, 200, len(data) - 1):
        file.write_bytes(data[:cut])
        with pytest.raises(RunError, match=r"damaged or not a safetensors file[\s\S]*remove it"):
            fit(job_of(1), file=file)


KINDS = st.sampled_from(list(safetensors.DTYPES.values()))
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=9).filter(lambda s: s != "__metadata__"), st.tuples(KINDS, SHAPES), max_size=4
    )
)
def test_files_are_those_of_the_package(parts: dict[str, tuple[torch.dtype, list[int]]]) -> None:
    package = pytest.importorskip("safetensors.torch")
    rng = np.random.default_rng(1)
    tensors = {n: torch.from_numpy(rng.integers(0, 2, shape)).to(kind) for n, (kind, shape) in parts.items()}
    data = safetensors.encode(tensors, {"a": "é"})
    read = package.load(data)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[n], t) and read[n].dtype == t.dtype for n, t in tensors.items())
    back, about = safetensors.decode(package.save(tensors, {"b": "c"}), "x")
    assert about == {"b": "c"} and all(torch.equal(back[n], t) for n, t in tensors.items())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 70))
def test_other_bytes_are_refused(data: bytes, length: int) -> None:
    for some in (data, length.to_bytes(8, "little") + data):
        try:
            safetensors.decode(some, "x")
        except DataError as error:
            assert str(error).startswith("x is damaged or not a safetensors file")
