"""Format durations, counts and sizes as short text."""

import re

from cellsearch.errors import UsageError, printable
from cellsearch.errors import plural as plural  # beside the others

MINUTE, HOUR, DAY = 60, 3_600, 86_400
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhd])+\Z", re.ASCII)


def duration(seconds: float) -> str:
    """A measured time: 0:07, 12:40, 3:05:00, 2d 4h."""
    whole = max(0, round(seconds))
    if whole >= 2 * DAY:
        return f"{whole // DAY}d {whole % DAY // HOUR}h"
    minutes, rest = divmod(whole, MINUTE)
    if minutes >= MINUTE:
        return f"{minutes // MINUTE}:{minutes % MINUTE:02}:{rest:02}"
    return f"{minutes}:{rest:02}"


def about(seconds: float) -> str:
    """An estimated time, rounded: 40 s, 3 min, 2 h, 5 d."""
    if seconds < 90:
        return f"{max(10, round(seconds / 10) * 10)} s"
    if seconds < 90 * MINUTE:
        return f"{round(seconds / MINUTE)} min"
    return f"{round(seconds / HOUR)} h" if seconds < 2 * DAY else f"{round(seconds / DAY)} d"


def between(low: float, high: float) -> str:
    """A range of estimated times: 3 to 5 min, 40 s to 2 min, or 2 h if both are equal."""
    least, most = about(low), about(high)
    if least == most:
        return most
    number, unit = least.split(" ")
    return f"{number if most.endswith(f' {unit}') else least} to {most}"


def read_duration(text: str) -> float:
    """Seconds from 90s, 15m, 2h, 1h30m or 2d. Raises UsageError for other text, including a bare number."""
    if not _DURATION.match(text):
        raise UsageError(f"{printable(text, 40)!r} is not a duration: write 90s, 15m, 2h, 1h30m or 2d")
    parts = re.findall(r"([0-9.]+)([smhd])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < seconds < 1e10:
        raise UsageError(f"{printable(text, 40)!r} is not a positive duration")
    return seconds


def large(number: float) -> str:
    """A rough large number: 850, 12 thousand, 3.4 million, 1.2 billion."""
    for limit, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e4, "thousand")):
        if number >= limit:
            scaled = number / min(limit, 1e3) if word == "thousand" else number / limit
            return f"{scaled:.0f} {word}" if scaled >= 10 else f"{scaled:.1f} {word}"
    return f"{round(number):,}"


def size(count: int) -> str:
    """Bytes: 850 B, 12.3 kB, 4.5 MB, 1.2 GB."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} B"


def rate(per_hour: float) -> str:
    """A speed in trials: 410 trials/h, 3.2 trials/h."""
    return f"{per_hour:,.0f} trials/h" if per_hour >= 10 else f"{per_hour:.1f} trials/h"
