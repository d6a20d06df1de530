"""What a conversation of several needs of the node that asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from meshnode.together.voting import Ballot
from meshnode.views import Answer, StreamItem

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question of a conversation."""

    stage: str
    round: int
    seat: int
    peer: str
    """Who is asked; empty for whoever is found."""
    sample: int
    """How many seats before this one have the same peer: its answer should be another one."""
    messages: Messages
    parents: tuple[str, ...] | None
    """Results that it builds on, in hex; None for what the person's question builds on."""
    timeout_ms: int
    spend_uruv: int | None
    """What it may cost; None where nobody set a limit for the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A peer that can answer."""

    peer: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A vote, as it is to be published."""

    text: str
    finish_reason: str
    ballot: Ballot
    parents: tuple[str, ...]
    total_ms: int


class TurnPort(Protocol):
    """Asks peers, and publishes what was voted for."""

    @property
    def messages(self) -> Messages:
        """What the person asked, context included."""

    @property
    def timeout_ms(self) -> int:
        """For the whole."""

    @property
    def spend_uruv(self) -> int | None:
        """For the whole."""

    def read_clock_ms(self) -> int:
        """Milliseconds that never go back."""

    def draw(self) -> int:
        """Chance."""

    def list_serving(self) -> list[Serving]:
        """Who can answer, the best first; empty where that is found out by asking."""

    def get_bytes_max(self) -> int:
        """How many bytes of others' answers can be put before a model."""

    def stream(self, turn: Turn) -> AsyncGenerator[StreamItem, None]:
        """Ask a question; the items and errors are those of a single one."""

    async def publish(self, outcome: Outcome) -> Answer:
        """Sign the outcome of a vote."""
