"""What a node's events tell of its work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dag.bodies import Result
from dag.canonical import encode
from dag.types import Kind
from meshnode.core.events import Committed, PeerLost, VertexAdmitted
from meshnode.shell import event_meter
from meshnode.shell.event_meter import EventMeter

OWN, OTHER = b"o" * 32, b"p" * 32


def make_result(requester=OWN):
    return encode(
        Result(
            request_digest=b"d" * 32,
            requester=requester,
            model="echo",
            model_revision="1",
            engine="echo",
            answer="hi",
            answer_digest=b"a" * 32,
            answer_bytes=2,
            finish_reason="stop",
            prompt_tokens=3,
            completion_tokens=5,
            queued_ms=1,
            first_token_ms=2,
            total_ms=240,
        )
    )


def admit(meter, number, *, now_ms=0, source="", lane=0, kind=Kind.NOTE, body=b""):
    vertex = SimpleNamespace(author=OWN, lane=lane, kind=kind, body=body)
    signed: Any = SimpleNamespace(id=bytes([number]) * 32, vertex=vertex)
    meter.note(VertexAdmitted(signed, source), now_ms)


def commit(meter, *numbers, said=None, now_ms=0):
    vertices = tuple(SimpleNamespace(id=bytes([number]) * 32) for number in numbers)
    said = len(numbers) if said is None else said
    step: Any = SimpleNamespace(vertices=vertices)
    meter.note(Committed(step, said), now_ms)


def test_own_answers_are_counted_by_model_and_asker():
    meter = EventMeter()
    admit(meter, 1, kind=Kind.RESULT, body=make_result())
    admit(meter, 2, kind=Kind.RESULT, body=make_result(OTHER))
    admit(meter, 3, kind=Kind.RESULT, body=make_result(), source="somebody")
    admit(meter, 4, kind=Kind.RESULT, body=b"not a result")
    work = meter.read()
    assert work.answers == [(("echo", "peer"), 1), (("echo", "self"), 1)]
    assert work.tokens == [(("echo", "in"), 6), (("echo", "out"), 10)]
    assert (work.answer_duration.counts[1], work.answer_duration.sum_ms) == (2, 480)


def test_own_words_are_timed_until_a_commit_puts_them_out():
    meter = EventMeter()
    commit(meter, 9)  # nothing of our own waits
    admit(meter, 1, now_ms=1_000)
    admit(meter, 2, now_ms=1_000, source="somebody")
    admit(meter, 3, now_ms=1_000, lane=1)
    admit(meter, 4, now_ms=1_000)
    commit(meter, 2, 1, 3, said=2, now_ms=1_090)
    commit(meter, 1, now_ms=5_000)  # it has its place already
    work = meter.read()
    assert (work.commits, work.ordered) == (3, 4)
    assert (work.commit_latency.counts[-1], work.commit_latency.sum_ms) == (1, 90)


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(event_meter, "PENDING_MAX", 2)
    meter = EventMeter()
    for number in (1, 2, 3):
        admit(meter, number)
    commit(meter, 1, 2, 3, now_ms=10)
    assert meter.read().commit_latency.counts[-1] == 2


def test_other_events_count_nothing():
    meter = EventMeter()
    meter.note(PeerLost("x", OTHER, "gone"), 0)
    assert meter.read() == EventMeter().read()
