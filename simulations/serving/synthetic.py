"""Traces that are drawn, for those who have no file and for conditions no file shows.

All are drawn from one documented seed, so that everybody has the same ones:

- `chat`: conversations of some turns over shared system prompts, with the sizes of the published
  conversation trace: 12,000 tokens in and 340 out in the mean, heavy tails, and arrivals in batches
  of three seconds, as that trace was recorded.
- `bursty`: shorter prompts whose rate leaps to six times the usual for 20 s in every two minutes.
- `long-context`: documents of 16,000 to 128,000 tokens that several questions are asked about, with
  long answers, and few of them at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

from simulations.errors import BadModel
from simulations.serving.traces import BLOCK_TOKENS, Request, Trace, make_trace
from simulations.streams import Streams

SEED: Final = 20_261
"""What CI draws its traces from."""
INPUT_TOKENS_MAX: Final = 126_000
OUTPUT_TOKENS_MAX: Final = 2_000
MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What a drawn trace looks like."""

    rate_per_s: float
    """Requests a second, in the mean over all."""
    input_median: int
    input_sigma: float
    """Of the logarithm of a first prompt's tokens."""
    output_median: int
    output_sigma: float
    turns_mean: float
    think_s: float
    """From one turn of a conversation to the next, in the mean."""
    systems: int
    """System prompts that conversations share, the first ones more often."""
    system_tokens: int
    input_max: int = INPUT_TOKENS_MAX
    grain_ms: int = 1
    """Arrivals fall on multiples of it."""
    burst_factor: float = 1.0
    burst_every_s: float = 120.0
    burst_s: float = 20.0


SHAPES: Final[dict[str, Shape]] = {
    "chat": Shape(3.4, 5_200, 1.15, 300, 0.75, 1.8, 45.0, 40, 1_024, grain_ms=3_000),
    "bursty": Shape(
        6.0, 2_600, 0.9, 220, 0.7, 2.2, 30.0, 12, 2_048, burst_factor=6.0, input_max=64_000
    ),
    "long-context": Shape(0.9, 30_000, 0.55, 420, 0.6, 2.6, 60.0, 4, 512),
}


def draw_trace(name: str, requests: int, *, seed: int = SEED) -> Trace:
    """Draw a trace by the name of its shape. Raises `BadModel` if there is no such shape."""
    shape = SHAPES.get(name)
    if shape is None:
        raise BadModel(f"no trace is called {name!r}", hint=f"one of {', '.join(SHAPES)}")
    if requests < 1:
        raise BadModel(f"{requests} requests are no trace", hint="draw at least one")
    stream = Streams(seed).get(f"trace/{name}")
    blocks = count()
    heads = [_take(blocks, shape.system_tokens) for _ in range(shape.systems)]
    drawn: list[Request] = []
    start_s = 0.0
    # A conversation that begins late may end after the last: what comes after the first so many
    # by time is cut off, which is why more are drawn.
    for _ in range(requests):
        start_s += stream.expovariate(shape.rate_per_s / shape.turns_mean)
        at_s = _stretch(shape, start_s)
        head = heads[min(int(stream.expovariate(3 / shape.systems)), shape.systems - 1)]
        drawn += _draw_conversation(shape, stream, at_s, head, lambda n: _take(blocks, n))
        if len(drawn) > 2 * requests and at_s * shape.rate_per_s > requests:
            break
    return make_trace(name, drawn).cut(requests)


def _take(blocks: count[int], tokens: int) -> tuple[int, ...]:
    return tuple(next(blocks) for _ in range(tokens // BLOCK_TOKENS))


def _draw_conversation(
    shape: Shape,
    stream: random.Random,
    at_s: float,
    head: tuple[int, ...],
    take: Callable[[int], tuple[int, ...]],
) -> list[Request]:
    turns: list[Request] = []
    tokens = shape.system_tokens
    history = head
    while True:
        added = _draw_tokens(stream, shape.input_median, shape.input_sigma, shape.input_max)
        tokens = tokens + (added if not turns else added // 4)
        if tokens > shape.input_max:
            return turns
        history += take(tokens - len(history) * BLOCK_TOKENS)
        output = _draw_tokens(stream, shape.output_median, shape.output_sigma, OUTPUT_TOKENS_MAX)
        # The last block of a prompt is rarely full, and is nobody else's.
        own = take(BLOCK_TOKENS) if tokens % BLOCK_TOKENS else ()
        at_ms = round(at_s * MS) // shape.grain_ms * shape.grain_ms
        turns.append(Request(0, at_ms, tokens, output, history + own))
        tokens += output
        if stream.random() < 1 / shape.turns_mean:
            return turns
        at_s += stream.expovariate(1 / shape.think_s)


def _draw_tokens(stream: random.Random, median: int, sigma: float, most: int) -> int:
    return max(16, min(most, round(median * stream.lognormvariate(0.0, sigma))))


def _stretch(shape: Shape, even_s: float) -> float:
    """Where a moment of an even stream falls in one that has bursts: the mean rate is the same."""
    if shape.burst_factor == 1.0:
        return even_s
    rounds, within_s = divmod(even_s, shape.burst_every_s)
    calm_s = shape.burst_every_s - shape.burst_s
    weight = shape.burst_every_s / (calm_s + shape.burst_factor * shape.burst_s)
    calm_share_s = calm_s * weight
    if within_s < calm_share_s:
        return rounds * shape.burst_every_s + within_s / weight
    rest_s = (within_s - calm_share_s) / (weight * shape.burst_factor)
    return rounds * shape.burst_every_s + calm_s + rest_s
