"""`model.py` of a trained model: the cell's module and the trained network around it.

The file imports torch and the standard library, reads tensors in the format of safetensors (only data, no
code), and scores the test part when run.
"""

from cellsearch.dsl.graph import Cell
from cellsearch.exporters.header import Provenance
from cellsearch.exporters.names import class_name
from cellsearch.exporters.torch.source import torch_source

RECURRENT = "recurrent."  # prefix of the names of the layers' weights


def network_name(cell: Cell) -> str:
    """The class of the network: Network, unless the cell has that name."""
    return "Network_" if class_name(cell.name) in ("Network", "Network_") else "Network"


def model_source(
    cell: Cell,
    vocabulary: int,
    hidden: int,
    layers: int,
    dtype: str,  # float32, float64
    provenance: Provenance | None = None,
) -> str:
    """The file. Raises CellError where two weights would have one name."""
    imports = "import torch\nfrom torch import Tensor, nn\n"
    text = torch_source(cell, provenance)
    head, found, body = text.partition(imports)
    assert found
    tail = _TAIL
    for name, value in {
        "CELL": class_name(cell.name), "NETWORK": network_name(cell), "VOCABULARY": vocabulary,
        "HIDDEN": hidden, "LAYERS": layers, "DTYPE": f"torch.{dtype}",
    }.items():  # fmt: skip
        tail = tail.replace(f"${name}$", str(value))
    return f"{head}{_IMPORTS}\n{imports}{body}{tail}"


_IMPORTS = """\
import json
import pathlib
import struct
"""

_TAIL = '''

class $NETWORK$(nn.Module):
    """Embedding, layers of $CELL$, output layer: the model as it was trained.

    `logits, states = model(symbols, states)`: symbols are whole numbers [T, B] below the vocabulary; logits
    are [T, B, V]. Give the last states back to go on with the sequences; leave them out to start new ones.
    """

    def __init__(
        self,
        vocabulary: int = $VOCABULARY$,
        hidden_size: int = $HIDDEN$,
        num_layers: int = $LAYERS$,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = $DTYPE$,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden_size, device=device, dtype=dtype)
        self.recurrent = $CELL$(hidden_size, hidden_size, num_layers, device=device, dtype=dtype)
        self.output = nn.Linear(hidden_size, vocabulary, device=device, dtype=dtype)

    def forward(self, symbols, states=None):
        """The logits and the last states."""
        seen, states = self.recurrent(self.embedding(symbols), states)
        return self.output(seen), states


def load(folder: str | pathlib.Path = "", device: torch.device | str = "cpu") -> $NETWORK$:
    """The trained model, ready to be used: its weights are in model.safetensors, beside this file."""
    model = $NETWORK$()
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
'''
