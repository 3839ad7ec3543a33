"""The contestants. A contestant is a function that does one training step of all members and gives the summed
loss of each [K] before its update; it changes its own weights only."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from cellsearch.analysis.bench import jax
from cellsearch.analysis.bench.work import NORM, RATE, Work, member_weights
from cellsearch.errors import RunError
from cellsearch.exporters.torch.source import torch_source
from cellsearch.train import model

Step = Callable[[], Tensor]

#: Cells that are also in torch.nn: its class, and for each of its gates the brackets of input and hidden
#: part.
TORCH = {
    "lstm": (nn.LSTM, (("i", "i"), ("f", "f"), ("g", "g"), ("o", "o"))),
    "gru_torch": (nn.GRU, (("r", "r"), ("z", "z"), ("n_1", "n_2"))),
}


@dataclass(frozen=True)
class Contestant:
    """A name for the table, and the preparation; `ready` may take long and is not part of a step."""

    what: str
    ready: Callable[[Work], Step]
    by_symbol: bool = False  # whether it multiplies inputs once a symbol, if the work allows it


def ours(engine: str) -> Contestant:
    """This program."""

    def ready(work: Work) -> Step:
        rows, gradient = work.rows.clone(), torch.zeros_like(work.rows)

        def step() -> Tensor:
            states = model.first_states(work.shape, rows.shape[0], work.sizes.batch, rows)
            score, _ = model.run(work.shape, rows, work.window, states, 0, gradient, engine)
            update(rows, gradient)
            return score.loss

        return step

    return Contestant(f"cellsearch ({engine})", ready, by_symbol=True)


def update(rows: Tensor, gradient: Tensor) -> None:
    """Clipping by the norm of each member, and plain SGD."""
    norm = torch.linalg.vector_norm(gradient, dim=1)
    rows.addcmul_(gradient, -(RATE * (NORM / norm).clamp(max=1.0))[:, None])


class Network(nn.Module):
    """One member in the usual style: embedding, recurrent module, output layer."""

    def __init__(self, work: Work, k: int, recurrent: nn.Module) -> None:
        super().__init__()
        table, layers, matrix, bias = member_weights(work, k)
        self.embedding = nn.Embedding.from_pretrained(table, freeze=False)
        self.recurrent = recurrent
        load(recurrent, layers, work)
        self.output = nn.Linear(matrix.shape[0], matrix.shape[1], device=matrix.device)
        with torch.no_grad():
            self.output.weight.copy_(matrix.T)
            self.output.bias.copy_(bias)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The summed loss of all positions; tokens [T, B], targets [T*B]."""
        outputs, _ = self.recurrent(self.embedding(tokens))
        logits = self.output(outputs).flatten(0, 1)
        return functional.cross_entropy(logits, targets, reduction="sum")


class FusedLstm(nn.Module):
    """A hand-optimised LSTM: the four gates in one matrix product."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(nn.Linear(hidden, 4 * hidden) for _ in range(layers))
        self.hiddens = nn.ModuleList(nn.Linear(hidden, 4 * hidden, bias=False) for _ in range(layers))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        for inputs, hiddens in zip(self.inputs, self.hiddens, strict=True):
            outputs, gates = [], inputs(x)
            h = c = x.new_zeros(x.shape[1:])
            for gate in gates.unbind(0):
                i, f, g, o = (gate + hiddens(h)).chunk(4, -1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            x = torch.stack(outputs)
        return x, None


def load(recurrent: nn.Module, layers: dict[str, Tensor], work: Work) -> None:
    """Put weights by our names into an exported module or into one of torch.nn."""
    if isinstance(recurrent, FusedLstm):
        with torch.no_grad():
            for k, (inputs, hiddens) in enumerate(zip(recurrent.inputs, recurrent.hiddens, strict=True)):
                assert isinstance(inputs, nn.Linear) and isinstance(hiddens, nn.Linear)
                for linear, term in ((inputs, "x"), (hiddens, "h")):
                    linear.weight.copy_(torch.cat([layers[f"layers.{k}.{g}.{term}"].T for g in "ifgo"]))
                inputs.bias.copy_(torch.cat([layers[f"layers.{k}.{g}.bias"] for g in "ifgo"]))
        return
    if not isinstance(recurrent, nn.RNNBase):
        recurrent.load_state_dict(layers)
        return
    _, gates = TORCH[work.shape.cell.name]
    hidden = work.sizes.hidden
    with torch.no_grad():
        for parameter in recurrent.parameters():
            parameter.zero_()
        for layer in range(work.sizes.layers):
            for k, (x, h) in enumerate(gates):
                rows = slice(k * hidden, (k + 1) * hidden)
                prefix = f"layers.{layer}"
                getattr(recurrent, f"weight_ih_l{layer}")[rows] = layers[f"{prefix}.{x}.x"].T
                getattr(recurrent, f"weight_hh_l{layer}")[rows] = layers[f"{prefix}.{h}.h"].T
                getattr(recurrent, f"bias_ih_l{layer}")[rows] = layers[f"{prefix}.{x}.bias"]
                if x != h:
                    getattr(recurrent, f"bias_hh_l{layer}")[rows] = layers[f"{prefix}.{h}.bias"]
    for layer in range(work.sizes.layers):
        second = getattr(recurrent, f"bias_hh_l{layer}")  # a bias that our cell has once, torch's cell twice
        own = torch.cat([torch.full((hidden,), float(x != h)) for x, h in gates]).to(second)
        second.register_hook(lambda gradient, own=own: gradient * own)


def exported(work: Work) -> nn.Module:
    """The cell as the eager module that `cellsearch export` writes."""
    made = _class(torch_source(work.shape.cell))(work.sizes.hidden, work.sizes.hidden, work.sizes.layers)
    return made.to(work.device)


@lru_cache(maxsize=1)
def _class(source: str) -> Callable[..., nn.Module]:
    """The class of the exported text. Its module is importable, for torch.compile."""
    module = sys.modules["cellsearch_exported"] = ModuleType("cellsearch_exported")
    exec(compile(source, "<exported>", "exec"), module.__dict__)  # our own text of a checked cell
    classes = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, nn.Module)]
    return classes[-1]


def fused(work: Work) -> nn.Module:
    """The LSTM written by hand."""
    return FusedLstm(work.sizes.hidden, work.sizes.layers).to(work.device)


def builtin(work: Work) -> nn.Module:
    """The cell of torch.nn."""
    kind, _ = TORCH[work.shape.cell.name]
    return kind(work.sizes.hidden, work.sizes.hidden, work.sizes.layers).to(work.device)


def one_by_one(what: str, recurrent: Callable[[Work], nn.Module], compiled: bool = False) -> Contestant:
    """A step member by member, with autograd, clip_grad_norm_ and SGD."""

    def ready(work: Work) -> Step:
        networks = [Network(work, k, recurrent(work)) for k in range(work.sizes.population)]
        calls = [torch.compile(n) if compiled else n for n in networks]
        optimizers = [torch.optim.SGD(n.parameters(), lr=RATE) for n in networks]

        def step() -> Tensor:
            losses = []
            for network, call, optimizer in zip(networks, calls, optimizers, strict=True):
                optimizer.zero_grad()
                loss = call(work.window.inputs, work.window.targets)
                (loss / work.sizes.batch).backward()
                nn.utils.clip_grad_norm_(network.parameters(), NORM)
                optimizer.step()
                losses.append(loss.detach())
            return torch.stack(losses)

        step()
        for k, network in enumerate(
            networks
        ):  # the trial step warmed up and compiled; restore the initial weights
            network.load_state_dict(Network(work, k, recurrent(work)).state_dict())
        return step

    return Contestant(what, ready)


def vmapped() -> Contestant:
    """torch.func.vmap of the gradient over stacked members."""

    def ready(work: Work) -> Step:
        networks = [Network(work, k, exported(work)) for k in range(work.sizes.population)]
        parameters, buffers = torch.func.stack_module_state(networks)
        parameters = {name: p.detach() for name, p in parameters.items()}

        def loss(member: dict[str, Tensor], fixed: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            arguments = (work.window.inputs, work.window.targets)
            summed = torch.func.functional_call(networks[0], (member, fixed), arguments)
            return summed / work.sizes.batch, summed

        gradients = torch.func.vmap(torch.func.grad(loss, has_aux=True))

        def step() -> Tensor:
            found, losses = gradients(parameters, buffers)
            squares = sum(g.flatten(1).square().sum(1) for g in found.values())
            factor = RATE * (NORM / squares.sqrt()).clamp(max=1.0)
            for name, g in found.items():
                parameters[name].sub_(g * factor.view(-1, *[1] * (g.dim() - 1)))
            return losses.detach()

        return step

    return Contestant("torch.func.vmap over members", ready)


def members_alone(cell: str) -> list[Contestant]:
    """The contestants that train member by member."""
    found = [one_by_one("eager module, as exported", exported)]
    if cell == "lstm":
        found.append(one_by_one("eager module, gates fused by hand", fused))
    if cell in TORCH:
        found.append(one_by_one(f"torch.nn.{TORCH[cell][0].__name__}", builtin))
    return found


def in_jax() -> list[Contestant]:
    """JAX, hand-optimised and in the usual style; raises RunError if it is not installed."""
    if not jax.installed():
        raise RunError('JAX is not installed here; pip install "cellsearch[bench]", or --no-jax')
    jax.on_one_thread()
    from cellsearch.analysis.bench.jax.step import ready

    return [
        Contestant("JAX by hand, lax.map over members", lambda work: ready(work, True), by_symbol=True),
        Contestant("JAX, vmap of a scan", lambda work: ready(work, False)),
    ]


def contestants(cell: str, engines: list[str], compiled: bool, with_jax: bool = False) -> list[Contestant]:
    """All contestants that can run a cell."""
    found = [ours(engine) for engine in engines]
    found += members_alone(cell)
    found.append(vmapped())
    if compiled:
        found.append(one_by_one("torch.compile of the exported module", exported, compiled=True))
    if with_jax:
        found += in_jax()
    return found
