"""Ranges of amounts, and sums of them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """An amount."""

    least: float
    middle: float | None  # from records; None: no records
    most: float | None  # None: no limit


def times(factor: float, span: Span) -> Span:
    """The span times `factor`."""
    middle, most = (None if value is None else factor * value for value in (span.middle, span.most))
    return Span(factor * span.least, middle, most)


def total(spans: Iterable[Span]) -> Span:
    """The sum. Its middle and its maximum are known if those of all terms are."""
    found = list(spans)
    return Span(
        sum(span.least for span in found),
        _sum(span.middle for span in found),
        _sum(span.most for span in found),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    found = 0.0
    for value in values:
        if value is None:
            return None
        found += value
    return found
