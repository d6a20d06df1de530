"""Authors: what admits one, whose profile counts, and who forked."""

from __future__ import annotations

import msgspec
import pytest

from dag.authors import (
    AuthorRegistry,
    Fork,
    find_keys,
    is_first_profile,
    read_inviter,
)
from dag.bodies import SIGNED_INVITATION_DECODER
from dag.canonical import encode
from dag.errors import InvalidVertex, MalformedMessage
from dag.genesis import Parameters, Validator
from dag.types import Kind, Ref
from tests.support.dag_builder import DagBuilder, make_person


def change(record, **fields):
    return msgspec.structs.replace(record, **fields)


def admit(registry, signed):
    checked = registry.check_profile(signed.vertex)
    registry.admit_profile(signed.ref, signed.vertex, checked)


@pytest.fixture
def builder():
    return DagBuilder(2).profiles()


@pytest.fixture
def registry(builder):
    registry = AuthorRegistry(builder.genesis)
    for signed in builder.vertices:
        admit(registry, signed)
    return registry


def test_founders_are_known_from_the_genesis(builder):
    registry = AuthorRegistry(builder.genesis)
    person = builder.people[0]
    record = registry.get(person.author)
    assert record is not None
    assert len(registry) == 2
    assert [author.name for author in registry] == ["peer-0", "peer-1"]
    assert (record.founder, record.profiles, record.current_seq) == (True, (), -1)
    assert registry.get_keys(person.author) == person.keys
    assert registry.get_keys(bytes(32)) is None
    assert (registry.network, registry.suite) == (builder.network, "ed25519")


def test_genesis_with_unknown_validator_or_unsound_founder_is_refused(builder):
    stranger = Validator(make_person(9).author, 1)
    with pytest.raises(MalformedMessage):
        AuthorRegistry(change(builder.genesis, committee=(stranger,)))
    broken = change(builder.genesis.founders[0], libp2p_key=b"")
    with pytest.raises(InvalidVertex):
        AuthorRegistry(change(builder.genesis, founders=(broken,)))


def test_joiner_is_admitted_on_its_inviters_word(builder, registry):
    number = builder.join(1)
    signed = builder.last(number)
    admit(registry, signed)
    record = registry.get(builder.people[number].author)
    assert record.invited_by == builder.people[1].author
    assert (record.founder, record.profiles, record.name) == (False, (signed.ref,), "peer-2")


def profile_vertex(builder, number, *, invitation=b"", parents=None, body=None):
    profile = builder.people[number].profile(invitation)
    return builder.vertex(
        number,
        kind=Kind.PROFILE,
        body=encode(profile) if body is None else body,
        parents=[builder.profile_ref(0)] if parents is None else parents,
    ).vertex


def test_joiner_is_refused_with_the_rule_it_breaks(builder, registry):
    number = builder.join(0, profile=False)
    invitation = builder.invite(0, number)
    signed = SIGNED_INVITATION_DECODER.decode(invitation)
    stranger = DagBuilder(4).invite(3, 2)
    cases = [
        ("invitation", {"invitation": b""}),
        ("invitation", {"invitation": b"\x00"}),
        ("invitation", {"invitation": encode(change(signed, signature=bytes(64)))}),
        ("invitation", {"invitation": encode(change(signed, bearer_proof=b""))}),
        ("invitation-parent", {"invitation": invitation, "parents": [builder.profile_ref(1)]}),
        ("invitation-parent", {"invitation": stranger}),
        ("profile-body", {"body": b"\x00"}),
    ]
    for rule, fields in cases:
        vertex = profile_vertex(DagBuilderView(builder), number, **fields)
        with pytest.raises(InvalidVertex) as caught:
            registry.check_profile(vertex)
        assert caught.value.rule == rule, fields
    registry.check_profile(profile_vertex(DagBuilderView(builder), number, invitation=invitation))


class DagBuilderView:
    """Makes first vertices of one author again and again."""

    def __init__(self, builder):
        self._builder = builder
        self.people = builder.people
        self.profile_ref = builder.profile_ref

    def vertex(self, number, **fields):
        self._builder._last.pop((number, 0), None)
        return self._builder.vertex(number, **fields)


def test_open_network_asks_for_no_invitation_but_checks_one():
    builder = DagBuilder(1, parameters=Parameters(open=True)).profiles()
    registry = AuthorRegistry(builder.genesis)
    admit(registry, builder.vertices[0])
    number = builder.join(0, profile=False)
    view = DagBuilderView(builder)
    uninvited = profile_vertex(view, number)
    assert registry.check_profile(uninvited).invited_by == b""
    admit(registry, builder.last(number))
    assert registry.get(uninvited.author) is not None
    with pytest.raises(InvalidVertex):
        registry.check_profile(profile_vertex(view, number, invitation=b"\x00"))


def test_later_profile_replaces_addresses_but_no_signing_keys(builder, registry):
    person = builder.people[0]
    update = change(person.profile(), addresses=("a",), x25519_key=bytes(32))
    admit(registry, builder.vertex(0, kind=Kind.PROFILE, body=encode(update)))
    record = registry.get(person.author)
    assert (record.addresses, record.current_seq) == (("a",), 1)
    assert record.keys.x25519_key == bytes(32)
    assert record.profiles == (builder.vertices[0].ref,)
    stolen = change(update, ed25519_key=builder.people[1].keys.ed25519_key)
    with pytest.raises(InvalidVertex):
        registry.check_profile(builder.vertex(0, kind=Kind.PROFILE, body=encode(stolen)).vertex)


def test_forked_profiles_end_the_same_in_any_order(builder):
    first = builder.vertices[0]
    body = encode(change(builder.people[0].profile(), name="other"))
    twin = builder.twin(first, body=body)
    records = []
    for order in ((first, twin), (twin, first)):
        registry = AuthorRegistry(builder.genesis)
        for signed in order:
            admit(registry, signed)
        records.append(registry.get(first.vertex.author))
    assert records[0] is not None
    assert records[0] == records[1]
    assert records[0].profiles == tuple(sorted((first.ref, twin.ref)))


def test_first_fork_of_an_author_is_remembered(builder, registry):
    author = builder.people[0].author
    fork = Fork(author, 0, 3, Ref(4, bytes(32)), Ref(5, bytes(32)))
    assert not registry.is_forked(author)
    assert not registry.has_uncounted
    assert registry.mark_forked(fork)
    assert registry.has_uncounted
    assert not registry.mark_forked(change(fork, seq=4))
    assert not registry.mark_forked(change(fork, author=bytes(32)))
    assert registry.is_forked(author)
    assert not registry.is_forked(bytes(32))
    assert registry.forks == (fork,)
    assert registry.get(author).fork == fork


def test_who_is_out_is_avoided_and_neither_it_nor_newcomers_count(builder, registry):
    member, other = (person.author for person in builder.people)
    assert registry.avoided_count == 0
    registry.bar(other)
    assert registry.avoided_count == 1
    assert registry.is_barred(other)
    assert [registry.is_avoided(author) for author in (member, other)] == [False, True]
    assert [registry.is_uncounted(author) for author in (member, other)] == [False, True]
    counted = {other: None}
    registry.set_counted(counted)
    assert [registry.is_uncounted(author) for author in (member, other)] == [True, True]
    counted[member] = None
    assert registry.has_uncounted
    assert not registry.is_uncounted(member)


def test_authors_of_an_invitation_are_counted_and_named(builder, registry):
    number = builder.join(0)
    admit(registry, builder.last(number))
    invitation = registry.get(builder.people[number].author).invitation
    assert invitation.inviter == builder.people[0].author
    assert registry.count_invited(invitation.inviter, invitation.bearer_key) == 1
    assert registry.count_invited(invitation.inviter, bytes(32)) == 0


def test_keys_are_known_or_in_the_first_profile_itself(builder, registry):
    number = builder.join(0)
    person, first = builder.people[number], builder.last(number).vertex
    later = builder.vertex(number).vertex
    assert is_first_profile(first)
    assert not is_first_profile(later)
    assert find_keys(registry, "ed25519", first) == person.keys
    assert find_keys(registry, "ed25519", later) is None
    assert find_keys(registry, "ed25519", builder.vertices[0].vertex) == builder.people[0].keys
    with pytest.raises(InvalidVertex):
        find_keys(registry, "ed25519", change(first, author=bytes(32)))


def test_inviter_is_read_off_unverified(builder):
    number = builder.join(1, profile=False)
    assert read_inviter(builder.invite(1, number)) == builder.people[1].author


def test_founders_and_uninvited_authors_need_no_inviter():
    builder = DagBuilder(2).profiles()
    registry = AuthorRegistry(builder.genesis)
    assert registry.find_unknown_inviter(builder.vertices[0].vertex) is None
