"""Runs in which members come and go, as data: who comes by which ticket, and what goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from simulations.faults import Byzantine, Fault, Restore, Twins, find_dishonest
from simulations.fuzzing.plan import draw_plan
from simulations.streams import Streams

if TYPE_CHECKING:
    import random

FOUNDERS_MIN: Final = 4
FOUNDERS_MAX: Final = 6
GUESTS_MAX: Final = 5
TICKETS_MAX: Final = 3
FIRST_MS: Final = 1_500
"""By then every founder has said its first profile, which tickets carry."""


class Ticket(msgspec.Struct, frozen=True):
    """An invitation of a founder."""

    inviter: int
    uses: int
    taken_back_ms: int = 0
    """When its inviter takes it back; 0 for never."""


class Guest(msgspec.Struct, frozen=True):
    """Who comes when, by what, and how it goes out again."""

    comes_ms: int
    ticket: int | None
    """None for who comes by itself, to an open network."""
    vouched_ms: int = 0
    """0 for never, as in what follows."""
    leaves_ms: int = 0
    expelled_ms: int = 0


class MemberSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One run; equal specs give equal digests."""

    seed: int
    founders: int
    safety_ms: int
    is_open: bool
    median_ms: int
    loss: float
    tickets: tuple[Ticket, ...]
    guests: tuple[Guest, ...]
    expelled: tuple[tuple[int, int], ...]
    """Founders who lie and are put out for it, each with the time at which somebody asks for that."""
    faults: tuple[Fault, ...]


def draw_member_spec(seed: int) -> MemberSpec:
    """The run that a seed stands for."""
    stream = Streams(seed).get("membership")
    founders, guests = stream.randint(FOUNDERS_MIN, FOUNDERS_MAX), stream.randint(1, GUESTS_MAX)
    safety_ms = stream.randrange(12_000, 20_000)
    is_open = stream.random() < 1 / 3
    faults = _bear(draw_plan(stream, founders + guests, safety_ms), founders)
    tickets = tuple(_draw_ticket(stream, founders, safety_ms) for _ in range(TICKETS_MAX))
    lying = [host for host in find_dishonest(faults) if host < founders]
    return MemberSpec(
        seed=seed,
        founders=founders,
        safety_ms=safety_ms,
        is_open=is_open,
        median_ms=stream.choice((1, 20, 60, 120)),
        loss=stream.choice((0.0, 0.0, 0.01, 0.1)),
        tickets=tickets,
        guests=tuple(_draw_guest(stream, safety_ms, is_open=is_open) for _ in range(guests)),
        expelled=tuple(
            (host, stream.randrange(FIRST_MS, safety_ms))
            for host in lying
            if stream.random() < 1 / 2
        ),
        faults=faults,
    )


def _bear(faults: tuple[Fault, ...], founders: int) -> tuple[Fault, ...]:
    """Without the lies of founders that are too many, twins of guests, and old copies of disks.

    A guest's twin would need its ticket, and what a restored disk may forget is another campaign's.
    """
    lying = sorted(host for host in find_dishonest(faults) if host < founders)
    too_many = lying[(founders - 1) // 3 :]
    return tuple(
        fault
        for fault in faults
        if not isinstance(fault, Restore)
        and not (isinstance(fault, Twins) and fault.host >= founders)
        and not (isinstance(fault, Byzantine | Twins) and fault.host in too_many)
    )


def _draw_ticket(stream: random.Random, founders: int, safety_ms: int) -> Ticket:
    taken_back_ms = stream.randrange(FIRST_MS, safety_ms) if stream.random() < 1 / 3 else 0
    return Ticket(stream.randrange(founders), stream.randint(1, GUESTS_MAX), taken_back_ms)


def _draw_guest(stream: random.Random, safety_ms: int, *, is_open: bool) -> Guest:
    comes_ms = stream.randrange(FIRST_MS, safety_ms)

    def draw(share: float) -> int:
        return stream.randrange(comes_ms, safety_ms) + 1 if stream.random() < share else 0

    by_itself = is_open and stream.random() < 1 / 2
    return Guest(
        comes_ms,
        None if by_itself else stream.randrange(TICKETS_MAX),
        vouched_ms=draw(1 / 2) if by_itself else 0,
        leaves_ms=draw(1 / 4),
        expelled_ms=draw(1 / 4),
    )
