"""CPU seconds of a member in each of the first windows, with and without subnormal numbers flushed to zero.

    python subnormal.py > measured/subnormal.jsonl

Two members of the GRU, two layers of 286 units, on XML of `jozefowicz2015`; three settings; each twice.
"""

import json
import time
from dataclasses import replace

import numpy as np
import torch

from cellsearch.dsl.zoo import load
from cellsearch.study.space import load_space
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.tasks.data import Part
from cellsearch.train import model
from cellsearch.train.evaluate import on_device
from cellsearch.train.model import Shape
from cellsearch.train.resources.threads import one_thread
from cellsearch.train.steps import Steps

SETTINGS = ((1.0, 0.1, 1.0), (2.8, 1.0, 5.0), (2.8, 5.0, 20.0))  # init_scale, learning_rate, max_norm

one_thread()
full = TorchEvaluator(load_space("jozefowicz2015"), 1).dataset("xml")
train, valid = (Part(p.inputs[:, :280], p.targets[:, :280]) for p in (full.train, full.valid))
data = on_device(replace(full, train=train, valid=valid), 35, "cpu")
shape = Shape(load("gru"), full.vocabulary, 2, 286)
for _ in range(2):
    for flush in (False, True):
        torch.set_flush_denormal(flush)
        for scale, rate, norm in SETTINGS:
            rows = model.first_rows(shape, [scale] * 2, range(2), torch.float32)
            steps = Steps(shape, data, rows, torch.full_like(rows[:, 0], norm))
            took, began = [], time.process_time()
            for _ in steps.train(np.full(2, rate)):
                now = time.process_time()
                took.append(round((now - began) / 2, 4))
                began = now
            print(json.dumps({"flush": flush, "setting": [scale, rate, norm], "seconds": took}), flush=True)
