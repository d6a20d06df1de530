"""Intake: who enters, who waits, who is refused, and who answers for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dag.canonical import encode
from dag.errors import InvalidVertex, WrongNetwork
from dag.genesis import Parameters
from dag.identity import VerifiedVertex
from dag.intake import Intake
from dag.outcomes import (
    Admitted,
    BelowHorizon,
    Duplicate,
    Held,
    Quarantined,
    Refused,
    UnknownAuthor,
)
from dag.quarantine import QuarantineLimits
from dag.types import LANE_BLOCKS, Kind, Ref
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level
from tests.support.intake_steps import NOW, admitted, build_child, change, fill, offer


@pytest.fixture
def builder():
    return DagBuilder(3).profiles().layer()


def test_vertices_enter_in_order_and_count_once(builder):
    intake = Intake(builder.genesis)
    assert offer(intake, *builder.vertices) == [admitted(signed) for signed in builder.vertices]
    assert offer(intake, builder.vertices[-1]) == [Duplicate()]
    assert len(intake.index) == 6
    assert intake.heads.refs == tuple(builder.heads)
    assert intake.next_deadline is None


def test_vertex_waits_for_its_parents_and_brings_its_children(builder):
    intake = fill(builder)
    middle = builder.vertex(0)
    last = builder.vertex(1)
    assert offer(intake, last) == [Quarantined((middle.ref,))]
    assert offer(intake, last, source="other") == [Quarantined((middle.ref,))]
    assert [waiting.sources for waiting in intake.quarantine.collect()] == [("peer", "other")]
    assert intake.next_deadline == NOW + 30_000
    assert offer(intake, middle) == [admitted(middle, last)]
    assert len(intake.quarantine) == 0


def test_vertex_is_ripe_when_its_parents_are_here_and_its_time_has_come(builder):
    intake = fill(builder)
    middle = builder.vertex(0).vertex
    assert intake.is_ripe(NOW, middle)
    assert not intake.is_ripe(NOW, builder.vertex(1).vertex)
    assert not intake.is_ripe(0, msgspec.structs.replace(middle, time_ms=NOW))


def test_missing_names_only_what_nothing_here_holds(builder):
    intake = fill(builder)
    one = builder.vertex(0)
    two = builder.vertex(1)
    three = builder.vertex(2, parents=[one.ref, two.ref])
    assert offer(intake, two) == [Quarantined((one.ref,))]
    assert offer(intake, three) == [Quarantined((one.ref,))]
    assert offer(intake, one) == [admitted(one, two, three)]


def test_what_waited_too_long_is_let_go(builder):
    intake = fill(builder)
    builder.vertex(0)
    offer(intake, builder.vertex(1))
    assert intake.expire(NOW + 29_999) == ()
    assert len(intake.quarantine) == 1
    assert intake.expire(NOW + 30_000) == ()
    assert len(intake.quarantine) == 0


def test_full_quarantine_refuses(builder):
    intake = fill(builder, limits=QuarantineLimits(peer_bytes_max=10))
    builder.vertex(0)
    assert offer(intake, builder.vertex(1)) == [Refused("quarantine-full")]


def test_another_networks_vertex_is_refused(builder):
    other = DagBuilder(3, name="other").profiles()
    with pytest.raises(WrongNetwork):
        offer(Intake(builder.genesis), other.vertices[0])
    with pytest.raises(WrongNetwork):
        Intake(builder.genesis).restore(other.vertices[0])


def test_vertex_of_an_unknown_author_is_given_back(builder):
    intake = fill(builder)
    number = builder.join(0)
    profile, note = builder.last(number), builder.vertex(number)
    author = builder.people[number].author
    assert offer(intake, note) == [UnknownAuthor(author)]
    assert offer(intake, profile, note) == [admitted(profile), admitted(note)]
    inviters = [record.invited_by for record in intake.authors if record.id == author]
    assert inviters == [builder.people[0].author]


def remade(builder, author, **fields):
    """An author's next vertex with some fields changed after the fact, signed again."""
    signed = builder.vertex(author)
    vertex = change(signed.vertex, **fields)
    lamport = 1 + max((ref.lamport for ref in vertex.parents), default=0)
    return builder.sign(author, change(vertex, lamport=lamport))


def test_rules_that_need_parents_are_named(builder):
    intake = fill(builder)
    block = builder.block(0, builder.heads)
    offer(intake, block)
    own, other = builder.last(0), builder.last(1)
    third = builder.vertices[2]
    cases: dict[str, dict[str, Any]] = {
        "parent-lamport": {"parents": (own.ref, Ref(7, other.id))},
        "lane-reference": {"parents": (own.ref, block.ref)},
        "own-previous": {"parents": (other.ref,)},
    }
    for rule, fields in cases.items():
        with pytest.raises(InvalidVertex) as caught:
            offer(intake, remade(builder, 0, **fields))
        assert caught.value.rule == rule
    for parents, seq in (((third.ref,), 2), ((own.ref,), 5)):
        with pytest.raises(InvalidVertex, match="own-previous"):
            offer(intake, remade(builder, 0, parents=parents, seq=seq))
    assert intake.drain_rejected() == ()


def test_first_vertex_of_an_author_is_its_profile(builder):
    vertex = change(builder.vertices[0].vertex, kind=Kind.NOTE)
    signed = builder.sign(0, vertex)
    with pytest.raises(InvalidVertex, match="first-profile"):
        offer(Intake(builder.genesis), signed)
    with pytest.raises(InvalidVertex, match="first-profile"):
        Intake(builder.genesis).restore(signed)


def test_uninvited_author_is_refused(builder):
    intake = fill(builder)
    number = builder.join(0, profile=False)
    body = encode(builder.people[number].profile())
    with pytest.raises(InvalidVertex, match="invitation"):
        offer(intake, builder.vertex(number, kind=Kind.PROFILE, body=body))


def test_blocks_of_known_authors_enter_whatever_they_hold(builder):
    intake = fill(builder)
    odd = builder.vertex(1, kind=Kind.PROFILE, body=b"\xc1", lane=LANE_BLOCKS, parents=())
    block = builder.block(0, [*builder.heads, builder.vertices[0].ref], body=b"\x00")
    assert offer(intake, odd, block) == [admitted(odd), admitted(block)]


def test_invalid_vertex_takes_its_waiting_descendants_with_it(builder):
    intake = fill(builder)
    bad = remade(builder, 0, parents=(builder.last(1).ref,), seq=3)
    child = builder.sign(2, build_child(builder, 2, bad))
    grandchild = builder.sign(1, build_child(builder, 1, child))
    offer(intake, child, source="a")
    offer(intake, child, source="b")
    offer(intake, grandchild, source="c")
    with pytest.raises(InvalidVertex, match="own-previous"):
        offer(intake, bad)
    fallen = intake.drain_rejected()
    assert [(item.id, item.sources, item.error.rule) for item in fallen] == [
        (child.id, ("a", "b"), "invalid-ancestor"),
        (grandchild.id, ("c",), "invalid-ancestor"),
    ]
    assert len(intake.quarantine) == 0
    assert intake.drain_rejected() == ()


def test_waiting_vertex_that_turns_out_invalid_is_charged_to_its_sources(builder):
    intake = fill(builder)
    parent = builder.vertex(1)
    bad = builder.sign(0, change(build_child(builder, 0, parent), seq=9))
    child = builder.sign(2, build_child(builder, 2, bad))
    offer(intake, bad, source="a")
    offer(intake, child, source="b")
    assert offer(intake, parent) == [admitted(parent)]
    fallen = intake.drain_rejected()
    assert [(item.sources, item.error.rule) for item in fallen] == [
        (("b",), "invalid-ancestor"),
        (("a",), "own-previous"),
    ]


# --- far future ---------------------------------------------------------------------------------


def test_vertex_ahead_of_its_time_is_held_until_then(builder):
    intake = fill(builder)
    early = builder.vertex(0, time_ms=NOW + 300_000)
    due = NOW + 180_000
    assert offer(intake, early) == [Held(due)]
    assert offer(intake, early) == [Held(due)]
    assert (intake.held_count, intake.next_deadline) == (1, due)
    child = builder.vertex(1)
    assert offer(intake, child) == [Quarantined(())]
    assert intake.expire(due - 1) == ()
    assert intake.expire(due) == (admitted(early),)


def test_held_vertex_that_comes_again_when_it_is_due_enters_once(builder):
    intake = fill(builder)
    early = builder.vertex(0, time_ms=NOW + 300_000)
    due = NOW + 180_000
    offer(intake, early)
    assert offer(intake, early, now_ms=due) == [admitted(early)]
    assert (intake.held_count, intake.next_deadline) == (0, None)
    assert intake.expire(due) == ()


def test_held_vertex_that_comes_again_when_it_is_due_waits_once(builder):
    intake = fill(builder)
    parent = builder.vertex(1)
    early = builder.vertex(0, parents=[parent.ref], time_ms=NOW + 300_000)
    due = NOW + 180_000
    offer(intake, early)
    assert offer(intake, early, source="other", now_ms=due) == [Quarantined((parent.ref,))]
    assert intake.expire(due) == ()
    assert len(intake.quarantine) == 1
    assert offer(intake, parent, now_ms=due) == [admitted(parent, early)]


def test_vertex_too_far_ahead_or_one_too_many_is_dropped(builder):
    intake = fill(builder)
    far = builder.vertex(0, time_ms=NOW + 3_600_001)
    assert offer(intake, far) == [Refused("far-future")]
    for number in range(256):
        time_ms = NOW + 200_000 + number
        assert isinstance(offer(intake, builder.twin(far, time_ms=time_ms))[0], Held)
    assert offer(intake, builder.twin(far, time_ms=NOW + 200_999)) == [Refused("hold-full")]


def test_held_vertex_that_is_invalid_is_charged_when_its_time_comes(builder):
    intake = fill(builder)
    child = build_child(builder, 0, builder.last(1))
    bad = builder.sign(0, change(child, seq=9, time_ms=NOW + 130_000))
    offer(intake, bad, source="a")
    assert intake.expire(NOW + 10_000) == ()
    assert [item.sources for item in intake.drain_rejected()] == [("a",)]


def test_held_vertex_may_fall_below_the_horizon(builder):
    intake = fill(builder)
    early = builder.vertex(0, time_ms=NOW + 130_000)
    offer(intake, early)
    intake.advance_horizon(level(early.vertex.lamport))
    assert intake.expire(NOW + 10_000) == (BelowHorizon(),)


def test_members_block_needs_its_ancestors_now(builder):
    intake = fill(builder)
    early = builder.vertex(0, time_ms=NOW + 900_000)
    later = builder.vertex(1, time_ms=NOW + 900_000)
    block = builder.block(2, [early.ref, later.ref])
    assert isinstance(offer(intake, early)[0], Held)
    member = builder.people[2].author
    assert offer(intake, block) == [Quarantined((later.ref,), member)]
    assert intake.next_deadline == NOW
    assert intake.expire(NOW) == (admitted(early),)
    assert offer(intake, later) == [admitted(later, block)]


def test_far_future_ancestor_offered_after_the_block_enters_at_once(builder):
    intake = fill(builder)
    early = builder.vertex(0, time_ms=NOW + 900_000)
    block = builder.block(2, [early.ref])
    offer(intake, block)
    assert offer(intake, early) == [admitted(early, block)]


# --- the reserved part --------------------------------------------------------------------------


def test_ancestors_of_a_members_block_are_charged_to_it(builder):
    intake = fill(builder)
    one = builder.vertex(0)
    two = builder.vertex(1)
    block = builder.block(2, [two.ref])
    member = builder.people[2].author
    assert offer(intake, block) == [Quarantined((two.ref,), member)]
    assert offer(intake, two) == [Quarantined((one.ref,), member)]
    assert intake.quarantine.reserved_count == 2
    assert offer(intake, one) == [admitted(one, two, block)]


def test_flood_does_not_keep_a_members_block_from_completing(builder):
    intake = fill(builder)
    wanted = [builder.vertex(0), builder.vertex(1)]
    block = builder.block(2, [wanted[-1].ref])
    offer(intake, block, wanted[1])
    missing = Ref(50, bytes(32))
    for number in range(300):
        vertex = change(
            build_child(builder, 0, wanted[1]),
            parents=(wanted[0].ref, missing),
            lamport=51,
            seq=3,
            body=number.to_bytes(4, "big"),
        )
        offer(intake, builder.sign(0, vertex))
    assert len(intake.quarantine) == QuarantineLimits().author_count_max + 2
    assert offer(intake, wanted[0]) == [admitted(wanted[0], wanted[1], block)]


def test_blocks_of_others_have_no_reserved_part(builder):
    intake = fill(builder)
    intake.set_committee([])
    parent = builder.vertex(0)
    assert offer(intake, builder.block(2, [parent.ref])) == [Quarantined((parent.ref,))]
    assert intake.quarantine.reserved_count == 0


# --- horizon, restart ---------------------------------------------------------------------------


def test_horizon_lets_in_what_waited_for_older_and_drops_the_older(builder):
    intake = Intake(builder.genesis)
    profiles, notes = builder.vertices[:3], builder.vertices[3:]
    late = builder.vertex(0)
    offer(intake, *notes)
    assert len(intake.quarantine) == 3
    outcome = intake.advance_horizon(level(1))
    assert sorted(signed.ref for signed in outcome.vertices) == sorted(n.ref for n in notes)
    assert offer(intake, *profiles) == [admitted(profile) for profile in profiles]
    assert offer(intake, late) == [admitted(late)]


def test_first_profile_has_no_age_and_what_it_needs_is_named(builder):
    builder.join(0)
    number = builder.join(3)
    guest, second = builder.vertices[-2:]
    note = builder.vertex(number, parents=[builder.vertices[-3].ref])
    intake = Intake(builder.genesis)
    intake.advance_horizon(level(note.vertex.lamport - 1))
    inviter = builder.vertices[0].vertex.author
    assert offer(intake, note) == [UnknownAuthor(second.vertex.author)]
    assert offer(intake, second) == [UnknownAuthor(guest.vertex.author)]
    assert offer(intake, guest) == [UnknownAuthor(inviter)]
    first = builder.vertices[0]
    chain = (first, guest, second, note)
    assert offer(intake, *chain) == [admitted(signed) for signed in chain]
    twin = builder.sign(0, change(first.vertex, time_ms=first.vertex.time_ms + 1))
    assert offer(intake, twin) == [BelowHorizon()]


def test_first_profile_that_was_held_is_taken_in_whatever_the_horizon(builder):
    builder.join(0)
    guest = builder.vertices[-1]
    vertex = change(guest.vertex, time_ms=guest.vertex.time_ms + 400_000)
    late = builder.sign(3, vertex)
    note = builder.sign(0, change(build_child(builder, 0, builder.last(1)), time_ms=vertex.time_ms))
    intake = fill(DagBuilder(3).profiles().layer())
    for signed in (late, note):
        assert isinstance(offer(intake, signed)[0], Held)
    intake.advance_horizon(level(note.vertex.lamport))
    outcomes = intake.expire(vertex.time_ms)
    assert sorted(outcomes, key=repr) == [admitted(late), BelowHorizon()]


def test_first_profile_whose_inviter_fell_below_the_horizon_is_nobodys_offence(builder):
    builder.join(0)
    guest = builder.vertices[-1]
    inviter = builder.vertices[0]
    held = builder.sign(3, change(guest.vertex, time_ms=guest.vertex.time_ms + 400_000))
    intake = Intake(builder.genesis)
    assert isinstance(offer(intake, guest)[0], Quarantined)
    assert isinstance(offer(intake, held)[0], Held)
    assert intake.advance_horizon(level(2)) == admitted()
    assert len(intake.quarantine) == 0
    assert intake.expire(held.vertex.time_ms) == (UnknownAuthor(inviter.vertex.author),)
    assert intake.drain_rejected() == ()


def test_unreadable_invitation_names_no_inviter(builder):
    number = builder.join(0, profile=False)
    body = encode(builder.people[number].profile(b"nonsense"))
    parents = [builder.profile_ref(0)]
    unread = builder.vertex(number, kind=Kind.PROFILE, body=body, parents=parents)
    intake = Intake(builder.genesis)
    intake.advance_horizon(level(1))
    with pytest.raises(InvalidVertex, match="invitation"):
        offer(intake, unread)


def test_horizon_drops_waiting_vertices_below_it(builder):
    intake = Intake(builder.genesis)
    offer(intake, *builder.vertices[3:])
    later = builder.vertex(0)
    offer(intake, later)
    last = builder.vertex(1)
    beyond = builder.vertex(2)
    assert offer(intake, beyond) == [Quarantined((last.ref,))]
    assert intake.index.horizon == level(0)
    assert intake.advance_horizon(level(2)) == admitted(later)
    assert len(intake.quarantine) == 1
    assert offer(intake, last) == [admitted(last, beyond)]


def test_prune_forgets_and_refuses_what_it_forgot(builder):
    builder.layer().layer()
    intake = fill(builder)
    intake.advance_horizon(level(2))
    intake.pin(builder.vertices[3].id)
    assert sorted(intake.prune(level(2))) == sorted(signed.id for signed in builder.vertices[4:6])
    kept, forgotten = builder.vertices[:4], builder.vertices[4:6]
    assert offer(intake, *kept, *forgotten) == [Duplicate()] * 4 + [BelowHorizon()] * 2
    child = builder.vertex(0)
    assert offer(intake, child) == [admitted(child)]
    update = change(builder.people[1].profile(), addresses=("a",))
    later = builder.vertex(1, kind=Kind.PROFILE, body=encode(update))
    assert offer(intake, later) == [admitted(later)]


def test_prune_keeps_the_newest_profile_of_each_author(builder):
    for number in range(2):
        update = change(builder.people[0].profile(), name=f"name {number}")
        builder.vertex(0, kind=Kind.PROFILE, body=encode(update))
    older, newest = builder.vertices[-2:]
    for _ in range(3):
        builder.layer()
    intake = fill(builder)
    intake.advance_horizon(level(newest.vertex.lamport))
    forgotten = intake.prune(level(newest.vertex.lamport))
    assert older.id in forgotten
    assert newest.id not in forgotten
    assert newest.id in intake.index


def test_own_previous_below_the_horizon_cannot_be_checked_and_passes(builder):
    builder.layer()
    intake = Intake(builder.genesis)
    intake.advance_horizon(level(2))
    last = builder.vertices[-1]
    assert offer(intake, last) == [admitted(last)]


def test_store_is_restored_in_order_of_admission(builder):
    builder.fork(1)
    third = builder.add(builder.twin(builder.last(1), body=b"third"))
    builder.vertex(0, parents=[third.ref])
    intake = Intake(builder.genesis)
    for signed in builder.vertices:
        intake.restore(signed)
    assert intake.heads.refs == tuple(builder.heads)
    assert len(intake.forks) == 1
    for signed in (builder.vertices[-1], builder.sign(0, build_child(builder, 0, third))):
        orphan = Intake(builder.genesis)
        with pytest.raises(InvalidVertex, match="order"):
            orphan.restore(signed)
    with pytest.raises(InvalidVertex, match="order"):
        intake.restore(builder.vertices[0])


def test_restoring_an_author_nobody_introduced_fails(builder):
    number = builder.join(0)
    block = builder.vertex(number, kind=Kind.BLOCK, lane=LANE_BLOCKS, parents=())
    with pytest.raises(InvalidVertex, match="first-profile"):
        fill(DagBuilder(3).profiles()).restore(block)


def test_block_of_a_member_is_never_held_for_its_time():
    builder = DagBuilder(2).profiles()
    intake = fill(builder)
    intake.set_committee([builder.vertices[0].vertex.author])
    blocks = [
        builder.vertex(number, kind=Kind.BLOCK, lane=LANE_BLOCKS, parents=(), time_ms=NOW * 9)
        for number in (0, 1)
    ]
    assert intake.is_ripe(NOW, blocks[0].vertex)
    assert isinstance(offer(intake, blocks[0])[0], Admitted)
    assert offer(intake, blocks[1]) == [Refused("far-future")]


def test_future_hold_comes_from_the_genesis():
    builder = DagBuilder(1, parameters=Parameters(future_hold_ms=5)).profiles()
    intake = fill(builder)
    early = builder.vertex(0, time_ms=NOW + 6)
    assert offer(intake, early) == [Held(NOW + 1)]
    assert isinstance(early, VerifiedVertex)
