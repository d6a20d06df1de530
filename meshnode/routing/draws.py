"""Random choices out of one integer that the caller drew: the kernel has no randomness."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def derive(draw: int, purpose: int) -> int:
    """A 64-bit integer for one purpose out of one draw: splitmix64."""
    state = (draw + (purpose + 1) * 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def happens(draw: int, permille: int) -> bool:
    """Whether an event of this probability happens with this draw."""
    return draw % 1000 < permille


def spread(value: int, draw: int, *, permille: int) -> int:
    """A value moved up by at most that share of itself."""
    return value + value * permille * (draw % 1001) // 1_000_000
