"""Convert words of the command line to checked values. Errors name the allowed values."""

import argparse
import re
from collections.abc import Callable, Collection, Sequence

from cellsearch.errors import UsageError, did_you_mean, printable
from cellsearch.report.formatting import read_duration

_WHOLE = re.compile(r"\+?[0-9][0-9_,]*(?:e\+?[0-9]{1,2})?\Z", re.ASCII)
_DEVICE = re.compile(r"(?:cpu|cuda(?::[0-9]{1,2})?)\Z", re.ASCII)
MOST = 10**9


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """A reader of integers in a range; accepts 1e9 and 1,000."""

    def read(text: str) -> int:
        digits, _, exponent = text.strip().lower().replace(",", "").replace("_", "").partition("e")
        if not _WHOLE.match(text.strip().lower()) or len(digits) > 20:
            raise argparse.ArgumentTypeError(
                f"{printable(text, 40)!r} is not a whole number from {least} to {most:,}"
            )
        value = int(digits) * 10 ** int(exponent or 0)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{printable(text, 40)} is not from {least} to {most:,}")
        return value

    return read


def share(text: str) -> float:
    """A part of a whole: a number above 0 and below 1."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1:
        raise argparse.ArgumentTypeError(
            f"{printable(text, 40)!r} is not a number between 0 and 1, as in 0.1"
        )
    return found


def span(text: str) -> range:
    """An interval of integers, ends included: 3, 1-4, 2015- or -1990."""
    first, dash, last = text.strip().partition("-")
    if not re.fullmatch(r"[0-9]{0,4}-?[0-9]{0,4}", text.strip(), re.ASCII) or not (first or last):
        raise argparse.ArgumentTypeError(f"{printable(text, 40)!r} is not like 3, 1-4, 2015- or -1990")
    if not dash:
        last = first
    found = range(int(first or 0), int(last or MOST) + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"{printable(text, 40)!r} ends before it begins")
    return found


def duration(text: str) -> float:
    """Seconds from a duration like 2h."""
    try:
        return read_duration(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def words(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A reader of comma-separated words from `known`."""

    def read(text: str) -> list[str]:
        found = [word.strip() for word in text.split(",") if word.strip()]
        for word in found:
            if word not in known:
                hint = f"{nearest(word, known)}({', '.join(known)})"
                raise argparse.ArgumentTypeError(f"there is no kind '{printable(word, 40)}'\n{hint}")
        if not found:
            raise argparse.ArgumentTypeError(f"name at least one of {', '.join(known)}")
        return list(dict.fromkeys(found))

    return read


def one_of(known: Collection[str], kind: str) -> Callable[[str], str]:
    """A reader of one word from `known`; `kind` names it in errors."""

    def read(text: str) -> str:
        if text not in known:
            hint = f"{nearest(text, known)}({', '.join(known)})"
            raise argparse.ArgumentTypeError(f"there is no {kind} '{printable(text, 40)}'\n{hint}")
        return text

    return read


def device(text: str) -> str:
    """A device name."""
    if not _DEVICE.match(text):
        raise argparse.ArgumentTypeError(
            f"{printable(text, 40)!r} is not a device: cpu, cuda, cuda:0, cuda:1, …"
        )
    return text


def devices(text: str) -> list[str]:
    """Comma-separated device names."""
    return ["all"] if text == "all" else [device(word.strip()) for word in text.split(",")]


def override(text: str) -> str:
    """A changed value of a search space, KEY=VALUE."""
    if "=" not in text.lstrip("="):
        raise argparse.ArgumentTypeError(f"{printable(text, 60)!r} is not like budget.trials=60")
    return text


def nearest(word: str, known: Collection[str]) -> str:
    """`did_you_mean` with a cutoff for short words."""
    return did_you_mean(word, known, cutoff=0.55)
