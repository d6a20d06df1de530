"""Joining: a ticket's holder gets in, and nobody else learns anything."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from nacl.signing import SigningKey

from dag.bodies import INVITATION_DECODER, SIGNED_INVITATION_DECODER
from dag.canonical import encode
from dag.errors import WrongNetwork
from dag.genesis import Parameters, encode_genesis
from dag.identity import verify_bearer
from meshnode import joining
from meshnode.credentials import check_open
from meshnode.errors import (
    CommandRejected,
    DeadlineExceeded,
    StreamReset,
    TransportError,
)
from meshnode.home import Bootstrap, open_home
from meshnode.invitations import InvitationBook
from meshnode.joining import (
    PUBLIC_SEED,
    Admission,
    JoinGranted,
    JoinRefused,
    join_home,
)
from meshnode.ticket import decode_ticket, encode_ticket, select_addresses
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryTransport
from tests.support.dag_builder import DagBuilder, make_person
from tests.support.join_scene import JOINER, MEMBER, STRANGER, Member, Scene


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
@pytest.mark.parametrize("inviter", [0, 4])
async def test_holder_of_a_ticket_gets_all_that_members_ask_for(tmp_path, suite, inviter):
    async with Scene(tmp_path, suite=suite, inviter=inviter) as scene:
        joiner = make_person(77, suite)
        admitted = await scene.join(person=joiner)
        assert admitted.genesis == scene.dag.genesis
        assert admitted.inviter == scene.person.author
        assert admitted.credentials == tuple(scene.credentials)
        signed = SIGNED_INVITATION_DECODER.decode(admitted.invitation)
        invitation = INVITATION_DECODER.decode(signed.invitation)
        verify_bearer(invitation, joiner.author, signed.bearer_proof)
        assert not scene.member.offences


async def test_second_author_with_one_ticket_is_refused_but_a_retry_is_not(tmp_path):
    async with Scene(tmp_path) as scene:
        assert await scene.join() == await scene.join()
        with pytest.raises(CommandRejected, match="used up"):
            await scene.join(person=make_person(78))


async def test_expired_and_unknown_tickets_are_refused(tmp_path):
    async with Scene(tmp_path) as scene:
        with pytest.raises(CommandRejected, match="unknown here"):
            await scene.join(scene.ticket(bearer_seed=b"x" * 32))
        scene.now_ms = 100
        with pytest.raises(CommandRejected, match="expired"):
            await scene.join()


async def test_ticket_of_another_network_is_refused(tmp_path):
    async with Scene(tmp_path) as scene:
        with pytest.raises(CommandRejected, match="another network"):
            await scene.join(scene.ticket(network=bytes(32)))


async def test_proof_for_another_connection_is_an_offence(tmp_path, monkeypatch):
    async with Scene(tmp_path) as scene:
        real = joining._compute_proof_message
        stolen = real(scene.dag.network, MEMBER, PeerId("victim"), JOINER.author)
        answers = iter([stolen])
        monkeypatch.setattr(
            joining, "_compute_proof_message", lambda *args: next(answers, None) or real(*args)
        )
        with pytest.raises((CommandRejected, TransportError)):
            await scene.join()
        assert [type(error).__name__ for error in scene.member.offences] == ["InvalidSignature"]
        assert scene.book.issued[0].used_by == ()


async def test_other_versions_and_long_chains_are_refused(tmp_path, monkeypatch):
    async with Scene(tmp_path) as scene:
        scene.credentials = [b"x"] * 17
        with pytest.raises(CommandRejected, match="invited over too many"):
            await scene.join()
        real = joining.JoinRequest
        monkeypatch.setattr(joining, "JoinRequest", lambda _, *rest: real(9, *rest))
        with pytest.raises(CommandRejected, match="version 9"):
            await scene.join()


async def test_absent_inviter_is_named_with_what_was_tried(tmp_path):
    scene = Scene(tmp_path)
    with pytest.raises(TransportError, match=r"could not be reached.*tried memory:member"):
        await scene.join()


async def test_silent_inviter_runs_into_the_deadline(tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "JOIN_TIMEOUT_MS", 50)
    async with Scene(tmp_path) as scene:
        scene.member._serve = lambda stream: asyncio.Event().wait()
        with pytest.raises(DeadlineExceeded, match="did not answer"):
            await scene.join()


async def ask_raw(scene, *frames, finish=False):
    """Send frames on a stream of a stranger, and collect the answer until it ends."""
    transport = MemoryTransport(scene.hub, STRANGER)
    await transport.start(Member(None))
    try:
        await transport.dial(MEMBER, ["memory:member"])
        stream = await transport.open_stream(MEMBER)
        for frame in frames:
            await stream.send(frame)
        if finish:
            await stream.finish()
        answer = []
        try:
            while (frame := await stream.receive()) is not None:
                answer.append(frame)
                await stream.finish()
        except StreamReset:
            pass
        return answer
    finally:
        await transport.close()


async def test_silent_joiner_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "JOIN_TIMEOUT_MS", 50)
    async with Scene(tmp_path) as scene:
        assert await ask_raw(scene) == []
        assert not scene.server._serving


@pytest.mark.parametrize("frame", [b"", b"\x00", b"\xff" * 600, encode([1, 2, 3])])
async def test_garbage_gets_no_answer_and_is_an_offence(tmp_path, frame):
    async with Scene(tmp_path) as scene:
        assert await ask_raw(scene, frame) == []
        assert len(scene.member.offences) == 1


async def test_stream_without_question_is_nothing(tmp_path):
    async with Scene(tmp_path) as scene:
        assert await ask_raw(scene, finish=True) == []
        assert not scene.member.offences


async def test_too_many_at_once_are_told_to_wait(tmp_path, monkeypatch):
    async with Scene(tmp_path) as scene:
        monkeypatch.setattr(joining, "SERVED_AT_ONCE_MAX", 0)
        (answer,) = await ask_raw(scene, b"?")
        assert msgspec.msgpack.decode(answer, type=JoinRefused).code == "overloaded"


async def test_stranger_takes_one_place_however_many_streams_it_opens(tmp_path):
    async with Scene(tmp_path) as scene:
        transport = MemoryTransport(scene.hub, STRANGER)
        await transport.start(Member(None))
        await transport.dial(MEMBER, ["memory:member"])
        streams = [
            await transport.open_stream(MEMBER) for _ in range(joining.SERVED_AT_ONCE_MAX + 1)
        ]
        for stream in streams[1:]:
            with pytest.raises(StreamReset):
                await stream.receive()
        assert (await scene.join()).inviter == scene.person.author
        await transport.close()


def lie(*frames):
    """A member that answers anything with these frames."""

    async def serve(stream):
        await stream.receive()
        for frame in frames:
            await stream.send(frame)
        await stream.finish()
        await stream.receive()

    return serve


@pytest.mark.parametrize(
    "frames",
    [
        (),
        (b"\xc1",),
        (encode(JoinGranted(10)),),
        (encode(JoinGranted(10)), b"12345678901"),
        (encode(JoinGranted(3)), b"\x93\x01\x02"),
        (encode([2, 10**9]),),
    ],
)
async def test_lying_inviters_are_not_believed(tmp_path, frames):
    async with Scene(tmp_path) as scene:
        scene.member._serve = lie(*frames)
        with pytest.raises(CommandRejected, match="cannot be believed"):
            await scene.join()


async def join_with(scene, *, genesis=None, seed=None, credentials=None):
    """Join over a member that hands out what it is told to."""
    key = SigningKey(seed or scene.seed).verify_key.encode()
    signed = next(item.signed for item in scene.book.issued if item.bearer_key == key)
    chain = scene.credentials if credentials is None else credentials
    data = encode(Admission(genesis or encode_genesis(scene.dag.genesis), signed, tuple(chain)))
    parts = [data[start : start + 60_000] for start in range(0, len(data), 60_000)]
    scene.member._serve = lie(encode(JoinGranted(len(data))), *parts)
    return await scene.join()


async def test_genesis_of_another_network_is_not_believed(tmp_path):
    async with Scene(tmp_path) as scene:
        other = msgspec.structs.replace(scene.dag.genesis, name="other")
        with pytest.raises(CommandRejected, match="genesis is another network's"):
            await join_with(scene, genesis=encode_genesis(other))


async def test_invitation_of_another_ticket_is_not_believed(tmp_path):
    async with Scene(tmp_path) as scene:
        with pytest.raises(CommandRejected, match="another ticket's"):
            await join_with(scene, seed=scene.issue())


async def test_invitation_by_a_stranger_is_not_believed(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.seed = scene.issue(make_person(66))
        with pytest.raises(CommandRejected, match="nobody who is shown to be a member"):
            await join_with(scene)


async def test_broken_chains_are_not_believed(tmp_path):
    async with Scene(tmp_path, inviter=4) as scene:
        other = DagBuilder(1, name="other").profiles()
        note = scene.dag.vertex(4, body=b"note", parents=scene.dag.speech_heads)
        forged = msgspec.structs.replace(note.vertex, seq=0, parents=(), lamport=1)
        for credentials, words in [
            (scene.credentials[:1] + scene.credentials[2:], "not shown to be a member"),
            (scene.credentials[:-1], "nobody who is shown"),
            ([other.vertices[0].wire], "credential is another network's"),
            ([note.wire], "first vertex"),
            ([scene.dag.sign(4, forged).wire], "first vertex"),
            ([b"?"], "does not decode"),
        ]:
            with pytest.raises(CommandRejected, match=words):
                await join_with(scene, credentials=credentials)


async def test_open_networks_ask_no_credential_for_an_invitation(tmp_path):
    async with Scene(tmp_path, inviter=4, parameters=Parameters(open=True)) as scene:
        admitted = await join_with(scene, credentials=scene.credentials[-1:])
        assert admitted.inviter == scene.person.author


async def test_open_network_lets_in_whoever_comes_with_the_public_ticket(tmp_path):
    async with Scene(tmp_path, parameters=Parameters(open=True)) as scene:
        for person in (make_person(77), make_person(78)):
            admitted = await scene.join(scene.ticket(bearer_seed=PUBLIC_SEED), person)
            assert admitted.genesis == scene.dag.genesis
            assert (admitted.inviter, admitted.invitation, admitted.credentials) == (b"", b"", ())


async def test_public_ticket_opens_no_closed_network(tmp_path):
    async with Scene(tmp_path) as scene:
        with pytest.raises(CommandRejected, match="unknown here"):
            await scene.join(scene.ticket(bearer_seed=PUBLIC_SEED))


async def test_closed_network_that_lets_in_without_an_invitation_is_not_believed(tmp_path):
    async with Scene(tmp_path) as scene:
        scene.server._is_open = True
        with pytest.raises(CommandRejected, match="not open"):
            await scene.join(scene.ticket(bearer_seed=PUBLIC_SEED))


async def test_open_network_of_another_genesis_is_not_believed(tmp_path):
    async with Scene(tmp_path, parameters=Parameters(open=True)) as scene:
        with pytest.raises(WrongNetwork):
            check_open(scene.dag.genesis, bytes(32))


# --- a home joins ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    return open_home(tmp_path / "home")


@pytest.fixture
def identity(home):
    return home.ensure_identity(None, now_ms=0)


async def join_home_over(scene, home, identity, **options):
    transport = MemoryTransport(scene.hub, PeerId("joiner"))
    return await join_home(home, identity, scene.ticket(), transport=transport, **options)


async def test_home_becomes_a_member_and_finds_back(tmp_path, home, identity):
    async with Scene(tmp_path) as scene:
        folder = await join_home_over(scene, home, identity)
        assert home.get_current_network() == folder
        assert folder.network == scene.dag.network
        assert folder.membership.inviter == scene.person.author
        assert folder.membership.credentials == tuple(scene.credentials)
        assert folder.membership.bootstrap == (Bootstrap("member", ("memory:member",)),)
        signed = SIGNED_INVITATION_DECODER.decode(folder.membership.invitation)
        invitation = INVITATION_DECODER.decode(signed.invitation)
        verify_bearer(invitation, identity.compute_author("ed25519"), signed.bearer_proof)
        with pytest.raises(CommandRejected, match="member of 'test' already"):
            await join_home_over(scene, home, identity)


async def test_home_alone_in_its_network_may_leave_it(tmp_path, home, identity):
    home.create_network(identity, name="solo", founder_name="ada", now_ms=0, suite="ed25519")
    async with Scene(tmp_path) as scene:
        await join_home_over(scene, home, identity)
        assert len(list((home.path / "networks").iterdir())) == 2


async def test_home_with_others_stays(tmp_path, home, identity):
    solo = home.create_network(identity, name="pair", founder_name="ada", now_ms=0, suite="ed25519")
    book = InvitationBook(solo.invitations_path)
    seed = book.issue(
        identity.secrets,
        "ed25519",
        network=solo.network,
        inviter=identity.compute_author("ed25519"),
        uses=1,
        expires_ms=0,
        role="peer",
        now_ms=0,
    )
    book.redeem(SigningKey(seed).verify_key.encode(), bytes(32), now_ms=0)
    async with Scene(tmp_path) as scene:
        with pytest.raises(CommandRejected, match="'pair' with others"):
            await join_home_over(scene, home, identity)
        assert home.get_current_network() == solo


async def test_demo_networks_are_kept_apart(tmp_path, home, identity):
    async with Scene(tmp_path) as scene:
        with pytest.raises(CommandRejected, match=r"is a mesh network.*for a demo network"):
            await join_home_over(scene, home, identity, kind="demo")
        assert home.get_current_network() is None


async def test_home_joins_over_the_real_transport(tmp_path, home, identity):
    from meshnode.transport.libp2p.transport import Libp2pTransport

    scene = Scene(tmp_path)
    transport = Libp2pTransport(b"m" * 32)
    scene.server._peer = transport.peer_id
    await transport.start(scene.member)
    try:
        ticket = scene.ticket(
            peer=transport.peer_id, addresses=select_addresses(transport.addresses)
        )
        folder = await join_home(home, identity, decode_ticket(encode_ticket(ticket)))
        assert folder.network == scene.dag.network
    finally:
        await transport.close()
