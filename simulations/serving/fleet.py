"""Fleets: which replicas there are, and how far they are from which router.

`mixed` is a fixed table of eight unlike machines, from a pair of large servers to a small one far
from anything; for other sizes it is repeated. `drawn` draws another such fleet for every seed, so
that no policy can be tuned to one. `alike` has equal machines of the mean speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from simulations.errors import BadModel
from simulations.serving.engine import EngineSpec

if TYPE_CHECKING:
    import random

    from simulations.streams import Streams

FleetName = Literal["mixed", "drawn", "alike"]
FLEETS: Final[tuple[FleetName, ...]] = ("mixed", "drawn", "alike")

RTT_MS: Final = (5.0, 250.0)
"""Round trips between a router and a replica lie between these, evenly by their logarithm."""
JITTER_SIGMA: Final = 0.05
"""Of the logarithm of a round trip, as measured between regions of a cloud."""
CHUNK_TOKENS: Final = 8_192

# Tokens of prompt a second, slots, ms a token takes alone and more with each other sequence, and
# thousands of tokens of memory. Rates and slots are spread evenly. Large servers keep a full batch
# near 50 ms a token, small ones leave it behind at two thirds of their slots.
_MIXED: Final = (
    (24_000, 64, 14.0, 0.55, 1_200),
    (21_000, 56, 15.0, 0.65, 1_050),
    (18_000, 49, 16.0, 0.75, 900),
    (15_000, 42, 18.0, 0.90, 750),
    (12_000, 34, 20.0, 1.15, 600),
    (9_000, 27, 23.0, 1.45, 500),
    (6_000, 20, 26.0, 1.90, 400),
    (3_000, 12, 30.0, 2.60, 250),
)
_RATE: Final = (3_000.0, 24_000.0)
_SLOTS: Final = (12.0, 64.0)


@dataclass(frozen=True, slots=True)
class Paths:
    """Round trips in ms, by router and replica."""

    rtt_ms: tuple[tuple[float, ...], ...]
    jitter_sigma: float = JITTER_SIGMA

    def draw_one_way_ms(self, router: int, replica: int, stream: random.Random) -> float:
        """How long a message takes."""
        one_way_ms = self.rtt_ms[router][replica] / 2
        if self.jitter_sigma:
            one_way_ms *= stream.lognormvariate(0.0, self.jitter_sigma)
        return one_way_ms


def make_fleet(
    name: FleetName, count: int, streams: Streams, *, is_chunked: bool = False
) -> tuple[EngineSpec, ...]:
    """Replicas of a fleet. Raises `BadModel` for what there is not."""
    if count < 1:
        raise BadModel(f"{count} replicas serve nobody", hint="at least one")
    specs: list[EngineSpec]
    match name:
        case "mixed":
            specs = [_make_spec(*_MIXED[number % len(_MIXED)]) for number in range(count)]
        case "alike":
            specs = [EngineSpec(_mean_rate(), 38, 20.0, 1.0, 700_000)] * count
        case _:
            stream = streams.get("fleet")
            specs = [_draw_spec(stream) for _ in range(count)]
            # The same capacity in sum as the table's, or seeds would compare loads, not policies.
            scale = count * _mean_rate() / sum(spec.prefill_tokens_per_s for spec in specs)
            specs = [
                replace(spec, prefill_tokens_per_s=spec.prefill_tokens_per_s * scale)
                for spec in specs
            ]
    if is_chunked:
        specs = [replace(spec, chunk_tokens=CHUNK_TOKENS) for spec in specs]
    return tuple(specs)


def make_paths(routers: int, replicas: int, streams: Streams) -> Paths:
    """Draw how far everybody is from everybody."""
    stream = streams.get("paths")
    return Paths(
        tuple(tuple(_draw_log(stream, *RTT_MS) for _ in range(replicas)) for _ in range(routers))
    )


def _make_spec(
    rate: float, slots: int, decode_ms: float, per_sequence_ms: float, memory: int
) -> EngineSpec:
    return EngineSpec(rate, slots, decode_ms, per_sequence_ms, memory * 1_000)


def _draw_spec(stream: random.Random) -> EngineSpec:
    rate = stream.uniform(*_RATE)
    slots = round(stream.uniform(*_SLOTS))
    decode_ms = stream.uniform(14, 30)
    # What a token takes in a full batch, some above the 50 ms that users are promised.
    full_ms = stream.uniform(40, 70)
    memory = round(stream.uniform(250, 1_200))
    return _make_spec(rate, slots, decode_ms, (full_ms - decode_ms) / slots, memory)


def _draw_log(stream: random.Random, low: float, high: float) -> float:
    return math.exp(stream.uniform(math.log(low), math.log(high)))


def _mean_rate() -> float:
    return sum(row[0] for row in _MIXED) / len(_MIXED)
