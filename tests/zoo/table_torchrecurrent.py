"""The cells of the package torchrecurrent: which class each is held against, and how the weights correspond.

The oracle is the code of the package, not its documentation; a new cell is one row. Their weights are written
as they are stacked there: for each parameter the names of our weights, chunk by chunk. Matrices are transposed,
and a name that stands twice is the sum of both (they have two biases where we have one). Instead of a name:
    0          this chunk is zero in the test: a bias that the paper does not have
    1          this chunk is the identity: a projection of x where the paper has x itself
    -          this parameter stays as it is: a number that is fixed in the paper
    a.h:skew   a whole matrix W of which W - W' is used
    g.x:2      our weight is twice theirs
Cells whose code there deviates from the paper are in `DEVIATING`; what they are held against is in
`table_deviating.py`. `size` is (d, r, v, s) where the equations have d matrices on the input, r on values of the
hidden width (a skew one aside), v vectors and s scalars.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

Size = tuple[int, int, int, int]


@dataclass(frozen=True)
class Oracle:
    """`parameters` are leaves, our weights are a differentiable function of them, and `run` takes x [T, B, D] and
    the first states [B, H] to outputs [T, B, H] and last states."""

    parameters: Mapping[str, Tensor]
    ours: Callable[[], Mapping[str, Tensor]]
    run: Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]


@dataclass(frozen=True)
class Package:
    """One cell and its counterpart; see the module."""

    cell: str
    theirs: str  # the class in torchrecurrent
    size: Size
    weights: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    memory: str = (
        ""  # what theirs wants beside our states: "x", the last input, or "h 10", the state 10 steps ago
    )
    scale: tuple[float, ...] = (1.0, 1.0)  # our states are this many times theirs

    @property
    def against(self) -> str:
        return f"torchrecurrent.{self.theirs}"

    def oracle(self, width: int, hidden: int) -> Oracle:
        """Their cell with random weights. Skips the test where the package is not installed."""
        reason = "torchrecurrent is not installed (it comes with the extra `test`)"
        package = pytest.importorskip("torchrecurrent", reason=reason)
        module = getattr(package, self.theirs)(width, hidden, **self.options).double()
        assert {name for name, _ in module.named_parameters()} == set(self.weights)
        chunks: dict[str, list[Tensor]] = {}  # per parameter; a free chunk is a leaf
        leaves: dict[str, Tensor] = {}
        targets: list[tuple[str, Tensor]] = []
        for name, parameter in module.named_parameters():
            words = self.weights[name].split()
            if words == ["-"]:
                continue
            chunks[name] = [v.clone() for v in parameter.detach().chunk(len(words))]
            for k, (chunk, word) in enumerate(zip(chunks[name], words, strict=True)):
                if word in ("0", "1"):
                    chunk.copy_(torch.eye(width) if word == "1" else torch.zeros(hidden))
                else:
                    leaves[f"{name} {k}"] = chunk.uniform_(-1, 1).requires_grad_()
                    targets.append((word, chunk))

        def run(x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
            parameters = {name: torch.cat(parts) for name, parts in chunks.items()}
            scaled = [s / k for s, k in zip(states, self.scale, strict=False)]
            outputs, last = _run(module, parameters, x, scaled, self.memory)
            return outputs, [s * k for s, k in zip(last, self.scale, strict=False)]

        return Oracle(leaves, lambda: _ours(targets), run)


def _ours(targets: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Our weights as functions of the chunks of theirs."""
    found: dict[str, Tensor] = {}
    for word, chunk in targets:
        name, _, how = word.partition(":")
        value = chunk.T if chunk.dim() == 2 else chunk
        if how == "skew":
            value = (value - value.T).triu(1)
        elif how == "2":
            value = 2 * value
        found[name] = found[name] + value if name in found else value
    return found


def _run(
    module: nn.Module, parameters: dict[str, Tensor], x: Tensor, states: list[Tensor], memory: str
) -> tuple[Tensor, list[Tensor]]:
    """One of their cells over a sequence. It gives the state, a tuple of states, or (output, state or states)."""
    decoupled = any(base.__name__.startswith("Decoupled") for base in type(module).__mro__)
    previous, history, outputs = torch.zeros_like(x[0]), [states[0]], []
    now = list(states)
    for value in x:
        given: tuple[Any, ...] = (now[0],) if len(now) == 1 else (tuple(now),)
        if memory == "x":
            given = ((*now, previous),)
        elif memory:
            delay = int(memory.split()[1])
            earlier = history[-1 - delay] if len(history) > delay else torch.zeros_like(now[0])
            given = (now[0], earlier)
        result = functional_call(module, parameters, (value, *given))
        output, result = result if decoupled else (None, result)
        now = list(result)[: len(states)] if isinstance(result, tuple) else [result]
        outputs.append(now[0] if output is None else output)
        previous = value
        history.append(now[0])
    return torch.stack(outputs), now


class HardSigmoid(nn.Module):
    """torch's own has a constant of float32 in its derivative, in float64 too: an error of 1e-8."""

    def forward(self, a: Tensor) -> Tensor:
        return (a / 6 + 0.5).clamp(0, 1)


def _gates(*names: str, x: str = "x", h: str = "h", **more: str) -> dict[str, str]:
    """The usual layout: all four parameters have one chunk for each bracket, in this order."""
    return {
        "weight_ih": " ".join(f"{n}.{x}" for n in names),
        "weight_hh": " ".join(f"{n}.{h}" for n in names),
        "bias_ih": " ".join(f"{n}.bias" for n in names),
        "bias_hh": " ".join(f"{n}.bias" for n in names),
        **more,
    }


# fmt: off
_DAMPED = {"epsilon": 0.1, "gamma": 0.01}
_HARD = {"gate_nonlinearity": HardSigmoid()}
_PEEPHOLES = "i.c f.c o.c_new"

ROWS = (
    Package("antisymmetric_rnn", "AntisymmetricRNNCell", (1, 0, 1, 0), {
        "weight_ih": "h_new.x", "weight_hh": "a.h:skew", "bias_ih": "h_new.bias", "bias_hh": "h_new.bias"}, _DAMPED),
    Package("gated_antisymmetric_rnn", "GatedAntisymmetricRNNCell", (2, 0, 2, 0), {
        "weight_ih": "z.x h_new.x", "weight_hh": "a.h:skew", "bias_ih": "z.bias h_new.bias", "bias_hh": "h_new.bias"}, _DAMPED),
    Package("atr", "ATRCell", (1, 1, 2, 0), {"weight_ih": "p.x", "weight_hh": "q.h", "bias_ih": "p.bias", "bias_hh": "q.bias"}),
    Package("brc", "BRCell", (3, 0, 5, 0), {
        "weight_ih": "a.x c.x h_new.x", "weight_hh": "a.h c.h", "bias_ih": "a.bias c.bias h_new.bias", "bias_hh": "a.bias c.bias"}),
    Package("nbrc", "NBRCell", (3, 2, 3, 0), {
        "weight_ih": "a.x c.x h_new.x", "weight_hh": "a.h c.h", "bias_ih": "a.bias c.bias h_new.bias", "bias_hh": "a.bias c.bias"}),
    Package("cfn", "CFNCell", (3, 2, 2, 0), {
        "weight_ih": "theta.x eta.x h_new.x", "weight_hh": "theta.h eta.h", "bias_ih": "theta.bias eta.bias 0", "bias_hh": "theta.bias eta.bias"}),
    Package("cornn", "coRNNCell", (1, 2, 1, 0), {
        "weight_ih": "z_new.x", "weight_hh": "z_new.y", "weight_ch": "z_new.z", "bias_ih": "z_new.bias", "bias_hh": "z_new.bias", "bias_ch": "z_new.bias"},
        {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7}),
    Package("fastrnn", "FastRNNCell", (1, 1, 1, 2), _gates("n", alpha="alpha.bias", beta="beta.bias")),
    Package("fastgrnn", "FastGRNNCell", (1, 1, 2, 2), {
        "weight_ih": "p.x", "weight_hh": "p.h", "bias_ih": "z.bias n.bias", "bias_hh": "z.bias n.bias", "zeta": "zeta.bias", "nu": "nu.bias"},
        {"nonlinearity": "sigmoid"}),
    Package("indrnn", "IndRNNCell", (1, 0, 2, 0), {
        "weight_ih": "h_new.x", "vector_u": "h_new.h", "bias_ih": "h_new.bias", "bias_hh": "h_new.bias"}, {"nonlinearity": "relu"}),
    Package("intersection_rnn", "IntersectionRNNCell", (4, 4, 4, 0), _gates("y_in", "h_in", "g_y", "g_h")),
    Package("ugrnn", "UGRNNCell", (2, 2, 2, 0), _gates("c", "g")),
    Package("janet", "JANETCell", (2, 2, 2, 0), _gates("s", "n", beta="-")),
    Package("lightru", "LightRUCell", (2, 1, 2, 0), {
        "weight_ih": "n.x f.x", "weight_hh": "f.h", "bias_ih": "n.bias f.bias", "bias_hh": "f.bias"}),
    Package("ligru", "LiGRUCell", (2, 2, 2, 0), _gates("z", "n")),
    Package("mclstm", "MCLSTMCell", (5, 5, 5, 0), _gates("f", "i", "o", "m", "n", h="v")),
    Package("mgu", "MGUCell", (2, 2, 2, 0), _gates("f", "n", weight_hh="f.h n.fh")),
    Package("minimal_rnn", "MinimalRNNCell", (1, 2, 2, 0), {
        "weight_ih": "z.x", "weight_hh": "u.h", "weight_mm": "u.z", "bias_ih": "z.bias", "bias_hh": "u.bias"}),
    Package("miru1", "MiRU1Cell", (2, 2, 2, 0), _gates("r", "n", weight_hh="r.h n.rh")),
    Package("miru2", "MiRU2Cell", (1, 1, 1, 0), _gates("n", h="th")),
    Package("multiplicative_lstm", "MultiplicativeLSTMCell", (5, 5, 4, 0), {
        "weight_ih": "m_1.x i.x f.x g.x o.x", "weight_hh": "m_2.h", "weight_mh": "i.m f.m g.m o.m",
        "bias_ih": "0 i.bias f.bias g.bias o.bias", "bias_hh": "0", "bias_mh": "i.bias f.bias g.bias o.bias"}),
    Package("mut1", "MUT1Cell", (2, 2, 3, 0), {
        "weight_ih": "z.x r.x 1", "weight_hh": "r.h n.rh", "bias_ih": "z.bias r.bias 0", "bias_hh": "r.bias n.bias"}),
    Package("mut2", "MUT2Cell", (2, 3, 3, 0), _gates("z", "r", "n", weight_ih="z.x 1 n.x", weight_hh="z.h r.h n.rh")),
    Package("mut3", "MUT3Cell", (3, 3, 3, 0), _gates("z", "r", "n", weight_hh="z.th r.h n.rh")),
    Package("original_lstm", "OriginalLSTMCell", (3, 3, 3, 0), {
        "weight_ih": "i.x g.x:2 o.x", "weight_hh": "i.h g.h:2 o.h", "bias_ih": "i.bias g.bias:2 o.bias", "bias_hh": "i.bias g.bias:2 o.bias"},
        scale=(1.0, 2.0)),
    Package("peephole_lstm", "PeepholeLSTMCell", (4, 4, 7, 0), _gates("i", "f", "g", "o", weight_ph=_PEEPHOLES)),
    Package("ran", "RANCell", (3, 2, 2, 0), {
        "weight_ih": "n.x i.x f.x", "weight_hh": "i.h f.h", "bias_ih": "i.bias f.bias", "bias_hh": "i.bias f.bias"}),
    Package("residual_lstm", "ResLSTMCell", (5, 5, 7, 0), _gates(
        "i", "f", "g", "o", weight_ph=_PEEPHOLES, weight_proj="m.r", weight_res="h_new.x")),
    Package("sgrn", "SGRNCell", (1, 1, 2, 0), {"weight_ih": "p.x", "weight_hh": "q.h", "bias_ih": "p.bias", "bias_hh": "q.bias"}),
    Package("sgu", "SGUCell", (2, 2, 3, 0), {
        "weight_ih": "x_g.x z.x", "weight_hh": "z_g.xh z.h", "bias_ih": "x_g.bias z.bias", "bias_hh": "z_g.bias z.bias"}, _HARD),
    Package("dsgu", "DSGUCell", (2, 3, 3, 0), {
        "weight_ih": "x_g.x z.x", "weight_hh": "z_g.xh z.h", "weight_ho": "z_out.zh", "bias_ih": "x_g.bias z.bias", "bias_hh": "z_g.bias z.bias"}, _HARD),
    Package("star", "STARCell", (2, 1, 2, 0), {
        "weight_ih": "z.x k.x", "weight_hh": "k.h", "bias_ih": "z.bias k.bias", "bias_hh": "k.bias"}),
    Package("tau_gru", "tauGRUCell", (4, 4, 4, 0), _gates("u", "z", "g", "a", weight_hh="u.h z.before_h_10 g.h a.h"), memory="h 10"),
    Package("t_rnn", "TRNNCell", (2, 0, 1, 0), {"weight_ih": "z.x f.x", "bias_ih": "0 f.bias"}),
    Package("t_gru", "TGRUCell", (6, 0, 3, 0), _gates("z", "f", "o", h="before_x"), memory="x"),
    Package("t_lstm", "TLSTMCell", (6, 0, 3, 0), _gates("z", "f", "o", h="before_x"), memory="x"),
    Package("unicornn", "UnICORNNCell", (1, 0, 3, 0), {
        "weight_ih": "z_new.x", "weight_hh": "z_new.y", "weight_ch": "s.bias", "bias_ih": "z_new.bias"}, {"dt": 0.1, "alpha": 1.0}),
    Package("wmc_lstm", "WMCLSTMCell", (4, 7, 4, 0), {
        "weight_ih": "i_1.x f_1.x g.x o_1.x", "weight_hh": "i_1.h f_1.h g.h o_1.h", "weight_mh": "i_2.c f_2.c o_2.c_new",
        "bias_ih": "i_1.bias f_1.bias g.bias o_1.bias", "bias_hh": "i_1.bias f_1.bias g.bias o_1.bias", "bias_mh": "0 0 0"}),
)

#: The cells whose code deviates from the paper: with the weights of the paper's cell they compute something else.
DEVIATING = (
    Package("lem", "LEMCell", (4, 4, 4, 0), {
        "weight_ih": "dt_y.x dt_z.x z_new.x y_new.x", "weight_hh": "dt_y.y dt_z.y z_new.y", "weight_ch": "y_new.z_new",
        "bias_ih": "dt_y.bias dt_z.bias z_new.bias y_new.bias", "bias_hh": "dt_y.bias dt_z.bias z_new.bias", "bias_ch": "y_new.bias"}),
    Package("nascell", "NASCell", (8, 8, 0, 0), {
        "weight_ih": "a0.x a1.x a2.x a3_1.x a4.x a5.x a6.x a7.x", "weight_hh": "a0.h a1.h a2.h a3_2.h a4.h a5.h a6.h a7.h",
        "bias_ih": "0 0 0 0 0 0 0 0", "bias_hh": "0 0 0 0 0 0 0 0"}),
    Package("scrn", "SCRNCell", (2, 4, 0, 0), {
        "weight_ih": "s_new.x h_new.x", "weight_hh": "h_new.h y.h_new", "weight_ch": "h_new.s_new y.s_new",
        "bias_ih": "0 0", "bias_hh": "0 0", "bias_ch": "0 0", "alpha": "-"}, {"alpha": 0.95}),
    Package("fastgrnn", "FastGRNNCell", (1, 1, 2, 2), {
        "weight_ih": "p.x", "weight_hh": "p.h", "bias_ih": "z.bias n.bias", "bias_hh": "z.bias n.bias", "zeta": "zeta.bias", "nu": "nu.bias"}),
)
# fmt: on
