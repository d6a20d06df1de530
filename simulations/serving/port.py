"""What a router's policy is asked and told, whichever it is.

A policy lives in one router and knows what that router knows: what it sent, what came back, and
what replicas said of themselves, late. It never sees the simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from simulations.serving.traces import Request

if TYPE_CHECKING:
    import random

Failure = Literal["refused", "rate_limited", "unreachable", "timeout", "malformed", "gone"]
"""Why an attempt ended without an answer; `gone` in the middle of one."""


class Status(NamedTuple):
    """A replica's report, as it was when it was sent."""

    sequence: int
    slots: int
    running: int
    queued: int
    queued_tokens: int
    """Prompt tokens not computed yet, of all requests there."""
    memory_usage: float
    latency_ms: float
    """Median time to the first token of its latest requests, seen from there; 0 if none."""
    quota_domain: str = ""


@dataclass(slots=True, eq=False)
class Attempt:
    """A request on its way to a replica and back."""

    number: int
    """Unique within its router."""
    request: Request
    replica: int
    sent_ms: int
    token: object = None
    """Whatever the policy wants to find again."""
    is_hedge: bool = False
    first_ms: int = -1
    miss_tokens: int = 0
    """As the router guessed when it sent it."""


class Placement(NamedTuple):
    """Where an attempt goes."""

    replica: int
    delay_ms: int = 0
    token: object = None
    """Whatever the policy wants to find in the attempt again."""


class Refusal(NamedTuple):
    """Nobody can take it."""

    reason: str


class Policy(Protocol):
    """Chooses replicas."""

    def choose(self, now_ms: int, request: Request, first_token_ms: int, /) -> Placement | Refusal:
        """Where a new request goes, whose user waits so long for a first token."""

    def retry(
        self,
        now_ms: int,
        attempt: Attempt,
        failure: Failure,
        tried: tuple[int, ...],
        first_token_ms: int,
        /,
    ) -> Placement | Refusal:
        """Where a request goes that failed; `on_failed` was told before.

        `tried` are replicas that were asked before that attempt.
        """

    def hedge(
        self, now_ms: int, attempt: Attempt, tried: tuple[int, ...], /
    ) -> Placement | Refusal:
        """Where a second copy goes, of an attempt that is late."""

    def on_sent(self, now_ms: int, attempt: Attempt, /) -> int | None:
        """It is on its way; answers when a second replica may be asked, None for never."""

    def on_first(self, now_ms: int, attempt: Attempt, /) -> None:
        """Its first token came."""

    def on_end(self, now_ms: int, attempt: Attempt, /) -> None:
        """Its last token came."""

    def on_failed(
        self, now_ms: int, attempt: Attempt, failure: Failure, retry_after_ms: int, /
    ) -> None:
        """It ended without an answer."""

    def on_cancelled(self, now_ms: int, attempt: Attempt, /) -> None:
        """It was given up, for another copy was faster."""

    def on_status(self, now_ms: int, replica: int, status: Status, rtt_ms: float | None, /) -> None:
        """A report came; with the round trip if a probe asked for it."""

    def on_digest(
        self, now_ms: int, replica: int, added: Sequence[int], removed: Sequence[int], /
    ) -> None:
        """A replica said which blocks it holds that it did not hold before, and the reverse."""

    def find_silent(self, now_ms: int, /) -> Collection[int]:
        """Replicas that others should try to reach; `on_witness` tells whether they did."""

    def on_witness(self, now_ms: int, replica: int, reached: bool, /) -> None:  # noqa: FBT001
        """Another node tried to reach a replica for this router."""

    def find_lost(self, now_ms: int, /) -> Collection[int]:
        """Replicas that are held for dead: what runs there is given up."""

    def count(self) -> dict[str, int]:
        """Whatever else is worth knowing at the end, such as breakers opened."""


PolicyMaker = Callable[[int, "random.Random"], Policy]
"""Makes a router's policy for so many replicas."""
