# A recurrent cell as a PyTorch module, written by cellsearch 0.2.0.
#
#     cell m154(x; h)
#     r = sigmoid[x, h]
#     z = sigmoid[x, h]
#     rh = r * h
#     n = tanh(tanh(tanh(x)) + [rh, bias=none])
#     h' = z * h + (1 - z) * n
#
# fingerprint  9293d8c2973b7209a9a63f63d5b41821b64670a366bd6714df07dcd12a082ab0
# search       gates_2h, rank 1, seed 1, cellsearch 0.2.0
# score        1.06162, the smallest of the ratios to gru
# arithmetic   accuracy 0.631886, ratio 1.06454, 7816 parameters, hidden 24; init_scale=1.0 learning_rate=1.0 max_norm=2.5 layers=2 parameters=8000
# xml          accuracy 0.62715, ratio 1.06162, 7829 parameters, hidden 25; init_scale=1.4 learning_rate=1.0 max_norm=2.5 layers=2 parameters=8000
# text         accuracy 0.465955, ratio 1.07534, 7681 parameters, hidden 24; init_scale=1.4 learning_rate=1.0 max_norm=2.5 layers=1 parameters=8000
# parent       m19 0ecd92329c0c (0.9527)
# edits        swap activation at [tanh(x)] in n: linear(0) -> tanh
#              uncouple gate at z: like r, with its own weights
# origin       gru (1) -> m19 (0.9527) -> m154 (1.062)
# model        trained on text: 1 x 24 units, test accuracy 0.45267

import json
import pathlib
import struct

import torch
from torch import Tensor, nn


def check_like(name: str, value: Tensor, like: Tensor, other: str) -> None:
    """ValueError unless two tensors share device and dtype; autocast changes the latter."""
    if not torch.jit.is_scripting():
        kind = value.device.type
        casts = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        if value.device != like.device or (value.dtype != like.dtype and not casts):
            told = f"{name} is {value.dtype} on {value.device}"
            raise ValueError(f"{told}, {other} {like.dtype} on {like.device}: use .to(...)")


class Weights(nn.Module):
    """The weights of one bracket of the cell, each by the name of what it multiplies."""

    def __init__(self, /, **initial: Tensor) -> None:
        super().__init__()
        for name, value in initial.items():
            setattr(self, name, nn.Parameter(value))

    def extra_repr(self) -> str:
        return ", ".join(f"{name} {list(value.shape)}" for name, value in self.named_parameters())


class M154Layer(nn.Module):
    """One layer of the cell over all time steps."""

    def __init__(self, inputs: int, units: int, **kind) -> None:  # kind: device and dtype
        super().__init__()
        self.reverse = None  # the layer of the other direction, where there is one
        self.project = None  # of x, where its width is not that of the units

        def uniform(*shape: int, bound: float = units**-0.5) -> Tensor:
            return torch.empty(shape, **kind).uniform_(-bound, bound)

        def full(value: float, size: int = units) -> Tensor:
            return torch.full((size,), value, **kind)

        self.r = Weights(x=uniform(units, units), h=uniform(units, units), bias=full(0.0))
        self.z = Weights(x=uniform(units, units), h=uniform(units, units), bias=full(0.0))
        self.n = Weights(rh=uniform(units, units))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x [T, B, D], states [B, H] to outputs [T, B, H], last states."""
        if x.shape[0] == 0:  # no steps: the states stay
            return h[None][:0], h

        # What does not wait for the loop, for all steps at once:
        r_in = x @ self.r.x + self.r.bias
        z_in = x @ self.z.x + self.z.bias

        outputs = []
        for t in range(x.shape[0]):
            # r = sigmoid[x, h]
            r = torch.sigmoid(r_in[t] + h @ self.r.h)
            # z = sigmoid[x, h]
            z = torch.sigmoid(z_in[t] + h @ self.z.h)
            rh = r * h
            # n = tanh(tanh(tanh(x)) + [rh, bias=none])
            n = torch.tanh(torch.tanh(torch.tanh(x[t])) + rh @ self.n.rh)
            # h' = z * h + (1 - z) * n
            h_new = z * h + (1 - z) * n
            outputs.append(h_new)
            h = h_new
        return torch.stack(outputs), h


class M154(nn.Module):
    """Layers of m154, called like torch.nn.LSTM.

    `output, states = module(x, states)`: x is [T, B, input_size], or [B, T, input_size] with
    batch_first, or [T, input_size] for one sequence; in the output hidden_size is in place of
    input_size. Give the last states back to go on with a sequence; leave them out to start one.
    With bidirectional the output has 2 * hidden_size, forward first, and states are those of layer
    0 forward, layer 0 reverse, layer 1 forward, ... Dropout is applied between layers. There is no
    PackedSequence: run sequences of one length together.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError("input_size, hidden_size and num_layers must be at least 1")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be a probability from 0 to 1, not {dropout}")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.batch_first = num_layers, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self.directions = 2 if bidirectional else 1
        self.layers = nn.ModuleList()
        for k in range(num_layers):
            inputs = input_size if k == 0 else self.directions * hidden_size
            layer = M154Layer(hidden_size, hidden_size, device=device, dtype=dtype)
            if bidirectional:
                layer.reverse = M154Layer(hidden_size, hidden_size, device=device, dtype=dtype)
            # The cell reads x outside of matrices too, so x must have the width of the units.
            if inputs != hidden_size:
                layer.project = nn.Linear(inputs, hidden_size, bias=False, device=device, dtype=dtype)
                nn.init.uniform_(layer.project.weight, -(hidden_size**-0.5), hidden_size**-0.5)
            self.layers.append(layer)

    def forward(self, x: Tensor, states: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The output and the last states."""
        if not isinstance(x, Tensor):
            raise TypeError(f"expected a tensor x, not a {type(x).__name__}")
        if x.dim() not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(f"expected x [T, B, {self.input_size}], not {list(x.shape)}")
        if not torch.jit.is_scripting():
            check_like("x", x, next(self.parameters()), "the weights")
        single = x.dim() == 2
        if single:
            x = x[:, None]
        elif self.batch_first:
            x = x.transpose(0, 1)

        shape = [self.directions * self.num_layers, x.shape[1], self.hidden_size]
        if states is None:
            h = x.new_zeros(shape)
        else:
            if not isinstance(states, Tensor):
                raise ValueError("expected one tensor for the state")
            h = states
            if single:
                h = h[:, None]
        if list(h.shape) != shape:
            raise ValueError(f"expected states {shape}, not {list(h.shape)}")
        check_like("the state", h, x, "x")

        last_h = []
        for k, layer in enumerate(self.layers):
            if k > 0 and self.dropout > 0:
                x = nn.functional.dropout(x, self.dropout, self.training)
            if layer.project is not None:
                x = layer.project(x)
            d = self.directions * k
            output, h_k = layer(x, h[d])
            last_h.append(h_k)
            if layer.reverse is not None:
                reverse, h_k = layer.reverse(x.flip(0), h[d + 1])
                last_h.append(h_k)
                output = torch.cat((output, reverse.flip(0)), -1)
            x = output
        h = torch.stack(last_h)

        if single:
            x, h = x[:, 0], h[:, 0]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, h

    def extra_repr(self) -> str:
        """Sizes and options."""
        flags = f"batch_first={self.batch_first}, bidirectional={self.bidirectional}"
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        return f"{sizes}, {flags}, dropout={self.dropout}"


class Network(nn.Module):
    """Embedding, layers of M154, output layer: the model as it was trained.

    `logits, states = model(symbols, states)`: symbols are whole numbers [T, B] below the vocabulary; logits
    are [T, B, V]. Give the last states back to go on with the sequences; leave them out to start new ones.
    """

    def __init__(
        self,
        vocabulary: int = 97,
        hidden_size: int = 24,
        num_layers: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = torch.float32,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden_size, device=device, dtype=dtype)
        self.recurrent = M154(hidden_size, hidden_size, num_layers, device=device, dtype=dtype)
        self.output = nn.Linear(hidden_size, vocabulary, device=device, dtype=dtype)

    def forward(self, symbols, states=None):
        """The logits and the last states."""
        seen, states = self.recurrent(self.embedding(symbols), states)
        return self.output(seen), states


def load(folder: str | pathlib.Path = "", device: torch.device | str = "cpu") -> Network:
    """The trained model, ready to be used: its weights are in model.safetensors, beside this file."""
    model = Network()
    here = pathlib.Path(folder or pathlib.Path(__file__).parent)
    model.load_state_dict(read(here / "model.safetensors"))
    return model.to(device).eval()


def read(file: str | pathlib.Path) -> dict[str, Tensor]:
    """The tensors of a file in the format of safetensors."""
    data = pathlib.Path(file).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    kinds = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        part = bytearray(data[8 + length + first : 8 + length + last])
        tensors[name] = torch.frombuffer(part, dtype=kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors


@torch.no_grad()
def score(model: nn.Module, inputs: Tensor, targets: Tensor, window: int = 100) -> tuple[float, float]:
    """Accuracy and mean loss in nats on streams [T, B]; targets below 0 are not scored."""
    states, right, loss, count = None, 0, 0.0, 0
    for at in range(0, len(inputs), window):
        logits, states = model(inputs[at : at + window], states)
        wanted = targets[at : at + window]
        scored = wanted >= 0
        right += int((logits.argmax(-1) == wanted)[scored].sum())
        loss += float(nn.functional.cross_entropy(logits[scored].double(), wanted[scored], reduction="sum"))
        count += int(scored.sum())
    return right / count, loss / count


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    test = read(here / "test.safetensors")
    accuracy, loss = score(load(here), test["inputs"], test["targets"])
    known = json.loads((here / "config.json").read_text(encoding="utf-8"))["test"]
    print(f"test accuracy {accuracy:.4f}, loss {loss:.4f}")
    print(f"recorded      {known['accuracy']:.4f}, loss {known['loss']:.4f}")
