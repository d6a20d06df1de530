"""Sessions have the lengths that were measured, and churn begins as if it had always been."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean

import pytest

from simulations.churn import (
    HOUR_MS,
    LognormalSessions,
    WeibullSessions,
    draw_churn,
    make_ipfs_lognormal,
    make_ipfs_weibull,
)
from simulations.errors import BadModel
from simulations.faults import Crash
from simulations.streams import Streams

DRAWS = 40_000
FITS: dict[str, WeibullSessions | LognormalSessions] = {
    "weibull": make_ipfs_weibull(),
    "lognormal": make_ipfs_lognormal(),
}


def survive_weibull(hours: float) -> float:
    return math.exp(-((hours / 3.66) ** 0.608))


def survive_lognormal(hours: float) -> float:
    return 1 - NormalDist(math.log(2), 1.65).cdf(math.log(hours)) if hours > 0 else 1.0


SURVIVAL = {"weibull": survive_weibull, "lognormal": survive_lognormal}


def residual_share(name: str, hours: float) -> float:
    """Renewal theory: P(residual <= r) is the integral of the survival to r over the whole one."""

    def integrate(upper: float) -> float:
        # In u = ln(1 + h), so that steep beginnings and long tails are both seen.
        steps = 20_000
        width = math.log1p(upper) / steps
        places = ((step + 0.5) * width for step in range(steps))
        return width * sum(SURVIVAL[name](math.expm1(u)) * math.exp(u) for u in places)

    return integrate(hours) / integrate(1e7)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize(("hours", "share"), [(2, 0.5), (8, 0.8)])
def test_sessions_end_as_measured(name: str, hours: int, share: float):
    stream = Streams(1).get(name)
    ended = sum(FITS[name].draw_ms(stream) <= hours * HOUR_MS for _ in range(DRAWS)) / DRAWS
    assert ended == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(("name", "hours"), [("weibull", 5.4), ("lognormal", 7.8)])
def test_mean_sessions_are_those_of_the_fits(name: str, hours: float):
    assert FITS[name].mean_ms / HOUR_MS == pytest.approx(hours, rel=0.01)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("hours", [1, 5, 20, 100])
def test_residuals_are_those_of_renewal_theory(name: str, hours: float):
    stream = Streams(2).get(name)
    ended = sum(FITS[name].draw_residual_ms(stream) <= hours * HOUR_MS for _ in range(DRAWS))
    assert ended / DRAWS == pytest.approx(residual_share(name, hours), abs=0.01)


def test_exponential_sessions_have_no_memory():
    sessions, stream = WeibullSessions(1.0, 500.0), Streams(3).get("memory")
    assert fmean(sessions.draw_residual_ms(stream) for _ in range(DRAWS)) == pytest.approx(
        500, rel=0.02
    )


def test_hours_may_be_short():
    assert make_ipfs_weibull(1_000) == WeibullSessions(0.608, 3_660)
    assert make_ipfs_lognormal(1_000) == LognormalSessions(2_000, 1.65)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (WeibullSessions, (0.05, 100)),
        (WeibullSessions, (0.6, 0)),
        (LognormalSessions, (0, 1)),
        (LognormalSessions, (100, -1)),
        (LognormalSessions, (math.nan, 1)),
    ],
)
def test_what_is_no_distribution_is_refused(kind: type, arguments: tuple):
    with pytest.raises(BadModel):
        kind(*arguments)


# --- plans ---------------------------------------------------------------------------------------

SESSIONS = make_ipfs_weibull(1_000)
START_MS = 5_000


def draw(hosts: int, duration_ms: int, *, availability: float = 0.6) -> tuple[Crash, ...]:
    return draw_churn(
        Streams(9).get("churn"),
        range(hosts),
        SESSIONS,
        availability=availability,
        start_ms=START_MS,
        duration_ms=duration_ms,
    )


def absences(plan: tuple[Crash, ...], host: int) -> list[tuple[int, int]]:
    return [(fault.at_ms, fault.at_ms + fault.down_ms) for fault in plan if fault.host == host]


def test_hosts_leave_only_when_they_are_up():
    plan = draw(20, 100_000)
    assert len({fault.number for fault in plan}) == len(plan)
    for host in range(20):
        times = [time_ms for absence in absences(plan, host) for time_ms in absence]
        assert times == sorted(set(times))
        assert all(START_MS <= start < START_MS + 100_000 for start in times[::2])


def test_longer_churn_begins_like_shorter():
    short, long = draw(5, 20_000), draw(5, 60_000)
    for host in range(5):
        begun = absences(short, host)
        assert absences(long, host)[: len(begun)] == begun


@pytest.mark.parametrize("availability", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("at_ms", [0, 2_000, 50_000])
def test_as_many_are_up_at_the_start_as_later(availability: float, at_ms: int):
    hosts = 3_000
    plan = draw(hosts, 50_001, availability=availability)
    time_ms = START_MS + at_ms
    away = {fault.host for fault in plan if fault.at_ms <= time_ms < fault.at_ms + fault.down_ms}
    assert 1 - len(away) / hosts == pytest.approx(availability, abs=0.03)


@pytest.mark.parametrize("availability", [0.0, 1.0, -1.0])
def test_availability_is_a_share(availability: float):
    with pytest.raises(BadModel, match="availability"):
        draw(1, 1_000, availability=availability)
