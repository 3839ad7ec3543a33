"""A work of a verification, trained: the test part with the weights of the best epoch, on data of its own."""

import pytest

from cellsearch.analysis import processes
from cellsearch.analysis.verify import work
from cellsearch.analysis.verify.work import Place, Work
from cellsearch.dsl import zoo
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.study.space import parse_space
from cellsearch.train.settings import keys

pytestmark = pytest.mark.long

SPACE = """\
name: tiny
tasks:
  - {name: memorize, options: {symbols: 2, alphabet: 4, train: 2000, valid: 400, test: 400}}
grid: {init_scale: [1], learning_rate: [0.5], max_norm: [2.5], layers: [1], parameters: [500]}
training: {max_epochs: 2, batch: 4, steps: 10}
"""


def test_a_work_is_trained_on_fresh_data_and_the_same_each_time() -> None:
    space = parse_space(SPACE)
    place = Place(space.text, 1)
    gru = zoo.load("gru")
    setting = next(iter(keys(space.tasks[0].grid)))
    one = Work(fingerprint(gru), str(gru), "memorize", setting, 0, base=True)
    found = work.train(place, one)
    assert len(found.repeats) == 8 and [r.seed for r in found.repeats] == list(one.seeds(1))
    assert all(r.status == "done" and 0 < (r.test_accuracy or 0) <= 1 for r in found.repeats)
    assert len({r.loss for r in found.repeats}) == len({r.test_loss for r in found.repeats}) == 8
    again = work.train(place, one)
    assert again.repeats == found.repeats and again.digest == found.digest
    later = work.train(
        place, Work(*(getattr(one, n) for n in ("fingerprint", "text", "task", "setting")), 1, True)
    )
    assert later.digest != found.digest and len(later.repeats) == 8
    assert later.repeats[0].test_loss != pytest.approx(found.repeats[0].test_loss, abs=1e-9)


def test_in_processes_a_work_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    space = parse_space(SPACE)
    place, gru, setting = Place(space.text, 1), zoo.load("gru"), next(iter(keys(space.tasks[0].grid)))
    works = [Work(fingerprint(gru), str(gru), "memorize", setting, look, False) for look in (0, 1)]
    pooled = {one.look: one.repeats for one in processes.results(work.train, place, works, 2)}
    assert pooled == {one.look: work.train(place, one).repeats for one in works}
