"""Churn: hosts leave and come back, as peers of public networks were measured to.

Sessions are heavy-tailed: half of them are short, and most of the time belongs to long ones. A run
begins in the stationary state, as if it had gone on for ever: who is up, and how long that will
last, is drawn for that moment. Begun with fresh sessions, the first hours would show too much
leaving and too little staying.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from simulations.errors import BadModel
from simulations.faults import Crash

HOUR_MS: Final = 3_600_000
DURATION_MS_MIN: Final = 1


class Sessions(Protocol):
    """How long something lasts."""

    def draw_ms(self, stream: random.Random) -> float:
        """A whole duration."""

    def draw_residual_ms(self, stream: random.Random) -> float:
        """What is left of the duration that is under way when somebody looks."""


@dataclass(frozen=True, slots=True)
class WeibullSessions:
    """Heavy-tailed where the shape is below 1; exponential at 1."""

    shape: float
    scale_ms: float

    def __post_init__(self) -> None:
        """Refuse what is no distribution."""
        if not (self.shape >= 0.1 and 0 < self.scale_ms < math.inf):
            raise BadModel(f"no Weibull sessions of shape {self.shape}, scale {self.scale_ms} ms")

    @property
    def mean_ms(self) -> float:
        """The mean duration."""
        return self.scale_ms * math.gamma(1 + 1 / self.shape)

    def draw_ms(self, stream: random.Random) -> float:
        """See `Sessions`."""
        return stream.weibullvariate(self.scale_ms, self.shape)

    def draw_residual_ms(self, stream: random.Random) -> float:
        """See `Sessions`; who looks meets long sessions in proportion to their length."""
        met = stream.gammavariate(1 + 1 / self.shape, 1.0)
        return stream.random() * self.scale_ms * float(met ** (1 / self.shape))


@dataclass(frozen=True, slots=True)
class LognormalSessions:
    """Heavy-tailed, and seldom very short."""

    median_ms: float
    sigma: float

    def __post_init__(self) -> None:
        """Refuse what is no distribution."""
        if not (0 <= self.sigma <= 10 and 0 < self.median_ms < math.inf):
            raise BadModel(f"no lognormal sessions: median {self.median_ms} ms, sigma {self.sigma}")

    @property
    def mean_ms(self) -> float:
        """The mean duration."""
        return self.median_ms * math.exp(self.sigma**2 / 2)

    def draw_ms(self, stream: random.Random) -> float:
        """See `Sessions`."""
        return stream.lognormvariate(math.log(self.median_ms), self.sigma)

    def draw_residual_ms(self, stream: random.Random) -> float:
        """See `Sessions`; weighted by length, a lognormal is one of greater median."""
        met = stream.lognormvariate(math.log(self.median_ms) + self.sigma**2, self.sigma)
        return stream.random() * met


def make_ipfs_weibull(hour_ms: float = HOUR_MS) -> WeibullSessions:
    """Sessions of IPFS DHT servers in 2022 (half end by 2 h, four in five by 8 h), as a Weibull.

    `hour_ms` of virtual time stand for an hour, so that short runs see much churn.
    """
    return WeibullSessions(shape=0.608, scale_ms=3.66 * hour_ms)


def make_ipfs_lognormal(hour_ms: float = HOUR_MS) -> LognormalSessions:
    """The same sessions as a lognormal; see `make_ipfs_weibull`."""
    return LognormalSessions(median_ms=2 * hour_ms, sigma=1.65)


def draw_churn(
    stream: random.Random,
    hosts: Sequence[int],
    sessions: Sessions,
    *,
    availability: float,
    start_ms: int,
    duration_ms: int,
    first_number: int = 1,
) -> tuple[Crash, ...]:
    """Draw when these hosts are away, as faults for a plan.

    Args:
        stream: Each host gets a stream of its own from it: a longer run begins like a shorter one.
        hosts: Their places in the mesh.
        sessions: How long they stay; absences are of the same shape.
        availability: The share of time that a host is up, above 0, and below 1.
        start_ms: When churn begins, in its stationary state.
        duration_ms: How long hosts go on leaving; the last absences may end later.
        first_number: Names the first fault.
    """
    if not 0 < availability < 1:
        raise BadModel(f"availability {availability} is no share between 0 and 1")
    faults: list[Crash] = []
    for host in hosts:
        own = random.Random(stream.getrandbits(64))  # noqa: S311 - reproducible on purpose
        for at_ms, down_ms in _draw_absences(own, sessions, availability, duration_ms):
            number = first_number + len(faults)
            faults.append(Crash(number=number, host=host, at_ms=start_ms + at_ms, down_ms=down_ms))
    return tuple(faults)


def _draw_absences(
    stream: random.Random, sessions: Sessions, availability: float, duration_ms: int
) -> list[tuple[int, int]]:
    """(when, how long) one host is away, in ms since the start."""
    # Absences are sessions so many times as long: then their means stand in the right proportion.
    factor = (1 - availability) / availability
    found: list[tuple[int, int]] = []
    if stream.random() < availability:
        now_ms = _round_ms(sessions.draw_residual_ms(stream))
    else:
        down_ms = _round_ms(sessions.draw_residual_ms(stream) * factor)
        found.append((0, down_ms))
        now_ms = down_ms + _round_ms(sessions.draw_ms(stream))
    while now_ms < duration_ms:
        down_ms = _round_ms(sessions.draw_ms(stream) * factor)
        found.append((now_ms, down_ms))
        now_ms += down_ms + _round_ms(sessions.draw_ms(stream))
    return found


def _round_ms(duration_ms: float) -> int:
    return max(DURATION_MS_MIN, round(duration_ms))
