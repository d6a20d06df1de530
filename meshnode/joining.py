"""How somebody with a ticket becomes a member: one question on one stream, both sides.

The joiner connects to the inviter named in its ticket, with a transport key made for the occasion,
opens a stream and asks. Frames of the stream, frozen, canonical MessagePack arrays with their tag
first:

    joiner -> member   JoinRequest   [1, version, network, bearer key, author, proof]
    member -> joiner   JoinGranted   [2, size], then the canonical `Admission` of that size, cut
                                     into frames of at most 60,000 bytes
                    or JoinRefused   [3, code, message]

`proof` is the bearer key's Ed25519 signature over (domain, network, both transport ids, author), so
that it cannot be used on another connection or for another author. Whoever cannot prove a bearer
key of an open invitation learns nothing but a refusal.

The joiner trusts nothing it is told: the genesis must have the ticket's network id, the invitation
must name the bearer's key and be signed by a member, and that member's own invitations must lead
back to a founder. Afterwards it has all that other members ask of it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec
from nacl.signing import SigningKey

from dag.bodies import SIGNED_INVITATION_DECODER
from dag.canonical import CanonicalDecoder, encode
from dag.crypto import (
    compute_detached_message,
    sign_ed25519,
    verify_ed25519,
)
from dag.errors import InvalidMessage, InvalidSignature, MalformedMessage
from dag.genesis import GENESIS_BYTES_MAX, decode_genesis
from meshnode.credentials import check_open, verify_admission
from meshnode.errors import CommandRejected, DeadlineExceeded, TransportError
from meshnode.home import Bootstrap, Membership
from meshnode.invitations import InvitationBook
from meshnode.transport.base import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dag.bodies import SignedInvitation
    from dag.types import NetworkId
    from meshnode.credentials import Admitted
    from meshnode.home import Home, Identity, NetworkFolder
    from meshnode.ticket import Ticket
    from meshnode.transport.base import Channel, FrameStream, PeerId, Transport

JOIN_VERSION: Final = 1
JOIN_DOMAIN: Final = b"meshnode/join/1"
ADMISSION_BYTES_MAX: Final = GENESIS_BYTES_MAX + 1_000_000
JOIN_TIMEOUT_MS: Final = 10_000
SERVED_AT_ONCE_MAX: Final = 8
PUBLIC_SEED: Final = bytes(32)
"""Of tickets to open networks: no secret, and good for everybody."""
CREDENTIALS_MAX: Final = 16
"""Longest chain of invitations, as in the handshake."""

_Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Short = Annotated[str, msgspec.Meta(max_length=256)]


_PUBLIC_KEY: Final = SigningKey(PUBLIC_SEED).verify_key.encode()


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class JoinRequest(_Wire, frozen=True, tag=1):
    """The joiner's question."""

    version: int
    network: _Bytes32
    bearer_key: _Bytes32
    author: _Bytes32
    proof: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class JoinGranted(_Wire, frozen=True, tag=2):
    """An `Admission` of this many bytes follows."""

    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=ADMISSION_BYTES_MAX)]


class JoinRefused(_Wire, frozen=True, tag=3):
    """Why not."""

    code: _Short
    message: _Short


class Admission(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a member hands to a joiner."""

    genesis: bytes
    invitation: bytes
    """Canonical `SignedInvitation` without a bearer proof; empty where an open network asks for none."""
    credentials: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=CREDENTIALS_MAX)]
    """Signed profile vertices from the founder who began the chain down to the inviter."""


_request_decoder: Final = CanonicalDecoder(JoinRequest, what="join request", bytes_max=512)
_reply_decoder: Final[CanonicalDecoder[JoinGranted | JoinRefused]] = CanonicalDecoder(
    JoinGranted | JoinRefused,  # type: ignore[arg-type]  # msgspec reads unions as types
    what="join reply",
    bytes_max=4_096,
)
_admission_decoder: Final = CanonicalDecoder(
    Admission, what="admission", bytes_max=ADMISSION_BYTES_MAX
)


class Redeemer(Protocol):
    """Where a member remembers whom it invited (see `meshnode.invitations`)."""

    def redeem(self, bearer_key: bytes, author: bytes, *, now_ms: int) -> SignedInvitation:
        """Let an author in, or raise `CommandRejected`."""


class JoinServer:
    """A member's side: answers streams of peers that are not members."""

    def __init__(
        self,
        *,
        network: NetworkId,
        genesis: bytes,
        peer: PeerId,
        invitations: Redeemer,
        load_credentials: Callable[[], Awaitable[Sequence[bytes]]],
        now_ms: Callable[[], int],
        is_open: bool = False,
    ) -> None:
        """Serve `network`, whose canonical genesis is `genesis`, as transport `peer`.

        `load_credentials` gives the signed profile vertices that lead to this member, its own
        last.
        """
        self._network = network
        self._genesis = genesis
        self._peer = peer
        self._invitations = invitations
        self._load_credentials = load_credentials
        self._now_ms = now_ms
        self._is_open = is_open
        self._serving: dict[PeerId, None] = {}

    async def serve(self, stream: FrameStream) -> None:
        """Answer one stream. Raises `InvalidMessage` for what no joiner sends."""
        if stream.peer in self._serving:
            stream.reset()  # a joiner asks once; a stranger must not take every place
            return
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_MS / 1000):
                if len(self._serving) >= SERVED_AT_ONCE_MAX:
                    message = "too many join at once; try again in a moment"
                    await _refuse(stream, "overloaded", message)
                    return
                self._serving[stream.peer] = None
                try:
                    await self._answer(stream)
                finally:
                    del self._serving[stream.peer]
        except TimeoutError:
            stream.reset()

    async def _answer(self, stream: FrameStream) -> None:
        frame = await stream.receive()
        if frame is None:
            return
        request = _request_decoder.decode(frame)
        try:
            admission = await self._admit(stream.peer, request)
        except CommandRejected as error:
            await _refuse(stream, error.code, str(error))
            return
        await stream.send(encode(JoinGranted(len(admission))))
        for start in range(0, len(admission), FRAME_BYTES_MAX):
            await stream.send(admission[start : start + FRAME_BYTES_MAX])
        await stream.finish()
        # The stream is reset when this returns: wait until the joiner has read it all.
        await stream.receive()

    async def _admit(self, joiner: PeerId, request: JoinRequest) -> bytes:
        if request.version != JOIN_VERSION:
            raise CommandRejected(f"join version {request.version} is not {JOIN_VERSION}")
        if request.network != self._network:
            raise CommandRejected("this node belongs to another network")
        message = _compute_proof_message(self._network, self._peer, joiner, request.author)
        if not verify_ed25519(request.bearer_key, message, request.proof):
            raise InvalidSignature("the joiner does not prove that it holds the ticket")
        if self._is_open and request.bearer_key == _PUBLIC_KEY:
            return encode(Admission(self._genesis, b"", ()))
        credentials = tuple(await self._load_credentials())
        if len(credentials) > CREDENTIALS_MAX:
            raise CommandRejected(
                "this node was itself invited over too many others",
                hint="ask a member nearer to the founder for a ticket",
            )
        signed = await asyncio.to_thread(
            self._invitations.redeem, request.bearer_key, request.author, now_ms=self._now_ms()
        )
        return encode(Admission(self._genesis, encode(signed), credentials))


async def request_admission(transport: Transport, ticket: Ticket, author: bytes) -> Admitted:
    """The joiner's side, over a transport that is not started; it is closed afterwards.

    Raises `CommandRejected` when the member refuses or cannot be believed, `TransportError` when
    it cannot be reached, and `DeadlineExceeded`.
    """
    await transport.start(_Mute())
    try:
        async with asyncio.timeout(JOIN_TIMEOUT_MS / 1000):
            await transport.dial(ticket.peer, ticket.addresses)
            stream = await transport.open_stream(ticket.peer)
            try:
                data = await _ask(stream, transport.peer_id, ticket, author)
            finally:
                stream.reset()
    except TimeoutError:
        raise DeadlineExceeded(
            f"the inviter did not answer within {JOIN_TIMEOUT_MS // 1000} s",
            hint="check that its node runs (`meshnode status` there) and try again",
        ) from None
    except TransportError as error:
        raise type(error)(
            f"the inviter could not be reached: {error.message}",
            hint=f"tried {', '.join(ticket.addresses)}; its node must run and be reachable there",
        ) from None
    except InvalidMessage as error:
        raise _unbelievable(error) from None
    finally:
        await transport.close()
    return _check(data, ticket, author)


async def join_home(
    home: Home,
    identity: Identity,
    ticket: Ticket,
    *,
    kind: str = "mesh",
    transport: Transport | None = None,
) -> NetworkFolder:
    """Make a home a member of the ticket's network, and that network its current one.

    `kind` is the kind of network this node is meant for. Raises as `request_admission` does;
    nothing is written unless all of it held.
    """
    check_may_leave(home, ticket)
    if transport is None:
        # In a thread, because loading the library takes seconds.
        transport = await asyncio.to_thread(_make_transport)
    author = await asyncio.to_thread(identity.compute_author, ticket.suite)
    admitted = await request_admission(transport, ticket, author)
    if admitted.genesis.kind != kind:
        raise CommandRejected(
            f"network '{admitted.genesis.name}' is a {admitted.genesis.kind} network, "
            f"and this node is for a {kind} network",
            hint="demo networks are kept apart from real ones",
        )
    membership = Membership(
        admitted.inviter,
        admitted.invitation,
        admitted.credentials,
        (Bootstrap(ticket.peer, ticket.addresses),),
    )
    return home.add_network(admitted.genesis, membership)


def _make_transport() -> Transport:
    from meshnode.transport.libp2p.transport import Libp2pTransport

    # A key for the occasion: the node's own connects right afterwards, as a member.
    return Libp2pTransport(os.urandom(32))


def check_may_leave(home: Home, ticket: Ticket) -> None:
    """Refuse to leave others behind: a home changes its network only while it is alone in it.

    Raises `CommandRejected`.
    """
    current = home.get_current_network()
    if current is None:
        return
    if current.network == ticket.network:
        raise CommandRejected(
            f"this node is a member of '{current.genesis.name}' already",
            hint="`meshnode up` starts it, `meshnode peers` shows who is there",
        )
    alone = not current.membership.inviter and not any(
        item.used_by for item in InvitationBook(current.invitations_path).issued
    )
    if not alone:
        raise CommandRejected(
            f"this node is in '{current.genesis.name}' with others, "
            "and a node is in one network at a time",
            hint="use another home folder for the other network: --home FOLDER",
        )


async def _ask(stream: FrameStream, own_peer: PeerId, ticket: Ticket, author: bytes) -> bytes:
    key = SigningKey(ticket.bearer_seed).verify_key.encode()
    message = _compute_proof_message(ticket.network, ticket.peer, own_peer, author)
    proof = sign_ed25519(ticket.bearer_seed, message)
    await stream.send(encode(JoinRequest(JOIN_VERSION, ticket.network, key, author, proof)))
    reply = _reply_decoder.decode(await _receive(stream))
    if isinstance(reply, JoinRefused):
        raise CommandRejected(f"the inviter refused: {reply.message}")
    data = bytearray()
    while len(data) < reply.size_bytes:
        data += await _receive(stream)
    if len(data) != reply.size_bytes:
        raise MalformedMessage("more came than was announced")
    await stream.finish()
    return bytes(data)


def _check(data: bytes, ticket: Ticket, author: bytes) -> Admitted:
    try:
        admission = _admission_decoder.decode(data)
        genesis = decode_genesis(admission.genesis)
        if ticket.bearer_seed == PUBLIC_SEED:
            return check_open(genesis, ticket.network)
        signed = SIGNED_INVITATION_DECODER.decode(admission.invitation)
        return verify_admission(
            genesis,
            signed,
            admission.credentials,
            network=ticket.network,
            bearer_seed=ticket.bearer_seed,
            author=author,
        )
    except InvalidMessage as error:
        raise _unbelievable(error) from None


async def _refuse(stream: FrameStream, code: str, message: str) -> None:
    await stream.send(encode(JoinRefused(code, message[:256])))
    await stream.finish()
    await stream.receive()


async def _receive(stream: FrameStream) -> bytes:
    frame = await stream.receive()
    if frame is None:
        raise MalformedMessage("the answer ends early")
    return frame


def _compute_proof_message(network: bytes, member: PeerId, joiner: PeerId, author: bytes) -> bytes:
    return compute_detached_message(JOIN_DOMAIN, network, encode((member, joiner, author)))


def _unbelievable(error: InvalidMessage) -> CommandRejected:
    return CommandRejected(
        f"the inviter's answer cannot be believed: {error.message}",
        hint="nothing was written; ask another member for a ticket",
    )


@dataclass(frozen=True, slots=True)
class _Mute:
    """A transport handler that only joins: it hears nothing and serves nobody."""

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        """The member is reached."""

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        """The stream's own error tells."""

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        """Gossip is for members."""

    async def serve(self, stream: FrameStream) -> None:
        """Nothing is served; returning resets the stream."""

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        """The transport ends the connection where it must."""
