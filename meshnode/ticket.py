"""Tickets: one pasteable word that lets its holder ask a member to be let in.

Text form: `mesh1`, then the base58 of a payload and its checksum. Payload, frozen: the canonical
MessagePack array

    [version, network (32 B), network name, suite, peer key, peer text, addresses,
     bearer seed (32 B)]

The inviter's transport is named by its 32-byte Ed25519 key, or, where it has none, by its id as
text; the other of the two is empty.
Addresses are without their peer. The checksum is the first 4 bytes of SHA-256 over
`meshnode/ticket/1`, a zero byte and the payload; it finds slips of the hand, not attacks: what a
ticket leads to is checked against the network id and the bearer's key (see `meshnode.joining`).
The bearer seed is a secret; everything else may be known.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import base58
import msgspec

from dag.canonical import CanonicalDecoder, encode
from dag.errors import InvalidMessage
from dag.genesis import Suite
from meshnode.errors import CommandRejected, TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.peer_id import peer_id_from_public_key, public_key_from_peer_id

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "mesh1"
TICKET_CHARACTERS_MAX: Final = 2_048
ADDRESSES_MAX: Final = 4
BEARER_SEED_BYTES: Final = 32
_CHECKSUM_BYTES: Final = 4
_CHECKSUM_DOMAIN: Final = b"meshnode/ticket/1\x00"
_LOOPBACK: Final = ("/ip4/127.", "/ip6/::1/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A way into a network."""

    network: bytes
    network_name: str
    suite: Suite
    """The network's signatures: a joiner's author id depends on them."""
    peer: PeerId
    """Transport id of who lets the holder in."""
    addresses: tuple[str, ...]
    bearer_seed: bytes = field(repr=False)
    """Ed25519 seed whose public key the invitation names."""


_Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class _Payload(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    network: _Bytes32
    network_name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    suite: Suite
    peer_key: Annotated[bytes, msgspec.Meta(max_length=32)]
    peer_text: Annotated[str, msgspec.Meta(max_length=256)]
    addresses: Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1, max_length=ADDRESSES_MAX)]
    bearer_seed: _Bytes32


_decoder: Final = CanonicalDecoder(_Payload, what="ticket", bytes_max=TICKET_CHARACTERS_MAX)


def encode_ticket(ticket: Ticket) -> str:
    """The text people paste."""
    try:
        peer_key, peer_text = public_key_from_peer_id(ticket.peer), ""
    except TransportError:
        peer_key, peer_text = b"", ticket.peer
    payload = encode(
        _Payload(
            1,
            ticket.network,
            ticket.network_name,
            ticket.suite,
            peer_key,
            peer_text,
            ticket.addresses,
            ticket.bearer_seed,
        )
    )
    return PREFIX + base58.b58encode(payload + _compute_checksum(payload)).decode("ascii")


def decode_ticket(text: str) -> Ticket:
    """Read a pasted ticket; spaces and line breaks that crept in are ignored.

    Raises `CommandRejected`, which never quotes the text: it holds a secret.
    """
    compact = "".join(text.split())
    if not compact.startswith(PREFIX):
        raise CommandRejected(
            "this is not a ticket",
            hint=f"a ticket starts with {PREFIX}; `meshnode invite` makes one",
        )
    if len(compact) > TICKET_CHARACTERS_MAX:
        raise CommandRejected("this is too long for a ticket", hint="paste the ticket alone")
    try:
        data = base58.b58decode(compact.removeprefix(PREFIX))
    except ValueError:
        raise _damaged() from None
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if not hmac.compare_digest(_compute_checksum(payload), checksum):
        raise _damaged()
    try:
        return _read_payload(payload)
    except InvalidMessage:
        raise CommandRejected(
            "this ticket was made by another version of meshnode",
            hint="bring both nodes to one version and ask for a new ticket",
        ) from None


def select_addresses(addresses: Sequence[str]) -> tuple[str, ...]:
    """The few addresses a ticket carries: without peer ids, those of this machine alone last."""
    plain = list(dict.fromkeys(address.partition("/p2p/")[0] for address in addresses))
    outside = [address for address in plain if not address.startswith(_LOOPBACK)]
    inside = [address for address in plain if address.startswith(_LOOPBACK)]
    return (*outside[: ADDRESSES_MAX - 1], *inside[:1])


def _read_payload(payload: bytes) -> Ticket:
    record = _decoder.decode(payload)
    if record.version != 1:
        raise InvalidMessage("another version")
    if len(record.peer_key) == 32 and not record.peer_text:
        peer = peer_id_from_public_key(record.peer_key)
    elif record.peer_text and not record.peer_key:
        peer = PeerId(record.peer_text)
    else:
        raise InvalidMessage("no peer, or two")
    return Ticket(
        network=record.network,
        network_name=record.network_name,
        suite=record.suite,
        peer=peer,
        addresses=record.addresses,
        bearer_seed=record.bearer_seed,
    )


def _compute_checksum(payload: bytes) -> bytes:
    return hashlib.sha256(_CHECKSUM_DOMAIN + payload).digest()[:_CHECKSUM_BYTES]


def _damaged() -> CommandRejected:
    return CommandRejected(
        "this ticket is damaged: a character is missing or wrong",
        hint="copy it again as a whole",
    )
