"""The hold: bounded, in order of time."""

from __future__ import annotations

import msgspec

from dag.hold import HELD_MAX, HeldVertex, Hold
from tests.support.dag_builder import DagBuilder

SIGNED = DagBuilder(1).profiles().vertices[0]


def make_held(number, until_ms):
    signed = msgspec.structs.replace(SIGNED, id=number.to_bytes(32, "big"))
    return HeldVertex(signed, "peer", until_ms)


def test_held_fall_due_in_order_of_time():
    hold = Hold()
    for number, until_ms in ((1, 30), (2, 10), (3, 20)):
        assert hold.add(make_held(number, until_ms))
    assert hold.next_deadline == 10
    assert hold.take_due(9) is None
    assert [hold.take_due(20), hold.take_due(20)] == [make_held(2, 10), make_held(3, 20)]
    assert hold.take_due(20) is None
    assert len(hold) == 1


def test_hold_is_bounded():
    hold = Hold()
    assert all(hold.add(make_held(number, 0)) for number in range(HELD_MAX))
    assert not hold.add(make_held(HELD_MAX, 0))


def test_held_can_be_removed_or_made_due():
    hold = Hold()
    held = make_held(1, 50)
    hold.add(held)
    hold.make_due(held.signed.id, 5)
    hold.make_due(bytes(32), 5)
    assert held.signed.id in hold
    assert hold.next_deadline == 5
    assert hold.get(held.signed.id) == make_held(1, 5)
    assert hold.remove(held.signed.id) == make_held(1, 5)
    assert hold.remove(held.signed.id) is None
    assert hold.next_deadline is None
