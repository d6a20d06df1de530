"""Numbers and ids as people read them. What is unknown is '?'."""

from __future__ import annotations

import time

from meshnode.cli.output import clean_line

UNKNOWN = "?"
_TIME_MS_MAX = 253_402_300_000_000
"""Year 9999."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def format_duration(ms: int | None) -> str:
    """A span of time in its two largest units: '3 ms', '1.2 s', '4 min 10 s', '2 d 3 h'."""
    if ms is None:
        return UNKNOWN
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms // 1_000}.{ms % 1_000 // 100} s"
    seconds = ms // 1_000
    for size, large, small_size, small in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size:
            return f"{seconds // size} {large} {seconds % size // small_size} {small}"
    raise AssertionError("a minute or more is at least a minute")


def format_size(size_bytes: int | None) -> str:
    """An amount of memory: '512 B', '4.8 KiB', '98 MiB'."""
    if size_bytes is None:
        return UNKNOWN
    value, unit = float(size_bytes), 0
    while value >= 1_024 and unit < len(_UNITS) - 1:
        value, unit = value / 1_024, unit + 1
    digits = 0 if unit == 0 or value >= 10 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def format_count(number: int | None, noun: str, plural: str = "") -> str:
    """A number with its noun: '1 peer', '3 peers', '? peers'."""
    text = UNKNOWN if number is None else str(number)
    return f"{text} {noun if number == 1 else plural or noun + 's'}"


def format_time(time_ms: int | None) -> str:
    """A moment in local time."""
    if time_ms is None:
        return UNKNOWN
    if not 0 <= time_ms <= _TIME_MS_MAX:
        # An author may claim any time; some lie outside the calendar.
        return f"{time_ms} ms"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1_000))


def format_id(identifier: str | None, length: int = 8) -> str:
    """The beginning of an id, enough to type."""
    return identifier[:length] if identifier else UNKNOWN


def format_name(name: str, author: str, width: int = 20) -> str:
    """A peer's name, or the beginning of its id where it has none."""
    return clean_line(name, width) or format_id(author)
