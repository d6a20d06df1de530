"""What is left to be ordered, and whether any of it matters."""

from __future__ import annotations

from consensus.unordered import Unordered
from dag.types import Ref
from tests.support.lattice import make_block

PAYLOAD = (Ref(1, bytes(32)),)


def test_committed_history_is_taken_out_once():
    low = [make_block(author, 1, payload=PAYLOAD) for author in range(2)]
    top = make_block(0, 2, low)
    late = make_block(2, 1, payload=PAYLOAD)
    unordered = Unordered()
    for block in (*low, late, top):
        unordered.add(block)
    assert (len(unordered), unordered.carriers) == (4, 3)
    unordered.take_history(top.id)
    unordered.take_history(top.id)
    assert (len(unordered), unordered.carriers) == (1, 1)


def test_what_falls_below_the_horizon_is_taken_out():
    unordered = Unordered()
    low, high = make_block(0, 1, payload=PAYLOAD), make_block(0, 2)
    unordered.add(low)
    unordered.add(high)
    unordered.take_history(low.id)
    unordered.drop_below(1)
    assert (len(unordered), unordered.carriers) == (1, 0)
    unordered.drop_below(2)
    assert len(unordered) == 0


def test_payload_of_what_is_still_to_be_ordered_below_some_blocks_is_collected():
    first, second, third = (Ref(1, bytes([n]) * 32) for n in range(3))
    low = [make_block(0, 1, payload=(first,)), make_block(1, 1, payload=(second,))]
    beside = make_block(2, 1, payload=(third,))
    top = [make_block(author, 2, low, payload=(first,)) for author in range(2)]
    unordered = Unordered()
    for block in (*low, beside, *top):
        unordered.add(block)
    assert sorted(unordered.collect_payload(top)) == [first, second]
    unordered.take_history(low[1].id)
    assert unordered.collect_payload(top) == (first,)
    assert unordered.collect_payload([]) == ()
    unordered.drop_below(2)
    assert unordered.collect_payload(top) == ()
