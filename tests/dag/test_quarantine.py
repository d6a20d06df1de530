"""The quarantine: bounded whatever arrives, with a part no flood can take."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dag.quarantine import SOURCES_MAX, Quarantine, QuarantineLimits, Waiting
from dag.types import Ref
from tests.support.dag_builder import DagBuilder

TEMPLATE = DagBuilder(1).profiles().layer().vertices[-1]
LIMITS = QuarantineLimits(
    peer_count_max=4,
    peer_bytes_max=4_000,
    author_count_max=6,
    count_max=10,
    bytes_max=8_000,
    member_count_max=5,
    member_bytes_max=5_000,
    reserved_count_max=8,
    reserved_bytes_max=6_000,
    ttl_ms=100,
)


def vertex_id(number):
    return number.to_bytes(32, "big")


def make_waiting(
    number,
    missing=(),
    *,
    source="peer",
    author=1,
    size=100,
    deadline_ms=100,
    member=None,
    lamport=None,
):
    lamport = number if lamport is None else lamport
    vertex = msgspec.structs.replace(TEMPLATE.vertex, author=vertex_id(author), lamport=lamport)
    signed = msgspec.structs.replace(
        TEMPLATE, id=vertex_id(number), vertex=vertex, wire=bytes(size)
    )
    refs = [Ref(1, vertex_id(parent)) for parent in missing]
    return Waiting(signed, source, refs, deadline_ms, member)


def ids(entries):
    return [int.from_bytes(waiting.id, "big") for waiting in entries]


def test_waiting_is_found_by_id_and_by_what_it_waits_for():
    quarantine = Quarantine(LIMITS)
    assert quarantine.next_deadline is None
    assert quarantine.add(make_waiting(1, [7, 8]))
    assert quarantine.add(make_waiting(2, [7]))
    assert vertex_id(1) in quarantine
    assert quarantine.get(vertex_id(3)) is None
    assert ids(quarantine.get_waiters(vertex_id(7))) == [1, 2]
    assert quarantine.is_awaited(vertex_id(8))
    assert not quarantine.is_awaited(vertex_id(9))
    assert (len(quarantine), quarantine.size_bytes, quarantine.reserved_count) == (2, 200, 0)
    assert ids(quarantine.resolve(vertex_id(7))) == [1, 2]
    assert [list(waiting.missing) for waiting in quarantine.collect()] == [[vertex_id(8)], []]
    assert quarantine.resolve(vertex_id(9)) == ()
    quarantine.remove(vertex_id(1))
    assert not quarantine.is_awaited(vertex_id(8))
    assert ids(quarantine.collect()) == [2]


def test_descendants_are_found_however_deep():
    quarantine = Quarantine(LIMITS)
    for number, missing in ((2, [1]), (3, [1, 2]), (4, [3])):
        quarantine.add(make_waiting(number, missing))
    assert ids(quarantine.collect_descendants(vertex_id(1))) == [2, 3, 4]
    assert quarantine.collect_descendants(vertex_id(4)) == ()


def test_sources_are_remembered_within_a_bound():
    waiting = make_waiting(1)
    for number in range(20):
        waiting.add_source(f"peer-{number}")
        waiting.add_source("peer")
    assert len(waiting.sources) == SOURCES_MAX
    assert waiting.sources[0] == "peer"


def test_highest_of_a_peer_goes_when_it_holds_too_many_or_too_much():
    quarantine = Quarantine(LIMITS)
    for number in range(5):
        assert quarantine.add(make_waiting(number, [99], author=number)) == (number < 4)
    assert ids(quarantine.collect()) == [0, 1, 2, 3]
    quarantine.add(make_waiting(9, [99], author=9, size=3_800, lamport=0))
    assert ids(quarantine.collect()) == [0, 1, 9]


def test_highest_of_an_author_goes_when_it_has_too_many():
    quarantine = Quarantine(LIMITS)
    for number in (5, 9, 4, 3, 2, 1, 0, 7):
        quarantine.add(make_waiting(number, [99], source=f"peer-{number}"))
    assert ids(quarantine.collect()) == [5, 4, 3, 2, 1, 0]


def test_highest_of_the_largest_goes_when_all_hold_too_much():
    quarantine = Quarantine(LIMITS)
    quarantine.add(make_waiting(1, [99], source="small", author=1))
    for number in range(2, 5):
        quarantine.add(make_waiting(number, [99], source="large", author=number, size=1_300))
    for number in range(5, 8):
        quarantine.add(make_waiting(number, [99], source="other", author=number, size=1_290))
    assert ids(quarantine.collect()) == [1, 2, 3, 4, 5, 6, 7]
    quarantine.add(make_waiting(8, [99], source="late", author=8, size=200))
    assert ids(quarantine.collect()) == [1, 2, 3, 5, 6, 7, 8]


def test_too_large_newcomer_does_not_stay():
    quarantine = Quarantine(msgspec.structs.replace(LIMITS, peer_bytes_max=10))
    assert not quarantine.add(make_waiting(1, [99]))
    assert len(quarantine) == 0


def test_members_part_stands_apart_and_is_bounded_itself():
    quarantine = Quarantine(LIMITS)
    for number in range(6):
        quarantine.add(make_waiting(number, [99], member=b"a"))
    assert ids(quarantine.collect()) == [0, 1, 2, 3, 4]
    for number in range(10, 15):
        quarantine.add(make_waiting(number, [99], member=b"b", size=90))
    assert quarantine.reserved_count == 8
    for number in range(20, 40):
        quarantine.add(make_waiting(number, [99], author=number))
    assert quarantine.reserved_count == 8
    assert quarantine.find_member(vertex_id(99)) == b"a"


def test_waiting_ancestors_of_a_members_block_move_to_its_part():
    quarantine = Quarantine(LIMITS)
    quarantine.add(make_waiting(1, [50]))
    quarantine.add(make_waiting(2, [1]))
    quarantine.add(make_waiting(3, [2]))
    assert quarantine.find_member(vertex_id(50)) is None
    quarantine.add(make_waiting(9, [2, 51], member=b"m"))
    assert quarantine.reserved_count == 3
    assert quarantine.find_member(vertex_id(50)) == b"m"
    assert quarantine.find_member(vertex_id(3)) is None
    assert [waiting.member for waiting in quarantine.get_waiters(vertex_id(2))] == [None, b"m"]
    assert quarantine.find_member(vertex_id(2)) == b"m"
    quarantine.remove(vertex_id(2))
    assert (quarantine.reserved_count, len(quarantine)) == (2, 3)


def test_what_waits_too_long_goes():
    quarantine = Quarantine(LIMITS)
    for number in range(3):
        quarantine.add(make_waiting(number, [99], deadline_ms=100 + number))
    assert quarantine.next_deadline == 100
    assert quarantine.expire(99) == 0
    assert quarantine.expire(101) == 2
    assert ids(quarantine.collect()) == [2]
    assert quarantine.expire(500) == 1
    assert quarantine.next_deadline is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.lists(st.integers(0, 30), max_size=3),
            st.sampled_from(["a", "b", "c"]),
            st.integers(0, 4),
            st.integers(10, 2_000),
            st.sampled_from([None, None, b"m", b"n"]),
            st.sampled_from(["add", "add", "add", "remove", "resolve", "expire"]),
        ),
        max_size=60,
    )
)
def test_bounds_and_books_hold_under_any_flood(steps):
    quarantine = Quarantine(LIMITS)
    for now, (number, missing, source, author, size, member, action) in enumerate(steps):
        if action == "add" and vertex_id(number) not in quarantine:
            quarantine.add(
                make_waiting(
                    number,
                    [parent for parent in missing if parent < number],
                    source=source,
                    author=author,
                    size=size,
                    deadline_ms=now + 20,
                    member=member,
                )
            )
        elif action == "remove" and vertex_id(number) in quarantine:
            quarantine.remove(vertex_id(number))
        elif action == "resolve":
            quarantine.resolve(vertex_id(number))
        elif action == "expire":
            quarantine.expire(now)
        entries = quarantine.collect()
        ordinary = [waiting for waiting in entries if waiting.member is None]
        reserved = [waiting for waiting in entries if waiting.member is not None]
        assert len(ordinary) <= LIMITS.count_max
        assert len(reserved) <= LIMITS.reserved_count_max
        assert sum(waiting.size_bytes for waiting in ordinary) <= LIMITS.bytes_max
        assert sum(waiting.size_bytes for waiting in reserved) <= LIMITS.reserved_bytes_max
        assert quarantine.size_bytes == sum(waiting.size_bytes for waiting in entries)
        assert quarantine.reserved_count == len(reserved)
        for waiting in entries:
            for parent in waiting.missing:
                assert waiting in quarantine.get_waiters(parent)
    quarantine.expire(10_000)
    assert (len(quarantine), quarantine.size_bytes) == (0, 0)
