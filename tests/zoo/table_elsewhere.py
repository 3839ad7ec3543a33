"""Cells whose oracle stands in a test of another folder: the cell, what it is held against, and where.

`test_catalogue.py` sees to it that the test exists and names the cell.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    cell: str
    against: str
    test: str  # file below tests/ and function


_TORCH = "compiler/test_recurrent.py::test_agrees_with_torch_nn"
_IDENTITY = "compiler/test_identities.py::"
_PEEPHOLES = _IDENTITY + "test_peepholes_at_zero_give_the_lstm"

ROWS = (
    Row("rnn", "torch.nn.RNN", _TORCH),
    Row("lstm", "torch.nn.LSTM", _TORCH),
    Row("gru_torch", "torch.nn.GRU", _TORCH),
    Row("gru", "identity with rnn", _IDENTITY + "test_gru_with_reset_1_and_update_0_is_the_plain_rnn"),
    Row(
        "cifg",
        "identity with lstm",
        _IDENTITY + "test_cifg_is_the_lstm_whose_input_gate_is_one_minus_its_forget_gate",
    ),
    Row("clockwork", "paper", "zoo/test_clockwork.py::test_the_zoo_cell"),
    Row(
        "depth_gated_lstm_bottom",
        "paper",
        "zoo/test_stacks.py::test_the_bottom_layer_of_the_authors_code_alone",
    ),
    Row("lstm_b", "identity with peephole_lstm", _PEEPHOLES),
    *(
        Row(f"peephole_{kind}", "identity with lstm_b", _PEEPHOLES)
        for kind in ("lstm", "input", "forget", "output")
    ),
)
