"""Traces of requests: when each came, how long its prompt and answer were, which blocks it shares.

The file format is that of the Mooncake traces (Qin et al., FAST 2025): a JSON object a line with
`timestamp` in ms, `input_length` and `output_length` in tokens, and `hash_ids`, one for each block
of 512 tokens. Equal ids at the front of two prompts are a prefix that they share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from simulations.errors import BadModel

BLOCK_TOKENS: Final = 512
REQUESTS_MAX: Final = 1_000_000
TOKENS_MAX: Final = 10_000_000
"""Of one prompt or answer; more is a mistake in the file."""


class _Row(msgspec.Struct):
    """A line of a file."""

    timestamp: int
    input_length: int
    output_length: int
    hash_ids: list[int] = []


@dataclass(frozen=True, slots=True)
class Request:
    """One question as a router gets it."""

    number: int
    at_ms: int
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()
    """Ids of the prompt's blocks, each standing for everything before it too."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of their times."""

    name: str
    requests: tuple[Request, ...]

    @property
    def duration_ms(self) -> int:
        """From the first request to the last."""
        return self.requests[-1].at_ms if self.requests else 0

    @property
    def digest(self) -> str:
        """Eight hex digits that name what is in it."""
        text = repr([(r.at_ms, r.input_tokens, r.output_tokens, r.blocks) for r in self.requests])
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def compress(self, load: float) -> Trace:
        """The same requests in 1/load of the time: load 2 is twice as many a second."""
        if load <= 0:
            raise BadModel(f"load {load} is not positive", hint="1 is the trace as it is")
        if load == 1:
            return self
        requests = tuple(replace(one, at_ms=round(one.at_ms / load)) for one in self.requests)
        return Trace(self.name, requests)

    def cut(self, count: int) -> Trace:
        """The first requests only."""
        return Trace(self.name, self.requests[:count])


def make_trace(name: str, requests: Sequence[Request]) -> Trace:
    """Requests in any order, numbered by their time from 0."""
    ordered = sorted(requests, key=lambda one: (one.at_ms, one.number))
    first_ms = ordered[0].at_ms if ordered else 0
    return Trace(
        name,
        tuple(
            replace(one, number=number, at_ms=one.at_ms - first_ms)
            for number, one in enumerate(ordered)
        ),
    )


def load_trace(path: Path) -> Trace:
    """Read a file. Raises `BadModel` at its first line that makes no sense."""
    decoder = msgspec.json.Decoder(_Row)
    requests: list[Request] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if len(requests) >= REQUESTS_MAX:
                raise BadModel(f"{path.name} has over {REQUESTS_MAX} requests", hint="cut it")
            try:
                row = decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise BadModel(f"{path.name} line {number}: {error}", hint=_HINT) from None
            requests.append(_check(row, f"{path.name} line {number}", len(requests)))
    if not requests:
        raise BadModel(f"{path.name} holds no requests", hint=_HINT)
    return make_trace(path.stem, requests)


_HINT: Final = "a line is {timestamp, input_length, output_length, hash_ids}"


def _check(row: _Row, where: str, number: int) -> Request:
    if row.timestamp < 0 or not 0 < row.input_length <= TOKENS_MAX:
        raise BadModel(f"{where}: timestamp or input_length is out of range", hint=_HINT)
    if not 0 <= row.output_length <= TOKENS_MAX:
        raise BadModel(f"{where}: output_length is out of range", hint=_HINT)
    # An answer has at least its first token; the traces hold a few of length 0.
    output_tokens = max(1, row.output_length)
    return Request(number, row.timestamp, row.input_length, output_tokens, tuple(row.hash_ids))
