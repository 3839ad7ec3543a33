"""Every step of training and of a cohort on a CUDA device that is not there: whatever a recorded step computes
stays on the device, and nothing waits for it. On a GPU that copies, or asks for a value, recording fails."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fake_cuda import Watch, fake_cuda, real, registered

from cellsearch.compiler import graphs
from cellsearch.compiler.run import layer, stack, structures
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.train import model
from cellsearch.train.grouping.cohort import Lane, finish, together
from cellsearch.train.grouping.stacked import Windows
from cellsearch.train.population import Member, Population
from cellsearch.train.settings import Setting, Training
from cellsearch.train.steps import Data, Steps
from cellsearch.train.windows import Window

STRUCTURES = """cell structures(x; h, m=-1)
a = tanh[x, h@rank(2), .m, bias=log(uniform(1, 9))]
b = sigmoid[x@blocks(2), h@skew, m@circulant]
s = [scalar=0.5]
m' = s * a + (1 - b) * m
h' = b * tanh[m'@toeplitz, h@orthogonal, bias=none]
"""
CELLS = (
    "lstm", "gru", "mut1", "peephole_lstm", "clockwork", "depth_gated_lstm", "qrnn", "layernorm_lstm",
    "on_lstm", "slstm", "cornn", "mi_lstm", "chrono_lstm", "structures",
)  # fmt: skip
T, B, V = 2, 2, 5


def cell(name: str) -> Cell:
    return parse(STRUCTURES) if name == "structures" else zoo.load(name)


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> None:
    registered(tmp_path_factory.mktemp("fake_cuda"))


@pytest.fixture
def watch(guard: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Steps as they are recorded: run once, in which what is made once is copied to the device, then watched."""
    monkeypatch.setattr(graphs, "place", lambda device: None)
    # Triton reads data: here the engine is `eager`.
    monkeypatch.setattr(layer, "triton_runs", lambda kind: False)
    first_rows = model.first_rows

    def drawn(*given: object) -> torch.Tensor:
        with real():  # on the CPU, as always
            return first_rows(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "first_rows", drawn)
    with fake_cuda() as found:

        def capture(step: graphs.Step, changed: object, at: object) -> graphs.Step:
            step()

            def again() -> None:
                with found.step():
                    step()

            return again

        monkeypatch.setattr(graphs, "capture", capture)
        yield found


def data(masked: bool = False) -> Data:
    """A window to train on and one to score; masked ones, two each, count two or three of four positions."""
    inputs = torch.zeros(T, B, dtype=torch.int64, device="cuda")
    window = Window(inputs, None, inputs.reshape(-1))
    found = Data([window], [window])
    if masked:  # what they are filled up with depends on data
        positions = torch.arange(3, device="cuda").expand(2, -1)
        filled = Windows(inputs.expand(2, -1, -1), positions, positions * 0, positions < 2, 5)
        vars(found).update(train_alike=[filled], valid_alike=[filled])
    return found


def steps(of: Cell, given: Data, mean: bool = False) -> Steps:
    shape = model.Shape(of, V, 1 + bool(stack.reads_below(of)), 4)
    rows = model.first_rows(shape, [1.0, 0.7], [1, 2], torch.float32).to("cuda")
    return Steps(shape, given, rows, torch.ones(2, device="cuda"), mean=mean)


def epoch(made: Steps) -> None:
    for walk in (made.train(np.array([0.5, 0.3])), made.score()):
        for _ in walk:
            pass


@pytest.mark.long
@pytest.mark.parametrize("name", CELLS)
def test_a_recorded_step_stays_on_the_device(name: str, watch: Watch) -> None:
    """Embedding, layers, output layer, clipping, update and scores."""
    masked = name in ("gru", "structures")
    epoch(steps(cell(name), data(masked), mean=masked))
    assert not watch.mistakes
    assert {"aten.bmm.default", "aten.addcmul_.default", "aten.linalg_vector_norm.default"} & set(watch.calls)
    assert sum(watch.calls.values()) > 100


@pytest.mark.long
def test_a_cohort_stays_on_the_device(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Populations of different cells take turns; members leave, and those that stay train on."""
    scores = iter(np.linspace(1, 2, 100))

    def found(made: Steps) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        members = len(made.rows)
        loss = np.full(members, next(scores))
        loss[-1] = np.nan if members > 2 else loss[-1]
        return np.zeros(members, dtype=bool), loss, np.full(members, 0.5)

    monkeypatch.setattr(Steps, "found", found)
    training, given, populations = Training(max_epochs=2, batch=B, steps=T), data(), []
    for k, name in enumerate(("rnn", "clockwork")):
        members = [Member(i, Setting(1.0, 0.5, 1.0, 1 + k % 2, 100), i) for i in range(3)]
        populations.append(Population(model.Shape(cell(name), V, 1 + k % 2, 4), members, training, "cuda"))
    walks = [population.windows(given) for population in populations]
    finish(together(walks, [Lane(None)] * len(walks), in_turns=True))
    ended = [[r.status.value for r in p.results.values()] for p in populations]
    assert ended == [["done", "done", "diverged"]] * len(walks)
    assert not watch.mistakes and watch.calls


def test_inputs_from_a_table_stay_on_the_device(watch: Watch) -> None:
    """Not taken on a GPU so far (`model.by_symbol`), and correct there."""
    layers = stack.stack([cell("gru")] * 2, 4, 4)
    with real():
        row = torch.rand(2, layers.size)
        for lay in layers.layers:
            structures.free(lay)
    row = row.to("cuda")
    table, symbols = torch.zeros(2, V, 4, device="cuda"), torch.zeros(T, B, dtype=torch.int64, device="cuda")
    states = stack.first_states(layers, 2, B, row)
    with watch.step():
        outputs, _, tapes = stack.forward(layers, row, table, states, 0, "eager", symbols)
        found = stack.backward(layers, row, tapes, outputs, torch.zeros_like(row), engine="eager")
    assert found.x is not None and found.x.device.type == "cuda"
    assert not watch.mistakes and watch.calls


def test_a_result_on_the_cpu_is_found(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = model.run

    def run(*given: object, **named: object) -> object:
        score, last = plain(*given, **named)  # type: ignore[arg-type]
        score.loss.cpu()
        return score, last

    monkeypatch.setattr(model, "run", run)
    epoch(steps(cell("rnn"), data()))
    assert any("to ['cpu']" in mistake for mistake in watch.mistakes)


def test_two_devices_in_one_call_are_found(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "_periods", lambda lay, device: torch.ones(lay.hidden))
    with pytest.raises(RuntimeError, match="device"):
        epoch(steps(cell("clockwork"), data()))


def test_windows_for_recorded_steps_are_made_with_the_data(watch: Watch) -> None:
    """In the stream of the data: lanes begin behind it."""
    assert {"train_alike", "valid_alike"} <= set(vars(data()))
    there = torch.zeros(T, B, dtype=torch.int64)
    window = Window(there, None, there.reshape(-1))
    assert "train_alike" not in vars(Data([window], [window]))  # a CPU does without
