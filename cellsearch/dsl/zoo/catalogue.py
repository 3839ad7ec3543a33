"""Facts about the cells of the zoo, besides their equations. Each fact has one place.

Authors and year are in the cell's file, whose comment begins with `Authors (year)`. `CHECKED` below lists the
oracles of each cell, only where a test uses them: `tests/zoo/test_catalogue.py` compares it with the tables
`tests/zoo/table_*.py`, whose rows the tests run. A new cell is a file `NAME.cell`, a row of such a table, a
line here and one in `about.py`.

How a claim is written:
    "torch.nn.LSTM"           outputs, states and all gradients agree with that class in float64 to 1e-10
    "torchrecurrent.ATRCell"  likewise, with the code of that class of the package torchrecurrent
    "paper"                   likewise, with a plain version of the paper's equations in the test
    "identity with lstm"      becomes that cell where the literature says so, to 1e-10
"""

import re
from dataclasses import dataclass

from cellsearch.dsl.zoo import load, names
from cellsearch.dsl.zoo.about import ABOUT

# fmt: off
CHECKED: dict[str, tuple[str, ...]] = {
    # Elman, LSTM, GRU and variants
    "rnn": ("torch.nn.RNN",),
    "lstm": ("torch.nn.LSTM",),
    "lstm_b": ("paper", "identity with peephole_lstm",),
    "cifg": ("paper", "identity with lstm",),
    "gru": ("paper", "identity with rnn",),
    "gru_torch": ("torch.nn.GRU",),
    "lstm_2015": ("paper",),
    "lstm_2015_b": ("paper",),
    "lstm_2015_f": ("paper",),
    "lstm_2015_i": ("paper",),
    "lstm_2015_o": ("paper",),
    "peephole_lstm": ("paper", "torchrecurrent.PeepholeLSTMCell", "identity with lstm_b"),
    "peephole_input": ("paper", "identity with lstm_b",),
    "peephole_forget": ("paper", "identity with lstm_b",),
    "peephole_output": ("paper", "identity with lstm_b",),
    "peephole_input_forget": ("paper",),
    "peephole_input_output": ("paper",),
    "peephole_forget_output": ("paper",),
    "greff_v": ("paper",),
    "greff_nig": ("paper",),
    "greff_nfg": ("paper",),
    "greff_nog": ("paper",),
    "greff_niaf": ("paper",),
    "greff_noaf": ("paper",),
    "greff_np": ("paper",),
    "greff_cifg": ("paper",),
    "greff_fgr": ("paper",),
    "depth_gated_lstm": ("paper",),
    "depth_gated_lstm_code": ("paper",),
    "depth_gated_lstm_bottom": ("paper",),
    "clockwork": ("paper",),
    # the cells of torchrecurrent, and the recurrent highway network
    "antisymmetric_rnn": ("torchrecurrent.AntisymmetricRNNCell",),
    "atr": ("torchrecurrent.ATRCell",),
    "brc": ("torchrecurrent.BRCell",),
    "cfn": ("torchrecurrent.CFNCell",),
    "cornn": ("torchrecurrent.coRNNCell",),
    "dsgu": ("torchrecurrent.DSGUCell",),
    "fastgrnn": ("torchrecurrent.FastGRNNCell",),
    "fastrnn": ("torchrecurrent.FastRNNCell",),
    "gated_antisymmetric_rnn": ("torchrecurrent.GatedAntisymmetricRNNCell",),
    "indrnn": ("torchrecurrent.IndRNNCell",),
    "intersection_rnn": ("torchrecurrent.IntersectionRNNCell",),
    "janet": ("torchrecurrent.JANETCell",),
    "lem": ("paper",),
    "lightru": ("torchrecurrent.LightRUCell",),
    "ligru": ("torchrecurrent.LiGRUCell",),
    "mclstm": ("torchrecurrent.MCLSTMCell",),
    "mgu": ("torchrecurrent.MGUCell",),
    "minimal_rnn": ("torchrecurrent.MinimalRNNCell",),
    "miru1": ("torchrecurrent.MiRU1Cell",),
    "miru2": ("torchrecurrent.MiRU2Cell",),
    "multiplicative_lstm": ("torchrecurrent.MultiplicativeLSTMCell",),
    "mut1": ("torchrecurrent.MUT1Cell",),
    "mut2": ("torchrecurrent.MUT2Cell",),
    "mut3": ("torchrecurrent.MUT3Cell",),
    "nascell": ("paper",),
    "nbrc": ("torchrecurrent.NBRCell",),
    "original_lstm": ("torchrecurrent.OriginalLSTMCell", "paper"),
    "ran": ("torchrecurrent.RANCell",),
    "residual_lstm": ("torchrecurrent.ResLSTMCell",),
    "rhn": ("paper",),
    "scrn": ("paper",),
    "sgrn": ("torchrecurrent.SGRNCell",),
    "sgu": ("torchrecurrent.SGUCell",),
    "star": ("torchrecurrent.STARCell",),
    "t_gru": ("torchrecurrent.TGRUCell",),
    "t_lstm": ("torchrecurrent.TLSTMCell",),
    "t_rnn": ("torchrecurrent.TRNNCell",),
    "tau_gru": ("torchrecurrent.tauGRUCell",),
    "ugrnn": ("torchrecurrent.UGRNNCell",),
    "unicornn": ("torchrecurrent.UnICORNNCell",),
    "wmc_lstm": ("torchrecurrent.WMCLSTMCell",),
    # other cells of the literature
    "chrono_lstm": ("paper",),
    "darts_v1": ("paper",),
    "darts_v2": ("paper",),
    "dreamer_gru": ("paper",),
    "enas": ("paper",),
    "fast_slow_lstm": ("paper",),
    "grid_lstm": ("paper",),
    "group_lstm": ("paper",),
    "gru1": ("paper",),
    "gru2": ("paper",),
    "gru3": ("paper",),
    "hgrn": ("paper",),
    "highway_lstm": ("paper",),
    "irnn": ("paper",),
    "jordan_rnn": ("paper",),
    "layernorm_lstm": ("paper",),
    "layernorm_lstm_2016": ("paper",),
    "layernorm_lstm_torch": ("paper",),
    "low_rank_lstm": ("paper",),
    "lru": ("paper",),
    "lstm1": ("paper",),
    "lstm2": ("paper",),
    "lstm3": ("paper",),
    "lstmp": ("paper",),
    "mi_gru": ("paper",),
    "mi_lstm": ("paper",),
    "mi_rnn": ("paper",),
    "min_gru": ("paper",),
    "min_lstm": ("paper",),
    "mogrifier_lstm": ("paper",),
    "mrnn": ("paper",),
    "nested_lstm": ("paper",),
    "on_lstm": ("paper",),
    "qrnn": ("paper",),
    "rg_lru": ("paper",),
    "rwkv4": ("paper",),
    "slstm": ("paper",),
    "sru": ("paper",),
    "sub_lstm": ("paper",),
    "ur_lstm": ("paper",),
}
# fmt: on

_FIRST = re.compile(r"(.*?) \(((?:19|20)\d\d)\)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of the zoo: description, authors, year, and the code or paper that it is checked against."""

    name: str
    about: str
    authors: str
    year: int
    checked: tuple[str, ...]


def cited(description: str) -> re.Match[str] | None:
    """Authors and year at the beginning of a description, else None."""
    return _FIRST.match(" ".join(description.split()))


def entry(name: str) -> Entry:
    """The entry of one cell. Raises TextError if the zoo has no such cell."""
    found = cited(load(name).description)
    assert found, f"the comment of {name}.cell does not begin with authors and (year)"
    return Entry(name, ABOUT[name], found[1], int(found[2]), CHECKED.get(name, ()))


def entries() -> list[Entry]:
    """All cells of the zoo, by name."""
    return [entry(name) for name in names()]
