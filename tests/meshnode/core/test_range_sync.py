"""When ranges are compared, with whom, and what becomes of what was found."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dag.errors import Offence
from dag.index import Index
from dag.ranges import END, START, cut_ref, make_lamport_bound
from dag.types import Ref
from meshnode.core.effects import Send
from meshnode.core.messages import Get, Range, Ranges
from meshnode.core.outbox import Outbox
from meshnode.core.range_answers import FULL_RANGE_GAP_MS
from meshnode.core.range_sync import (
    BACK_OFF_MS,
    OVERLAP_LAMPORTS,
    PARTNERS_MAX,
    WAIT_MS,
    RangeSync,
)
from tests.support.dag_builder import DagBuilder
from tests.support.fetch_bench import Bench
from tests.support.horizons import level
from tests.support.range_pair import Answerer, Shelf

ANSWER_MS = 2_000
NOTHING: tuple[Range, ...] = ()


@dataclass(eq=False)
class Scene:
    """A store of some layers, and peers that the test plays."""

    layers: int = 3
    hangs_up: bool = False
    bench: Bench = field(default_factory=Bench)
    pushed: list[tuple[str, list[Ref]]] = field(default_factory=list)
    offences: list[tuple[str, Offence]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.builder = DagBuilder(authors=3).profiles()
        for _ in range(self.layers):
            self.builder.layer()
        self.index = Index()
        for signed in self.builder.vertices:
            self.index.add(signed)
        self.outbox: Outbox = self.bench.outbox
        self.sync = RangeSync(
            self.outbox,
            self.index,
            self.bench.fetching,
            answer_ms=ANSWER_MS,
            is_needed=lambda name: name not in self.index,
            push=lambda _now_ms, peer, refs: self.pushed.append((peer, list(refs))),
            offend=self._offend,
        )

    def _offend(self, _now_ms: int, peer: str, offence: Offence, _detail: str) -> None:
        self.offences.append((peer, offence))
        if self.hangs_up:
            self.sync.drop_peer(peer)

    def sent(self) -> list[Ranges]:
        return [
            effect.message
            for effect in self.outbox.take()
            if isinstance(effect, Send) and isinstance(effect.message, Ranges)
        ]

    def start(self, now_ms: int = 0, peer: str = "a", heads: tuple[Ref, ...] = ()) -> Ranges:
        assert self.sync.start(now_ms, peer, heads or (self.unknown(),))
        (question,) = self.sent()
        return question

    def unknown(self, lamport: int = 5, number: int = 9) -> Ref:
        return Ref(lamport, bytes([number]) * 32)

    def end(self, question: Ranges, now_ms: int = 0, peer: str = "a") -> None:
        """Say that nothing differs."""
        assert self.sync.on_answer(now_ms, peer, Ranges(question.session, True, b"", NOTHING))

    def gets(self, now_ms: int = 0) -> list[tuple[str, tuple[bytes, ...]]]:
        self.bench.fetching.tick(now_ms)
        return [
            (effect.to[0], effect.message.ids)
            for effect in self.outbox.take()
            if isinstance(effect, Send) and isinstance(effect.message, Get)
        ]


def test_what_either_side_lacks_is_fetched_and_sent():
    scene = Scene()
    head = scene.unknown()
    refs = [signed.ref for signed in scene.builder.vertices]
    answerer = Answerer(Shelf([*refs[:-2], head]))
    question = scene.start(heads=(head,))
    assert scene.sync.next_deadline() == ANSWER_MS
    assert scene.sync.on_answer(5, "a", answerer.ask(question))
    assert scene.sync.next_deadline() is None
    assert scene.gets(5) == [("a", (cut_ref(head),))]
    assert [(peer, sorted(sent)) for peer, sent in scene.pushed] == [("a", sorted(refs[-2:]))]


def test_head_that_ranges_do_not_show_is_fetched_by_its_id():
    scene = Scene()
    known, hidden = scene.builder.vertices[-1].ref, scene.unknown()
    question = scene.start(heads=(known, hidden))
    scene.end(question)
    assert scene.gets() == [("a", (hidden.id,))]
    assert scene.pushed == []


def test_session_begins_below_the_last_common_state_and_the_lowest_unknown_head():
    scene = Scene(layers=200)
    lamport_max = scene.index.lamport_max
    assert scene.start().lower == START
    scene.sync.drop_peer("a")
    scene.sync.note_equal("a")
    question = scene.start(WAIT_MS, heads=(scene.unknown(lamport_max + 1),))
    assert question.lower == make_lamport_bound(lamport_max - OVERLAP_LAMPORTS)
    scene.sync.drop_peer("a")
    question = scene.start(2 * WAIT_MS, heads=(scene.unknown(100),))
    assert question.lower == make_lamport_bound(100 - OVERLAP_LAMPORTS)
    scene.sync.drop_peer("a")
    scene.index.advance_horizon(level(150))
    question = scene.start(3 * WAIT_MS, heads=(scene.unknown(100),))
    assert question.lower == make_lamport_bound(151)


def test_one_session_at_a_time_and_none_too_soon():
    scene = Scene()
    scene.start()
    assert not scene.sync.start(WAIT_MS, "b", ())
    scene.sync.drop_peer("b")
    assert not scene.sync.start(WAIT_MS, "b", ())
    scene.sync.drop_peer("a")
    assert not scene.sync.start(WAIT_MS - 1, "a", ())
    assert scene.sync.start(WAIT_MS - 1, "b", ())


def test_session_that_found_nothing_is_not_repeated_for_a_minute():
    scene = Scene()
    scene.end(scene.start())
    assert not scene.sync.start(BACK_OFF_MS - 1, "a", (scene.unknown(),))
    scene.start(BACK_OFF_MS)


def test_most_of_a_large_store_is_compared_once_in_ten_minutes(monkeypatch):
    monkeypatch.setattr("meshnode.core.range_answers.FULL_RANGE_MIN", 5)
    scene = Scene(layers=200)
    scene.start()
    scene.sync.drop_peer("a")
    assert not scene.sync.start(FULL_RANGE_GAP_MS - 1, "a", (scene.unknown(),))
    scene.sync.note_equal("a")
    scene.start(FULL_RANGE_GAP_MS - 1, heads=(scene.unknown(201),))
    scene.sync.drop_peer("a")
    scene.start(FULL_RANGE_GAP_MS + WAIT_MS)


def test_answers_of_others_and_late_ones_are_passed_over():
    scene = Scene()
    question = scene.start()
    empty = Ranges(question.session, True, b"", NOTHING)
    assert not scene.sync.on_answer(0, "b", empty)
    assert not scene.sync.on_answer(0, "a", Ranges(question.session + 1, True, b"", NOTHING))
    assert scene.sync.on_answer(0, "a", empty)
    assert not scene.sync.on_answer(0, "a", empty)


def test_answer_to_another_question_is_charged_and_ends_the_session():
    scene = Scene()
    head = scene.unknown()
    question = scene.start(heads=(head,))
    wrong = Ranges(question.session, True, b"\x01", (Range(END, None),))
    assert scene.sync.on_answer(0, "a", wrong)
    assert scene.offences == [("a", Offence.UNASKED)]
    assert scene.gets() == [("a", (head.id,))]
    assert not scene.sync.start(BACK_OFF_MS - 1, "a", (head,))


def test_session_ends_with_its_peer():
    scene = Scene(hangs_up=True)
    question = scene.start()
    wrong = Ranges(question.session, True, b"\x01", (Range(END, None),))
    assert scene.sync.on_answer(0, "a", wrong)
    assert scene.gets() == []
    assert scene.sync.next_deadline() is None


def test_silence_ends_a_session_and_the_heads_are_fetched():
    scene = Scene()
    head = scene.unknown()
    scene.start(heads=(head,))
    scene.sync.tick(ANSWER_MS - 1)
    assert scene.sync.next_deadline() == ANSWER_MS
    scene.sync.tick(ANSWER_MS)
    assert scene.sync.next_deadline() is None
    assert scene.gets(ANSWER_MS) == [("a", (head.id,))]
    assert scene.offences == []


def test_what_was_named_and_twice_not_served_is_charged_and_waits_a_minute():
    scene = Scene()
    scene.sync.on_unserved(0, "a")
    scene.sync.on_unserved(0, "a")
    assert scene.offences == []
    question = scene.start()
    answerer = Answerer(Shelf([scene.unknown()]))
    assert scene.sync.on_answer(0, "a", answerer.ask(question))
    scene.sync.on_unserved(10, "a")
    assert scene.offences == []
    scene.sync.on_unserved(20, "a")
    assert scene.offences == [("a", Offence.NOT_SERVED)]
    assert not scene.sync.start(BACK_OFF_MS + 19, "a", ())
    assert scene.sync.start(BACK_OFF_MS + 20, "a", ())


def test_equal_stores_settle_what_was_not_served():
    scene = Scene()
    scene.end(scene.start())
    scene.sync.on_unserved(0, "a")
    scene.sync.note_equal("a")
    scene.sync.on_unserved(0, "a")
    assert scene.offences == []


@pytest.mark.parametrize("number", [0, 1])
def test_partners_are_bounded(number):
    scene = Scene(layers=200)
    for other in range(PARTNERS_MAX + 1):
        scene.sync.note_equal(str(other))
    question = scene.start(peer=str(number), heads=(scene.unknown(10_000),))
    assert (question.lower == START) is (number == 0)
