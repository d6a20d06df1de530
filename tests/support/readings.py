"""What a node would measure, for tests of what stands before it."""

from __future__ import annotations

from meshnode.node.measuring import Questions, Readings, Trade
from meshnode.shell.event_meter import Work
from meshnode.shell.measures import Distribution


def make_spread(*durations_ms):
    distribution = Distribution((100, 1_000))
    for duration_ms in durations_ms:
        distribution.observe(duration_ms)
    return distribution.read()


def make_readings(**changes):
    """Readings with a different figure everywhere."""
    given = {
        "telemetry": {
            "counters": {"records_persisted": 41, "transactions": 7},
            "offences": {},
            "offences_by_peer": {},
            "messages": [(("ping",), 4), (("push",), 2)],
            "message_bytes": [(("ping",), 12), (("push",), 9_000)],
            "loop_tasks": 21,
            "loop_lag_ms": 3,
            "loop_lag_max_ms": 250,
        },
        "work": Work(
            commits=5,
            ordered=11,
            commit_latency=make_spread(150),
            answers=[(("echo", "peer"), 2)],
            tokens=[(("echo", "in"), 13), (("echo", "out"), 17)],
            answer_duration=make_spread(90, 90),
        ),
        "questions": Questions(
            running=1,
            waiting=4,
            ended=[(("echo", "ok"), 19), (("none", "no_peer_serves"), 1)],
            tokens=[(("echo", "in"), 23)],
            duration=make_spread(50, 500, 5_000),
            first_token=make_spread(50),
            spent_uruv=1_500_000,
        ),
        "market": Trade(
            orders={"bid": 2, "offer": 1},
            money_uruv={
                "free": 9_000_000,
                "reserved": 1_000_000,
                "bonded": 500_000,
                "escrow": 250_000,
                "collateral": 125_000,
            },
            contracts=6,
            trades=29,
        ),
    }
    return Readings(**{**given, **changes})
