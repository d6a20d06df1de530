"""The order as applications are told of it."""

from __future__ import annotations

from meshnode.core.events import EpochBegan, OrderHalted, OrderResumed, Repeated
from meshnode.event_views import CommitteeChanged, OrderJoined, OrderStopped, VertexRepeated
from meshnode.node.order_presenting import show_order_event
from tests.support.dag_builder import DagBuilder


def test_what_happens_to_the_order_is_told_to_applications():
    note = DagBuilder(1).profiles().vertices[0]
    shown = [
        show_order_event(event)
        for event in (
            EpochBegan(3, 41),
            OrderHalted("round 3 commits both"),
            OrderResumed(12),
            Repeated(b"f" * 32, note),
        )
    ]
    assert shown == [
        CommitteeChanged(epoch=3, commit_index=41),
        OrderStopped(reason="round 3 commits both"),
        OrderJoined(commit_index=12),
        VertexRepeated(first="66" * 32, again=note.id.hex()),
    ]
