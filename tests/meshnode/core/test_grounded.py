"""A newcomer begins with what stands on something, and with nothing that stands on nobody."""

from __future__ import annotations

from msgspec.structs import replace as change

from dag.authors import AuthorRegistry
from dag.intake import Intake
from meshnode.core.grounded import list_groundless
from tests.support.dag_builder import START_MS, DagBuilder


def make():
    """A founder, its guest, the guest's guest, and what both guests said."""
    builder = DagBuilder(1).profiles()
    guest = builder.join(0)
    second = builder.join(guest)
    notes = [builder.vertex(guest), builder.vertex(second)]
    profiles = builder.vertices[1:3]
    return builder, profiles, notes


def test_guests_stand_on_who_invited_them_in_whatever_order_they_come():
    builder, profiles, notes = make()
    authors = AuthorRegistry(builder.genesis)
    assert authors.find_unknown_inviter(profiles[0].vertex) == builder.people[0].author
    vertices = [*notes, *reversed(profiles), builder.vertices[0]]
    assert list_groundless(vertices, authors) == []


def test_who_was_invited_by_somebody_unknown_is_left_out_with_all_it_said():
    builder, profiles, notes = make()
    authors = AuthorRegistry(builder.genesis)
    left = list_groundless([*notes, profiles[1], builder.vertices[0]], authors)
    assert left == [signed.id for signed in sorted((*notes, profiles[1]), key=lambda s: s.ref)]


def test_what_is_stored_already_is_stood_on():
    builder, profiles, notes = make()
    intake = Intake(builder.genesis)
    for signed in builder.vertices[:2]:
        intake.offer(START_MS, "", signed)
    assert list_groundless([notes[0], profiles[1], notes[1]], intake.authors) == []


def test_a_profile_beside_its_inviters_is_left_out():
    builder, profiles, _ = make()
    intake = Intake(builder.genesis)
    for signed in builder.vertices[:2]:
        intake.offer(START_MS, "", signed)
    guest = builder.people.index(
        next(p for p in builder.people if p.author == profiles[1].vertex.author)
    )
    vertex = change(profiles[1].vertex, parents=(), lamport=1)
    alone = builder.sign(guest, vertex)
    assert list_groundless([alone], intake.authors) == [alone.id]
