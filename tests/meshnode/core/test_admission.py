"""Whatever bytes come: a checked message or a typed refusal, within limits."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dag.errors import (
    InvalidMessage,
    InvalidSignature,
    InvalidVertex,
    MalformedMessage,
    MessageTooLarge,
    Offence,
    WrongNetwork,
)
from dag.genesis import compute_network_id
from dag.intake import Intake
from dag.ranges import END
from dag.types import Ref
from dag.vertex import Envelope, decode_signed
from meshnode.core.admission import CREDENTIALS_REQUEST, FRAME_BYTES_MAX, Admission
from meshnode.core.inputs import Standing, Vertices
from meshnode.core.messages import (
    Advert,
    Credentials,
    Digest,
    Disconnect,
    Get,
    GetLast,
    GetProfiles,
    Goodbye,
    Graft,
    Heads,
    Hello,
    IHave,
    Items,
    ModelAdvert,
    Neighbour,
    Ping,
    Pong,
    Proof,
    Prune,
    Push,
    Range,
    Ranges,
    Shuffle,
    ShuffleReply,
    encode_message,
)
from tests.support.dag_builder import DagBuilder, make_genesis, make_person

ID = bytes(32)
CUT = bytes(24)
DIGEST = Digest(ID, 3, 2)
MODEL = ModelAdvert("m", "r", 4_096, False, "echo", "label")
BIG = 2**63


@pytest.fixture(scope="module")
def builder():
    return DagBuilder(authors=2).profiles().layer()


def make_admission(builder, *, stored=(), verify=True, genesis=None, spent=None):
    intake = Intake(genesis or builder.genesis)
    return Admission(
        builder.network,
        builder.suite,
        intake.authors,
        lambda i: i in stored,
        is_spent=lambda peer: peer == spent,
        verify=verify,
    )


GOOD = [
    Hello(1, ID, ID, ID, "agent", ("/a",)),
    Hello(1, ID, ID, ID, "agent", ("/a",), ID),
    Proof(bytes(64)),
    Goodbye("bye"),
    DIGEST,
    Ping(0),
    Pong(1, DIGEST, 5),
    IHave((ID,) * 512),
    Get(1, (ID,) * 64),
    Get(1, (ID, CUT)),
    GetProfiles(1, (ID,)),
    GetLast(1, ID),
    Heads((Ref(1, ID), Ref(2, ID)), DIGEST, True),
    Advert(1, (MODEL,) * 64, 1, 2, 3, False),
    Neighbour(True),
    Disconnect((ID,) * 8),
    Shuffle((ID,) * 8),
    ShuffleReply(()),
    Graft(),
    Prune(),
    Ranges(1, False, b"", ()),
    Ranges(1, False, b"a", (Range(b"b", bytes(16)), Range(b"c", None), Range(END, bytes(16)))),
    Ranges(1, True, b"", (Range(b"b", b""), Range(END, b"c" * 24 + b"d" * 24))),
    Ranges(1, True, b"c" * 24, (Range(b"d" * 24, b"c" * 24),)),
    Ranges(1, True, b"", tuple(Range(number.to_bytes(2, "big"), None) for number in range(2_048))),
]


@pytest.mark.parametrize("message", GOOD, ids=lambda m: type(m).__name__)
def test_message_within_limits_passes_unchanged(builder, message):
    assert make_admission(builder).check(encode_message(message)) == message


BAD = {
    "hello-network": (Hello(1, b"x", ID, ID, "a", ()), MalformedMessage),
    "hello-author": (Hello(1, ID, b"x", ID, "a", ()), MalformedMessage),
    "hello-nonce": (Hello(1, ID, ID, b"x", "a", ()), MalformedMessage),
    "hello-version": (Hello(-1, ID, ID, ID, "a", ()), MalformedMessage),
    "hello-expects": (Hello(1, ID, ID, ID, "a", (), b"x"), MalformedMessage),
    "hello-agent": (Hello(1, ID, ID, ID, "a" * 257, ()), MessageTooLarge),
    "hello-address": (Hello(1, ID, ID, ID, "a", ("a" * 257,)), MessageTooLarge),
    "hello-addresses": (Hello(1, ID, ID, ID, "a", ("a",) * 9), MessageTooLarge),
    "proof": (Proof(bytes(4_097)), MessageTooLarge),
    "goodbye": (Goodbye("x" * 257), MessageTooLarge),
    "digest": (Digest(b"", 0, 0), MalformedMessage),
    "digest-count": (Digest(ID, -1, 0), MalformedMessage),
    "ping": (Ping(-1), MalformedMessage),
    "pong": (Pong(BIG, DIGEST, 0), MalformedMessage),
    "pong-digest": (Pong(1, Digest(b"", 0, 0), 0), MalformedMessage),
    "ihave": (IHave((ID,) * 513), MessageTooLarge),
    "ihave-id": (IHave((b"x",)), MalformedMessage),
    "get": (Get(1, (ID,) * 65), MessageTooLarge),
    "get-request": (Get(-1, ()), MalformedMessage),
    "get-profiles": (GetProfiles(1, (b"",)), MalformedMessage),
    "get-last": (GetLast(1, b""), MalformedMessage),
    "items-request": (Items(0, (), (), 0, True), MalformedMessage),
    "items-missing": (Items(1, (), (b"",), 0, True), MalformedMessage),
    "items-pruned": (Items(1, (), (), -1, True), MalformedMessage),
    "heads": (Heads((Ref(1, ID),) * 65, DIGEST, True), MessageTooLarge),
    "heads-id": (Heads((Ref(1, b""),), DIGEST, True), MalformedMessage),
    "heads-lamport": (Heads((Ref(0, ID),), DIGEST, True), MalformedMessage),
    "heads-order": (Heads((Ref(2, ID), Ref(1, ID)), DIGEST, True), MalformedMessage),
    "advert-models": (Advert(1, (MODEL,) * 65, 1, 0, 0, False), MessageTooLarge),
    "advert-slots": (Advert(1, (), -1, 0, 0, False), MalformedMessage),
    "advert-tokens": (Advert(1, (), 1, 0, 0, False, queued_prefill_tokens=-1), MalformedMessage),
    "advert-memory": (Advert(1, (), 1, 0, 0, False, kv_usage_bp=10_001), MalformedMessage),
    "advert-size": (
        Advert(1, (ModelAdvert("m", "", 1, False, "", "", -1),), 1, 0, 0, False),
        MalformedMessage,
    ),
    "advert-context": (
        Advert(1, (ModelAdvert("m", "", -1, False, "", ""),), 1, 0, 0, False),
        MalformedMessage,
    ),
    "advert-text": (
        Advert(1, (ModelAdvert("m" * 257, "", 1, False, "", ""),), 1, 0, 0, False),
        MessageTooLarge,
    ),
    "credentials": (Credentials((b"",) * 17), MessageTooLarge),
    "push": (Push((b"",)), MalformedMessage),
    "disconnect": (Disconnect((ID,) * 9), MessageTooLarge),
    "shuffle": (Shuffle((ID,) * 9), MessageTooLarge),
    "shuffle-reply": (ShuffleReply((b"x",)), MalformedMessage),
    "get-id": (Get(1, (bytes(25),)), MalformedMessage),
    "ranges-session": (Ranges(-1, False, b"", ()), MalformedMessage),
    "ranges-asked": (Ranges(1, False, b"", (Range(b"b", None),) * 513), MessageTooLarge),
    "ranges-answered": (Ranges(1, True, b"", (Range(b"b", None),) * 2_049), MessageTooLarge),
    "ranges-lower": (Ranges(1, False, bytes(25), ()), MessageTooLarge),
    "ranges-upper": (Ranges(1, False, b"", (Range(bytes(25), None),)), MessageTooLarge),
    "ranges-empty": (Ranges(1, False, b"b", (Range(b"b", None),)), MalformedMessage),
    "ranges-order": (
        Ranges(1, False, b"", (Range(b"c", None), Range(b"b", None))),
        MalformedMessage,
    ),
    "ranges-end": (Ranges(1, False, b"", (Range(b"\xff\x00", None),)), MalformedMessage),
    "ranges-fingerprint": (Ranges(1, False, b"", (Range(END, bytes(24)),)), MalformedMessage),
    "ranges-names": (Ranges(1, True, b"", (Range(END, bytes(25)),)), MalformedMessage),
    "ranges-leaf": (Ranges(1, True, b"", (Range(END, bytes(24 * 33)),)), MessageTooLarge),
    "ranges-twice": (Ranges(1, True, b"", (Range(END, CUT * 2),)), MalformedMessage),
    "ranges-below": (Ranges(1, True, b"d", (Range(END, b"c" * 24),)), MalformedMessage),
    "ranges-above": (Ranges(1, True, b"", (Range(b"c", b"c" * 24),)), MalformedMessage),
}


@pytest.mark.parametrize(("message", "error"), BAD.values(), ids=BAD)
def test_message_beyond_limits_is_refused(builder, message, error):
    with pytest.raises(error):
        make_admission(builder).check(encode_message(message))


def test_frame_too_long_is_refused_undecoded(builder):
    with pytest.raises(MessageTooLarge):
        make_admission(builder).check(bytes(FRAME_BYTES_MAX + 1))


def test_other_form_of_a_message_is_refused(builder):
    ping = encode_message(Ping(1))
    assert ping == b"\x92\x06\x01"
    with pytest.raises(MalformedMessage, match="canonical"):
        make_admission(builder).check(b"\x92\x06\xcc\x01")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_typed_refusal(data):
    builder = DagBuilder(authors=1)
    try:
        message = make_admission(builder).check(data)
    except InvalidMessage:
        return
    if not isinstance(message, Vertices):
        assert encode_message(message) == data


@given(st.integers(0, 10_000), st.integers(1, 255))
@example(1, encode_message(Push(()))[1] ^ encode_message(Credentials(()))[1])
def test_damaged_push_gives_a_typed_refusal_or_the_same_vertex(position, flip):
    builder = DagBuilder(authors=1).profiles()
    frame = bytearray(encode_message(Push((builder.vertices[0].wire,))))
    frame[position % len(frame)] ^= flip
    try:
        message = make_admission(builder).check(bytes(frame))
    except InvalidMessage:
        return
    assert message.request == CREDENTIALS_REQUEST  # of the same form, and so the only one left
    assert [candidate.signed.wire for candidate in message.candidates] == [builder.vertices[0].wire]


@pytest.mark.parametrize("verify", [True, False])
def test_admission_tells_whether_it_verifies(builder, verify):
    assert make_admission(builder, verify=verify).verifies is verify


def test_push_of_known_authors_is_verified(builder):
    wires = tuple(signed.wire for signed in builder.vertices)
    message = make_admission(builder).check(encode_message(Push(wires)))
    assert isinstance(message, Vertices)
    assert message.request == 0
    assert [c.standing for c in message.candidates] == [Standing.VERIFIED] * 4
    assert [c.signed.id for c in message.candidates] == [s.id for s in builder.vertices]


def test_pushes_of_a_peer_without_budget_are_not_verified_answers_are(builder):
    wires = tuple(signed.wire for signed in builder.vertices)
    admission = make_admission(builder, spent="spent")

    def check(message: Push | Items, peer: str) -> list[Standing]:
        checked = admission.check(encode_message(message), peer)
        assert isinstance(checked, Vertices)
        return [candidate.standing for candidate in checked.candidates]

    assert check(Push(wires), "spent") == [Standing.UNREAD] * 4
    assert check(Push(wires), "other") == [Standing.VERIFIED] * 4
    assert check(Items(1, wires, (), 0, True), "spent") == [Standing.VERIFIED] * 4
    with pytest.raises(MalformedMessage):
        check(Push((b"no vertex",)), "spent")


def test_items_and_credentials_keep_what_they_answer(builder):
    admission = make_admission(builder)
    items = admission.check(encode_message(Items(7, (), (ID,), 3, False)))
    assert items == Vertices(7, (), (ID,), 3, False)
    wires = (builder.vertices[0].wire,)
    credentials = admission.check(encode_message(Credentials(wires)))
    assert isinstance(credentials, Vertices)
    assert credentials.request == -1


def test_stored_vertex_is_not_verified_again(builder):
    signed = builder.vertices[-1]
    forged = msgspec.msgpack.encode(
        Envelope(msgspec.msgpack.decode(signed.wire, type=Envelope).unsigned, bytes(64))
    )
    admission = make_admission(builder, stored=(signed.id,))
    assert admission.check_vertex(forged).standing is Standing.DUPLICATE
    with pytest.raises(InvalidSignature):
        make_admission(builder).check_vertex(forged)


def test_signatures_are_trusted_only_where_a_benchmark_says_so(builder):
    signed = builder.vertices[-1]
    unsigned = msgspec.msgpack.decode(signed.wire, type=Envelope).unsigned
    forged = msgspec.msgpack.encode(Envelope(unsigned, bytes(64)))
    trusting = make_admission(builder, verify=False)
    assert (trusting.verifies, make_admission(builder).verifies) == (False, True)
    candidate = trusting.check_vertex(forged)
    assert candidate.standing is Standing.VERIFIED
    assert candidate.signed == decode_signed(forged)


def test_unknown_author_is_marked_unless_its_profile_speaks_for_itself(builder):
    stranger = make_genesis([make_person(9)])
    admission = make_admission(builder, genesis=stranger)
    standings = [admission.check_vertex(s.wire).standing for s in builder.vertices]
    assert standings == [Standing.VERIFIED] * 2 + [Standing.UNKNOWN_AUTHOR] * 2


def test_profile_of_another_author_is_refused(builder):
    other = DagBuilder(authors=2)
    profile = other.vertex(1, kind=0, body=msgspec.msgpack.encode(other.people[0].profile()))
    stranger = make_genesis([make_person(9)])
    with pytest.raises(InvalidVertex):
        make_admission(builder, genesis=stranger).check_vertex(profile.wire)


def test_vertex_of_another_network_is_refused(builder):
    other = DagBuilder(authors=2, name="other").profiles()
    with pytest.raises(WrongNetwork) as caught:
        make_admission(builder).check_vertex(other.vertices[0].wire)
    assert caught.value.offence is Offence.WRONG_NETWORK
    assert compute_network_id(other.genesis) != builder.network
