"""Arithmetic: sums and differences among distracting letters (Jozefowicz et al. 2015, section 3.5).

The paper prints `3e36d9-h1h39f94eeh43keg3c= -13991064`, which is 3369-13994433=-13991064. In the stream this
reads

    3e36d9-h1h39f94eeh43keg3c=-13991064.

We treat the printed space as typography between question and answer: the paper counts
exactly 40 symbols, 26 letters, 10 digits and `+ - = .`, and a space would be the 41st. By the same count the
`.` that ends an answer is a symbol, although the printed example leaves it out. The symbols after `=` are
scored, including the `.`: the first scored prediction is made when `=` is read. Letters occur between
successive characters of the question, also before `=`, as in print; none before the first character and none
in the answer. Numbers have no leading zeros and no `+` sign, and zero is never negative; a negative second
number follows the operator directly or after letters (`3--4=7.`).
"""

from dataclasses import dataclass
from string import ascii_lowercase, digits

import numpy as np
from numpy.typing import NDArray

from cellsearch.options import option
from cellsearch.tasks.data import Part
from cellsearch.tasks.options import size
from cellsearch.tasks.streams import Examples, pack, parts

SYMBOLS = tuple(ascii_lowercase + digits + "+-=.")
ZERO, PLUS, MINUS, EQUALS, STOP = (SYMBOLS.index(symbol) for symbol in "0+-=.")


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Options of the task, with reasons for our choices where the paper does not say."""

    digits: int = option(8, "the longest number, in digits (the paper: 8)", low=1, high=15)
    # Not in the paper. The example has 4 and 8 digits; with even values nine numbers of ten would have 8
    # digits, and
    # one as short as 3369 would come up once in 10,000.
    lengths: str = option(
        "uniform",
        "uniform: every number of digits is equally likely; values: every value is equally likely, so most "
        "numbers are long",
        choices=("uniform", "values"),
    )
    # Not in the paper. The longest run in the example's 13 gaps is 3 and the mean 0.9; a maximum bounds the
    # length of an example. (Its 12 letters are all from a to k, so it is probably handmade: weak evidence.)
    distractors: int = option(
        3, "maximum number of letters between two characters; uniform from 0", low=0, high=20
    )
    # "Positive or negative" without a probability: even odds.
    negative: float = option(0.5, "probability that a nonzero number is negative", low=0.0, high=1.0)
    # Not in the paper. The number of words of PTB, so that an epoch, the unit of the schedule, is equally
    # long.
    train: int = size(1_000_000, "training symbols over all rows (about 28,000 examples)")
    # About 22,000 scored positions: an accuracy of 0.9 has a standard error of 0.002.
    valid: int = size(100_000, "validation symbols")
    test: int = size(100_000, "test symbols")


def generate(options: Arithmetic, *, batch: int, seed: int) -> dict[str, Part]:
    """The three parts."""

    def draw(rng: np.random.Generator, examples: int) -> Examples:
        return questions(options, rng, examples)

    sizes = {"train": options.train, "valid": options.valid, "test": options.test}
    return parts(draw, longest(options), sizes, batch=batch, seed=seed, task="arithmetic")


def longest(options: Arithmetic) -> int:
    """The maximum length of an example: two signed numbers, operator, `=`, letters between; the answer."""
    read = 2 * (options.digits + 1) + 2
    return read + (read - 1) * options.distractors + options.digits + 3


def questions(options: Arithmetic, rng: np.random.Generator, examples: int) -> Examples:
    """`examples` questions with their answers."""
    a, b = numbers(options, rng, examples), numbers(options, rng, examples)
    add = rng.integers(2, size=examples, dtype=np.int64) == 1
    answer = np.where(add, a + b, a - b)
    always = np.ones((examples, 1), np.bool_)

    read_a, present_a = written(a, options.digits)
    read_b, present_b = written(b, options.digits)
    operator = np.where(add, PLUS, MINUS).astype(np.uint16)[:, None]
    read = np.hstack([read_a, operator, read_b])  # [E, C], without `=`: no letter follows it
    present = np.hstack([present_a, always, present_b])

    # [E, C, 1 + D]: room for D letters after every character, of which the first few are present
    room = options.distractors
    count = rng.integers(room + 1, size=(*read.shape, 1), dtype=np.uint16)
    letters = rng.integers(len(ascii_lowercase), size=(*read.shape, room), dtype=np.uint16)
    spread = np.concatenate([read[..., None], letters], axis=2)
    spread_present = (np.arange(1 + room, dtype=np.uint16) <= count) & present[..., None]

    answered, present_answer = written(answer, options.digits + 1)
    symbols = np.hstack(
        [
            spread.reshape(examples, -1),
            np.full((examples, 1), EQUALS, np.uint16),
            answered,
            np.full((examples, 1), STOP, np.uint16),
        ]
    )
    there = np.hstack([spread_present.reshape(examples, -1), always, present_answer, always])
    scored = np.zeros(symbols.shape, np.bool_)
    scored[:, -(answered.shape[1] + 1) :] = True
    return pack(symbols, there, scored)


def numbers(options: Arithmetic, rng: np.random.Generator, examples: int) -> NDArray[np.int64]:
    """[E] signed numbers of up to `digits` digits."""
    if options.lengths == "uniform":
        length = rng.integers(1, options.digits + 1, size=examples, dtype=np.int64)
        high = 10**length
        magnitude = rng.integers(np.where(length == 1, 0, high // 10), high, dtype=np.int64)
    else:
        magnitude = rng.integers(10**options.digits, size=examples, dtype=np.int64)
    return np.where(rng.random(examples) < options.negative, -magnitude, magnitude)


def written(values: NDArray[np.int64], width: int) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Decimal notation in a table [E, 1 + width], sign first, and a mask of present characters."""
    power = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    magnitude = np.abs(values)[:, None]
    places = (magnitude // power % 10 + ZERO).astype(np.uint16)
    present = (magnitude >= power) | (power == 1)
    sign = np.full((values.size, 1), MINUS, np.uint16)
    return np.hstack([sign, places]), np.hstack([values[:, None] < 0, present])
