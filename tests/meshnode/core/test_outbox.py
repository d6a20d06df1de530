"""Effects leave in order; every receipt finds who waits for it."""

from __future__ import annotations

import pytest

from meshnode.core.effects import Dial, Emit, RunJob, SendStored, SignVertex
from meshnode.core.events import Alone
from meshnode.core.inputs import DialEnded, Signed
from meshnode.core.messages import Ping
from meshnode.core.outbox import Outbox


def test_effects_are_taken_once_in_order():
    outbox = Outbox()
    outbox.emit(Alone(()))
    outbox.send((), Ping(1))
    outbox.send_stored("a", 1, ())
    assert outbox.take() == [Emit(Alone(())), SendStored("a", 1, ())]
    assert outbox.take() == []


def test_receipts_reach_who_asked_and_only_once():
    outbox = Outbox()
    seen = []
    outbox.run(SignVertex(b"x"), lambda now_ms, outcome: seen.append((now_ms, outcome)))
    outbox.dial("a", ("/a",), lambda now_ms, outcome: seen.append((now_ms, outcome)))
    assert outbox.take() == [RunJob(1, SignVertex(b"x")), Dial(2, "a", ("/a",))]
    outbox.complete(5, 2, DialEnded("no"))
    outbox.complete(6, 1, Signed(b"s"))
    assert seen == [(5, DialEnded("no")), (6, Signed(b"s"))]
    with pytest.raises(AssertionError):
        outbox.complete(7, 1, Signed(b"s"))
