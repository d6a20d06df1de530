"""Wanted vertices are asked of one holder after the other, in bounded requests."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dag.errors import Offence
from dag.outcomes import Quarantined
from dag.ranges import cut_ref
from dag.types import Ref
from meshnode.core.fetching import DEPTH_MAX, SESSION_DEPTH_MAX
from tests.support.dag_builder import DagBuilder
from tests.support.fetch_bench import Bench, ids


def test_wanted_ids_are_asked_when_due():
    bench = Bench()
    bench.fetching.want("a", ids(2), 400)
    bench.fetching.tick(399)
    assert bench.gets() == []
    assert bench.fetching.next_deadline() == 400
    bench.fetching.tick(400)
    assert bench.gets() == [("a", tuple(ids(2)))]
    assert bench.requests.next_deadline() == 2_400


def test_what_has_come_meanwhile_is_not_asked_for():
    bench = Bench()
    bench.fetching.want("a", ids(2), 400)
    bench.stored.update(dict.fromkeys(ids(2)))
    bench.fetching.tick(400)
    assert bench.gets() == []
    assert len(bench.fetching) == 0


def test_earlier_need_moves_the_time_forward():
    bench = Bench()
    bench.fetching.want("a", ids(1), 400)
    bench.fetching.want("a", ids(1), 600)
    bench.fetching.want("b", ids(1), 0)
    bench.fetching.tick(0)
    assert bench.gets() == [("a", tuple(ids(1)))]
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.tick(400)
    assert bench.gets() == []


def test_next_holder_is_asked_after_silence_and_then_nobody():
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.want("b", ids(1), 0)
    bench.fetching.tick(0)
    bench.requests.tick(1_999)
    assert bench.gets() == [("a", tuple(ids(1)))]
    bench.requests.tick(2_000)
    assert bench.gets() == [("b", tuple(ids(1)))]
    bench.requests.tick(4_000)
    assert bench.gets() == []
    assert len(bench.fetching) == 0
    assert bench.offences == []


def test_holder_that_does_not_hold_is_charged_and_the_next_asked():
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.want("b", ids(1), 0)
    bench.fetching.tick(0)
    bench.gets()
    bench.answer(5, "a", missing=tuple(ids(1)))
    assert bench.offences == [("a", Offence.NOT_SERVED)]
    assert bench.gets() == [("b", tuple(ids(1)))]


def test_answers_in_parts_extend_the_deadline():
    vertices = DagBuilder(authors=2).profiles().vertices
    bench = Bench()
    bench.fetching.want("a", [signed.id for signed in vertices], 0)
    bench.fetching.tick(0)
    bench.gets()
    bench.answer(1_500, "a", vertices[0], last=False)
    bench.requests.tick(3_000)
    unwanted = DagBuilder(authors=3).profiles().vertices[2]
    bench.answer(3_000, "a", vertices[1], unwanted)
    assert len(bench.fetching) == 0
    assert bench.offences == []
    assert bench.requests.next_deadline() is None


def test_requests_are_bounded_in_size_and_number():
    bench = Bench(gets_per_peer_max=2, walk_ids_max=150)
    bench.fetching.want("a", ids(500), 0)
    assert len(bench.fetching) == 150
    bench.fetching.tick(0)
    assert [len(asked) for _, asked in bench.gets()] == [64, 64]
    bench.answer(1, "a", missing=())
    assert [len(asked) for _, asked in bench.gets()] == [22]


def test_ids_of_one_peer_do_not_keep_anothers_from_being_fetched():
    bench = Bench(walk_ids_per_peer_max=64)
    bench.fetching.want("a", ids(65), 0)
    bench.fetching.want("b", ids(1, 100), 0)
    bench.fetching.want("a", [*ids(1, 200), *ids(1, 100)], 0)
    bench.fetching.tick(0)
    assert bench.gets() == [("a", tuple(ids(64))), ("b", tuple(ids(1, 100)))]
    bench.answer(1, "b", missing=tuple(ids(1, 100)))
    assert bench.gets() == [("a", tuple(ids(1, 100)))]
    bench.requests.tick(2_001)
    assert len(bench.fetching) == 0
    bench.fetching.want("a", ids(1, 200), 2_001)
    assert len(bench.fetching) == 1


def test_holders_are_bounded():
    bench = Bench()
    for number in range(10):
        bench.fetching.want(f"p{number}", ids(1), 0)
    asked = []
    for step in range(10):
        bench.fetching.tick(step * 2_000)
        bench.requests.tick(step * 2_000)
        asked += [peer for peer, _ in bench.gets()]
    assert asked == ["p0", "p1", "p2", "p3"]


def test_peer_that_goes_leaves_its_ids_to_the_next_holder():
    bench = Bench(gets_per_peer_max=1)
    bench.fetching.want("a", ids(100), 0)
    bench.fetching.want("b", ids(1, 80), 0)
    bench.fetching.want("b", ids(1, 3), 0)
    bench.fetching.tick(0)
    assert len(bench.gets()) == 1
    bench.fetching.want("c", ids(1, 200), 400)
    bench.fetching.want("a", ids(1, 200), 400)
    bench.fetching.drop_peer("a")
    bench.requests.drop_peer(10, "a")
    assert [(peer, len(asked)) for peer, asked in bench.gets()] == [("b", 2)]
    bench.fetching.drop_peer("nobody")
    bench.requests.drop_peer(10, "nobody")


def test_queued_ids_that_come_otherwise_are_dropped_from_the_queue():
    vertices = DagBuilder(authors=4).profiles().layer().vertices
    wanted = [signed.id for signed in vertices]
    bench = Bench(gets_per_peer_max=1)
    bench.fetching.want("a", ids(64), 0)
    bench.fetching.want("a", wanted, 0)
    bench.fetching.tick(0)
    ((_, asked),) = bench.gets()
    number = bench.last
    bench.stored.update(dict.fromkeys(wanted))
    bench.fetching.drop_peer("b")
    bench.answer(1, "a", number=number, missing=())
    assert len(asked) == 64
    assert all(vertex_id in ids(64) for _, again in bench.gets() for vertex_id in again)


def test_vertices_that_another_peer_brought_are_not_asked_again():
    vertices = DagBuilder(authors=2).profiles().vertices
    first, second = (signed.id for signed in vertices)
    bench = Bench(gets_per_peer_max=1)
    bench.fetching.want("a", [first, *ids(63), second], 0)
    bench.fetching.want("b", ids(1, 100), 0)
    bench.fetching.tick(0)
    assert {peer: len(asked) for peer, asked in bench.gets()} == {"a": 64, "b": 1}
    bench.answer(1, "b", *vertices)
    bench.fetching.drop_peer("a")
    bench.requests.drop_peer(2, "a")
    assert bench.gets() == []
    assert len(bench.fetching) == 0


def test_another_holder_is_asked_before_the_first_has_run_out_of_time():
    bench = Bench()
    bench.fetching.want("a", ids(1), 400, again_ms=200)
    bench.fetching.want("b", ids(1), 400, again_ms=200)
    bench.fetching.tick(400)
    bench.fetching.tick(599)
    assert [get[0] for get in bench.gets()] == ["a"]
    assert bench.fetching.next_deadline() == 600
    bench.fetching.tick(600)
    assert [get[0] for get in bench.gets()] == ["b"]
    bench.fetching.tick(800)
    bench.fetching.want("c", ids(1), 0)
    bench.fetching.tick(1_000)
    assert [get[0] for get in bench.gets()] == ["c"]
    bench.stored.update(dict.fromkeys(ids(1)))
    bench.fetching.want("d", ids(1), 0)
    bench.fetching.tick(1_200)
    assert not bench.gets()
    assert len(bench.fetching) == 0


def test_peer_that_does_not_answer_in_time_is_named():
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.tick(0)
    bench.requests.tick(2_000)
    assert bench.unserved == ["a"]


def test_vertex_that_was_named_by_a_cut_reference_has_a_second_source():
    builder = DagBuilder(authors=2).profiles()
    signed = builder.vertices[0]
    name = cut_ref(signed.ref)
    bench = Bench()
    bench.fetching.want("a", [name], 0)
    bench.fetching.want("b", [name], 0)
    bench.fetching.tick(0)
    assert bench.gets() == [("a", (name,))]
    bench.requests.tick(2_000)
    assert bench.unserved == ["a"]
    assert bench.gets() == [("b", (name,))]
    assert bench.fetching.get_name(signed.ref) == name
    bench.answer(2_010, "b", signed)
    assert len(bench.fetching) == 0
    assert bench.unserved == ["a"]
    assert bench.requests.next_deadline() is None
    assert bench.fetching.get_name(signed.ref) == signed.id


def test_cut_references_are_asked_for_parents_first():
    builder = DagBuilder(authors=3).profiles().layer().layer()
    names = [cut_ref(signed.ref) for signed in builder.vertices]
    bench = Bench()
    bench.fetching.want("a", reversed(names), 0)
    bench.fetching.tick(0)
    assert bench.gets() == [("a", tuple(sorted(names)))]


def test_what_still_waits_in_the_queue_of_a_busy_peer_goes_to_the_next():
    bench = Bench(gets_per_peer_max=1)
    first, second = ids(2)
    bench.fetching.want("a", [first], 0)
    bench.fetching.tick(0)
    assert bench.gets() == [("a", (first,))]
    bench.fetching.want("a", [second], 0, again_ms=300)
    bench.fetching.want("b", [second], 0)
    bench.fetching.tick(0)
    assert bench.gets() == []
    bench.fetching.tick(300)
    assert bench.gets() == [("b", (second,))]


def follow(bench: Bench, generations: int, *, member: bytes | None = None) -> int:
    """Walk along made up parents; answers how many were asked for, one at a time."""
    refs = [
        Ref(generations - number, bytes([1, *number.to_bytes(2), *bytes(29)]))
        for number in range(generations)
    ]
    for number, (child, parent) in enumerate(pairwise(refs)):
        waiting = Quarantined((parent,), member)
        bench.fetching.walk_on(400 * bool(number), "a", child, waiting, patience_ms=400)
        bench.fetching.tick(400)
        if bench.gets() != [("a", (parent.id,))]:
            return number
    return generations


@pytest.mark.parametrize(
    ("member", "depth"), [(None, 1 + DEPTH_MAX), (bytes(32), 1 + SESSION_DEPTH_MAX)]
)
def test_walk_along_parents_ends_at_its_depth(member, depth):
    assert (
        follow(
            Bench(gets_per_peer_max=1 << 20, walk_ids_per_peer_max=1 << 20),
            depth + 9,
            member=member,
        )
        == depth
    )


def test_walk_goes_deeper_below_what_a_session_wants():
    bench = Bench()
    child, parent = Ref(2, bytes([2] * 32)), Ref(1, bytes([1] * 32))
    bench.fetching.want("a", [child.id], 0, depth=0)
    bench.fetching.tick(0)
    bench.gets()
    bench.fetching.walk_on(0, "a", child, Quarantined((parent,)), patience_ms=400)
    assert len(bench.fetching) == 1
    bench.fetching.want("a", [child.id], 0, depth=1)
    bench.fetching.walk_on(0, "a", child, Quarantined((parent,)), patience_ms=400)
    bench.fetching.tick(0)
    assert bench.gets() == [("a", (parent.id,))]
