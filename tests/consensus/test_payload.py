"""Lane-0 vertices: once, topologically, above their own horizon."""

from __future__ import annotations

from consensus.payload import PayloadOrder
from dag.index import Index
from dag.types import COUNTER_MAX, Ref
from tests.support.dag_builder import DagBuilder

LEADER = b"l" * 32


def index_of(builder: DagBuilder) -> Index:
    index = Index()
    for signed in builder.vertices:
        index.add(signed)
    return index


def test_heads_bring_everything_below_them_in_topological_order():
    builder = DagBuilder(4).profiles().layer().layer()
    order = PayloadOrder(index_of(builder), gc_commits=10)
    out = order.commit(LEADER, tuple(builder.heads))
    assert sorted(out) == sorted(signed.ref for signed in builder.vertices)
    assert [ref.lamport for ref in out] == sorted(ref.lamport for ref in out)
    assert order.commit(LEADER, tuple(builder.heads)) == ()


def test_place_among_equals_depends_on_the_leader():
    builder = DagBuilder(4).profiles()
    heads = tuple(builder.heads)
    index = index_of(builder)
    places = [PayloadOrder(index, gc_commits=9).commit(bytes([i]) * 32, heads) for i in range(9)]
    assert len(dict.fromkeys(places)) > 1


def test_what_falls_below_the_horizon_is_never_put_out():
    builder = DagBuilder(3).profiles()
    straggler, *others = builder.heads
    builder.layer().layer()
    order = PayloadOrder(index_of(builder), gc_commits=1)
    assert order.commit(LEADER, tuple(others)) == tuple(
        sorted(others, key=PayloadOrder(Index(), gc_commits=1).commit(LEADER, tuple(others)).index)
    )
    assert order.horizon == 0
    order.commit(LEADER, ())
    assert order.horizon == 1
    assert straggler not in order.commit(LEADER, (straggler,))
    assert len(order.commit(LEADER, tuple(builder.heads))) == 6


def test_head_that_is_not_held_is_put_out_alone():
    unknown = Ref(4, b"u" * 32)
    assert PayloadOrder(Index(), gc_commits=1).commit(LEADER, (unknown,)) == (unknown,)


def put_out(order: PayloadOrder, *lamports: int) -> None:
    """One commit for each lamport, with one vertex of it."""
    for lamport in lamports:
        order.commit(LEADER, (Ref(lamport, lamport.to_bytes(32, "big")),))


def test_lamports_far_apart_cost_no_more_than_near_ones():
    order = PayloadOrder(Index(), gc_commits=2)
    put_out(order, 1, 2**52, 2**62, COUNTER_MAX, COUNTER_MAX - 1)
    assert order.horizon == 2**62
    assert len(order.freeze().seen) == 2
    order.commit(LEADER, ())
    assert order.horizon == COUNTER_MAX
    assert order.freeze().seen == ()


def test_smaller_depth_raises_the_horizon_at_once():
    order = PayloadOrder(Index(), gc_commits=4)
    put_out(order, 1, 2, 3, 4, 5)
    assert order.horizon == 1
    order.set_gc_commits(2)
    assert order.horizon == 3
    assert [lamport for lamport, _ in order.freeze().seen] == [4, 5]
    put_out(order, 6)
    assert order.horizon == 4


def test_larger_depth_holds_the_horizon_until_it_is_that_deep():
    order = PayloadOrder(Index(), gc_commits=2)
    put_out(order, 1, 2, 3)
    assert order.horizon == 1
    order.set_gc_commits(4)
    put_out(order, 4, 5)
    assert order.horizon == 1
    put_out(order, 6)
    assert order.horizon == 2


def test_order_of_payload_goes_on_from_a_state():
    whole = PayloadOrder(Index(), gc_commits=9)
    put_out(whole, 3, 1, 2)
    whole.set_gc_commits(2)
    state = whole.freeze()
    again = PayloadOrder(Index(), gc_commits=77, start=state)
    assert again.freeze() == state
    for order in (whole, again):
        put_out(order, 4, 5)
    assert again.freeze() == whole.freeze()
    assert again.commit(LEADER, (Ref(4, (4).to_bytes(32, "big")),)) == ()


def test_vertex_is_settled_once_put_out_or_below_the_horizon():
    order = PayloadOrder(Index(), gc_commits=1)
    put_out(order, 4)
    assert order.is_settled(Ref(4, (4).to_bytes(32, "big")))
    late = Ref(4, b"l" * 32)
    assert not order.is_settled(late)
    put_out(order, 5)
    assert order.is_settled(late)
