"""The same search as a plain script: Optuna's ask and tell, eager modules, one setting after another.

`python plain_search.py FOLDER`: `end_to_end.py` writes the folder, with what a search of this program has
trained: `plan.json` (trials in order, the stages of each, their settings), a module for each cell as
exported, data for each stage. Prints what came of it as JSON.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import optuna
import torch
from torch import Tensor, nn
from torch.nn import functional

State = Tensor | tuple["State", ...] | list["State"] | None


class Network(nn.Module):
    """Embedding, recurrent module, output layer; weights from U[-scale/sqrt(H), scale/sqrt(H)]."""

    def __init__(self, recurrent: nn.Module, vocabulary: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.recurrent = recurrent
        self.output = nn.Linear(hidden, vocabulary)
        for weight in (p for p in self.parameters() if p.dim() > 1):
            nn.init.uniform_(weight, -scale / hidden**0.5, scale / hidden**0.5)
        nn.init.zeros_(self.output.bias)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits [T*B, V] of tokens [T, B], and the state behind them."""
        outputs, state = self.recurrent(self.embedding(tokens), state)
        return self.output(outputs).flatten(0, 1), state


def detached(state: State) -> State:
    """The state without its history."""
    if isinstance(state, Tensor):
        return state.detach()
    return None if state is None else tuple(map(detached, state))


def windows(part: list[np.ndarray], steps: int) -> list[tuple[Tensor, Tensor]]:
    """Inputs [T, B] and targets [T*B] of every window; -1 is not scored."""
    inputs, targets = (torch.from_numpy(a).T.contiguous() for a in part)
    return [(i, t.flatten()) for i, t in zip(inputs.split(steps), targets.split(steps), strict=True)]


def train(network: Network, data: dict, setting: dict, stage: dict) -> tuple[float, int]:
    """The best validation accuracy of a setting, and the epochs it trained."""
    optimizer = torch.optim.SGD(network.parameters(), lr=setting["learning_rate"])
    best, lowest, stale, lowered = 0.0, float("inf"), 0, 0
    for epoch in range(1, stage["max_epochs"] + 1):
        state: State = None
        for inputs, targets in data["train"]:
            optimizer.zero_grad()
            logits, state = network(inputs, detached(state))
            loss = functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
            (loss / inputs.shape[1]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), setting["max_norm"])
            optimizer.step()
        total, right, count, state = 0.0, 0, 0, None
        with torch.no_grad():
            for inputs, targets in data["valid"]:
                logits, state = network(inputs, state)
                total += functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum").item()
                right += int((logits.argmax(1) == targets).sum())
                count += int((targets >= 0).sum())
        best = max(best, right / count)
        stale = 0 if total / count < lowest else stale + 1
        lowest = min(lowest, total / count)
        lowering = lowered > 0 or stale >= stage["patience"]
        done = not total < float("inf") or best >= stage["stop_at"]
        if done or (lowering and lowered >= stage["halvings"]):
            return best, epoch
        if lowering:
            lowered += 1
            optimizer.param_groups[0]["lr"] *= stage["factor"]
    return best, stage["max_epochs"]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan = json.loads((folder / "plan.json").read_text())
    study = optuna.create_study(storage=f"sqlite:///{folder / 'plain.db'}", direction="maximize")
    loaded: dict[str, dict] = {}
    found, epochs = [], 0
    for row in plan["trials"]:
        trial = study.ask()
        spec = importlib.util.spec_from_file_location("cell", folder / row["module"])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        score = 0.0
        for place, part in enumerate(row["stages"]):
            stage = plan["stages"][part["task"]]
            if part["task"] not in loaded:
                file = np.load(folder / f"{part['task']}.npz")
                parts = ("train", "valid")
                pairs = {part: [file[f"{part}_inputs"], file[f"{part}_targets"]] for part in parts}
                loaded[part["task"]] = {name: windows(p, stage["steps"]) for name, p in pairs.items()}
            for setting in part["settings"]:
                hidden = setting["hidden"]
                recurrent = getattr(module, row["class"])(hidden, hidden, setting["layers"])
                network = Network(recurrent, stage["vocabulary"], hidden, setting["init_scale"])
                accuracy, trained = train(network, loaded[part["task"]], setting, stage)
                epochs += trained
                found.append(accuracy)
                score = max(score, accuracy)
            trial.report(score, place)
        study.tell(trial, score)
    print(json.dumps({"accuracies": found, "epochs": epochs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
