"""Sections of a snapshot come in pieces; nothing but what was asked for is taken."""

from __future__ import annotations

from typing import Any

import pytest

from dag.errors import Offence
from meshnode.core.effects import Send
from meshnode.core.messages import GetSnapshot, Snapshot
from meshnode.core.outbox import Outbox
from meshnode.core.snapshot_sections import LATE_MAX, SnapshotSections


class Bench:
    def __init__(self) -> None:
        self.outbox = Outbox()
        self.offences: list[tuple[str, Offence]] = []
        self.got: list[Any] = []
        self.sections = SnapshotSections(self.outbox, 2_000, self.offend)

    def offend(self, now_ms: int, peer: str, offence: Offence, detail: str) -> None:
        self.offences.append((peer, offence))

    def ask(self, now_ms: int = 0, peer: str = "a") -> GetSnapshot:
        self.sections.ask(
            now_ms,
            peer,
            7,
            1,
            size_max=10,
            on_data=lambda now, peer, data: self.got.append((peer, data)),
            on_failure=lambda now, peer: self.got.append((peer, None)),
        )
        return self.question()

    def question(self) -> GetSnapshot:
        (effect,) = self.outbox.take()
        assert isinstance(effect, Send)
        assert isinstance(effect.message, GetSnapshot)
        return effect.message

    def piece(self, number: int, data: bytes, offset: int = 0, **fields: Any) -> None:
        values = {"size_bytes": 6, "last": True, **fields}
        peer = values.pop("peer", "a")
        message = Snapshot(number, offset=offset, data=data, **values)
        self.sections.on_piece(1_000, peer, message)


def test_pieces_are_joined_and_the_rest_is_asked_for():
    bench = Bench()
    asked = bench.ask()
    assert (asked.index, asked.section, asked.offset) == (7, 1, 0)
    bench.piece(asked.request, b"ab", last=False)
    assert bench.sections.next_deadline() == 3_000
    bench.piece(asked.request, b"cd", 2)
    more = bench.question()
    assert more.offset == 4
    bench.piece(more.request, b"ef", 4, last=False)
    assert bench.got == [("a", b"abcdef")]
    assert bench.sections.next_deadline() is None
    bench.piece(more.request, b"", 6, last=False)
    bench.piece(more.request, b"", 6)
    assert not bench.offences
    bench.piece(more.request, b"", 6)
    assert bench.offences == [("a", Offence.UNASKED)]


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", {}),
        (b"ab", {"offset": 1}),
        (b"abcdefg", {}),
        (b"ab", {"size_bytes": 11}),
    ],
)
def test_what_does_not_fit_is_an_offence(data, fields):
    bench = Bench()
    asked = bench.ask()
    bench.piece(asked.request, data, **fields)
    assert bench.offences == [("a", Offence.MALFORMED)]
    assert bench.got == [("a", None)]


def test_a_size_that_changes_is_an_offence():
    bench = Bench()
    asked = bench.ask()
    bench.piece(asked.request, b"ab", last=False)
    bench.piece(asked.request, b"cd", 2, size_bytes=7)
    assert bench.offences == [("a", Offence.MALFORMED)]


def test_who_does_not_hold_it_is_silent_or_leaves_fails_without_offence():
    bench = Bench()
    bench.piece(bench.ask().request, b"", size_bytes=0)
    late = bench.ask(peer="b")
    bench.sections.tick(1_999)
    assert len(bench.got) == 1
    bench.sections.tick(2_000)
    bench.piece(late.request, b"abcdef", peer="b")
    bench.ask(peer="c")
    bench.sections.drop_peer(0, "a")
    bench.sections.drop_peer(0, "c")
    assert bench.got == [("a", None), ("b", None), ("c", None)]
    assert not bench.offences


def test_late_questions_are_remembered_within_bounds_and_until_their_peer_leaves():
    bench = Bench()
    numbers = []
    for _ in range(LATE_MAX + 1):
        numbers.append(bench.ask().request)
        bench.sections.tick(2_000)
    bench.piece(numbers[1], b"abcdef")
    assert not bench.offences
    bench.piece(numbers[0], b"abcdef")
    bench.sections.drop_peer(0, "a")
    bench.piece(numbers[2], b"abcdef")
    assert len(bench.offences) == 2
