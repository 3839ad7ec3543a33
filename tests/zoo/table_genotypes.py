"""Cells that a search found, as genotypes in DARTS's literal form (quark0/darts, rnn/genotypes.py), and an
interpreter of such genotypes written after that repository's `DARTSCell`, without dropout.

A genotype lists for every node 1, 2, … its activation and its predecessor; the output is the mean of the nodes
in `concat`. The first node mixes h with a candidate from x and h; W_0 and W_i give gate and candidate at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from zoo.plain import Now, Step, Weights

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda a: a}


@dataclass(frozen=True)
class Row:
    cell: str
    recurrent: Sequence[tuple[str, int]]
    concat: Sequence[int]
    against: str = "paper"


def interpreter(row: Row) -> Step:
    """A step of the genotype."""

    def step(p: Weights, now: Now, h: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        both = torch.cat([now.x, h], -1)
        first = torch.cat([torch.cat([p[f"{n}0.x"], p[f"{n}0.h"]], 0) for n in "cn"], 1)  # W_0 [D + H, 2H]
        c, candidate = (both @ first).chunk(2, -1)
        nodes = [h + torch.sigmoid(c) * (torch.tanh(candidate) - h)]
        for k, (activation, source) in enumerate(row.recurrent, 1):
            previous = nodes[source]
            both = torch.cat([p[f"{n}{k}.s{source}"] for n in "cn"], 1)
            c, candidate = (previous @ both).chunk(2, -1)
            nodes.append(previous + torch.sigmoid(c) * (ACTIVATIONS[activation](candidate) - previous))
        output = torch.stack([nodes[k] for k in row.concat]).mean(0)
        return output, (output,)

    return step


def _read(line: str) -> list[tuple[str, int]]:
    return [
        (word.rstrip("0123456789"), int(word.lstrip("abcdefghijklmnopqrstuvwxyz"))) for word in line.split()
    ]


ROWS = (
    Row(
        "enas",
        _read("tanh0 tanh1 relu1 tanh3 tanh3 relu3 relu4 relu7 relu8 relu8 relu8"),
        [2, 5, 6, 9, 10, 11],
    ),
    Row("darts_v1", _read("relu0 relu1 tanh2 relu3 relu4 identity1 relu5 relu1"), range(1, 9)),
    Row("darts_v2", _read("sigmoid0 relu1 relu1 identity1 tanh2 sigmoid5 tanh3 relu5"), range(1, 9)),
)
