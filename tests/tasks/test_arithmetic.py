"""Arithmetic against a slow, independent reader of its streams."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.tasks import build
from cellsearch.tasks.arithmetic import SYMBOLS

PRINTED = "3e36d9-h1h39f94eeh43keg3c= -13991064"  # in the paper, section 3.5
IN_STREAM = PRINTED.replace(" ", "") + "."


class Read:
    """One example `question=answer.`, taken apart with plain string operations."""

    def __init__(self, text: str) -> None:
        assert text.count("=") == 1
        assert text.endswith(".")
        question, self.answer = text[:-1].split("=")
        self.runs: list[int] = []  # letters after each character of the question
        self.letters = ""
        bare = ""
        for symbol in question:
            if symbol.islower():
                assert bare, "a letter before the first character"
                self.runs[-1] += 1
                self.letters += symbol
            else:
                bare += symbol
                self.runs.append(0)
        match = re.fullmatch(r"(-?)(\d+)([+-])(-?)(\d+)", bare)
        assert match is not None, bare
        self.sign_a, self.a, self.operator, self.sign_b, self.b = match.groups()
        for sign, number in ((self.sign_a, self.a), (self.sign_b, self.b)):
            assert number == str(int(number)), "leading zeros"
            assert not (sign and number == "0"), "a negative zero"

    @property
    def value(self) -> int:
        a, b = int(self.sign_a + self.a), int(self.sign_b + self.b)
        return a + b if self.operator == "+" else a - b


def examples(row: str) -> list[str]:
    """The whole examples of a row; the last one is cut, and dropped."""
    return [piece + "." for piece in row.split(".")[:-1]]


def test_the_symbols_are_the_forty_of_the_paper() -> None:
    assert len(SYMBOLS) == 40
    assert set(SYMBOLS) == set("abcdefghijklmnopqrstuvwxyz0123456789+-=.")


def test_the_printed_example_is_one_the_defaults_could_make() -> None:
    read = Read(IN_STREAM)
    assert read.value == int(read.answer) == -13991064 == 3369 - 13994433
    assert set(IN_STREAM) <= set(SYMBOLS)
    assert set(PRINTED) - set(SYMBOLS) == {" "}  # why the space is typography
    assert max(len(read.a), len(read.b)) == 8
    assert max(read.runs) == 3


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_every_example_evaluates_and_only_answers_are_scored(part: str, spell) -> None:
    data = build(
        "arithmetic", {"train": 60_000, "valid": 60_000, "test": 60_000}, batch=20, seed=5, data=None
    )
    seen = 0
    for row, predicted in spell(data, getattr(data, part)):
        for example in examples(row):
            read = Read(example)
            assert read.answer == str(read.value)
            assert max(read.runs) <= 3
            assert max(len(read.a), len(read.b)) <= 8
            seen += 1
        answering = False
        for symbol, scored in zip(row, predicted, strict=True):
            assert scored == answering
            answering = symbol == "=" or (answering and symbol != ".")
    assert seen > 1500


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 15),
    st.sampled_from(["uniform", "values"]),
    st.integers(0, 20),
    st.floats(0, 1),
    st.integers(1, 30),
    st.integers(0, 1000),
)
def test_examples_keep_to_the_options(
    digits: int, lengths: str, distractors: int, negative: float, batch: int, seed: int
) -> None:
    total = 800 * batch
    options = {"digits": digits, "lengths": lengths, "distractors": distractors, "negative": negative}
    sizes = {"train": total, "valid": total, "test": total}
    data = build("arithmetic", {**options, **sizes}, batch=batch, seed=seed, data=None)
    for symbols in data.valid.inputs:
        for example in examples("".join(data.symbols[symbol] for symbol in symbols)):
            read = Read(example)
            assert read.answer == str(read.value)
            assert max(len(read.a), len(read.b)) <= digits
            assert max(read.runs) <= distractors
            if negative == 0:
                assert not read.sign_a + read.sign_b
            if negative == 1:
                assert (read.sign_a or read.a == "0") and (read.sign_b or read.b == "0")


@pytest.fixture(scope="module")
def many() -> list[Read]:
    data = build("arithmetic", {}, batch=20, seed=11, data=None)
    rows = ["".join(np.array(data.symbols)[row]) for row in data.train.inputs]
    return [Read(example) for row in rows for example in examples(row)]


def shares(values: list[object]) -> dict[object, float]:
    return {value: count / len(values) for value, count in Counter(values).items()}


def test_distributions_are_those_the_module_states(many: list[Read]) -> None:
    assert 27_000 < len(many) < 30_000
    # one standard error of a share of 1/8 in 28,000 is 0.002
    for number in ([len(read.a) for read in many], [len(read.b) for read in many]):
        assert shares(number) == pytest.approx(dict.fromkeys(range(1, 9), 1 / 8), abs=0.01)
    assert shares([read.operator for read in many]) == pytest.approx({"+": 0.5, "-": 0.5}, abs=0.015)
    for sign, number in (("sign_a", "a"), ("sign_b", "b")):
        signs = [getattr(read, sign) for read in many if getattr(read, number) != "0"]
        assert shares(signs) == pytest.approx({"-": 0.5, "": 0.5}, abs=0.015)
    runs = [run for read in many for run in read.runs]
    assert shares(runs) == pytest.approx(dict.fromkeys(range(4), 1 / 4), abs=0.005)
    letters = [letter for read in many for letter in read.letters]
    assert shares(letters) == pytest.approx(dict.fromkeys("abcdefghijklmnopqrstuvwxyz", 1 / 26), abs=0.002)
    leading = [read.a[0] for read in many if len(read.a) > 1]
    assert shares(leading) == pytest.approx(dict.fromkeys("123456789", 1 / 9), abs=0.01)
    single = [read.a for read in many if len(read.a) == 1]
    assert shares(single) == pytest.approx(dict.fromkeys("0123456789", 1 / 10), abs=0.025)


def test_even_values_are_mostly_long() -> None:
    data = build("arithmetic", {"lengths": "values"}, batch=20, seed=11, data=None)
    rows = ["".join(np.array(data.symbols)[row]) for row in data.valid.inputs]
    lengths = shares([len(Read(example).a) for row in rows for example in examples(row)])
    assert lengths[8] == pytest.approx(0.9, abs=0.03)
    assert lengths[7] == pytest.approx(0.09, abs=0.03)
