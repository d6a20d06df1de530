"""The invitations a node has issued: who may still come in, by the node's own policy.

Kept in the network's folder. It holds bearer keys, not their secrets: those exist in tickets only.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

import msgspec
from nacl.signing import SigningKey

from dag.bodies import (
    INVITATION_DECODER,
    SIGNED_INVITATION_DECODER,
    Invitation,
    SignedInvitation,
)
from dag.canonical import CanonicalDecoder, encode
from dag.errors import InvalidMessage
from dag.identity import sign_invitation
from meshnode.errors import CommandRejected, StorageError
from meshnode.private_files import read_private, write_private
from meshnode.ticket import BEARER_SEED_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from dag.genesis import Suite
    from dag.keys import SecretKeys

INVITATIONS_MAX: Final = 256
USES_MAX: Final = 1_000
BOOK_BYTES_MAX: Final = 16_000_000


class Issued(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An invitation and who has come in with it."""

    bearer_key: bytes
    signed: bytes
    """Canonical `SignedInvitation` without a bearer proof."""
    uses: int
    expires_ms: int
    """0 for never."""
    used_by: tuple[bytes, ...] = ()
    """Authors, each counted once however often it asks."""


class _Book(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    issued: tuple[Issued, ...]


_decoder: Final = CanonicalDecoder(_Book, what="list of invitations", bytes_max=BOOK_BYTES_MAX)


class InvitationBook:
    """Issues invitations and redeems them; every change is on disk before it takes effect.

    Safe to use from several threads: of two that come at once with the last use, one is let in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._issued = _load(path)
        self._turn = threading.Lock()

    @property
    def issued(self) -> tuple[Issued, ...]:
        """What has been issued and is not yet expired, oldest first."""
        return tuple(self._issued.values())

    def issue(
        self,
        secrets: SecretKeys,
        suite: Suite,
        *,
        network: bytes,
        inviter: bytes,
        uses: int,
        expires_ms: int,
        role: str,
        now_ms: int,
        grant_uruv: int = 0,
    ) -> bytes:
        """Sign an invitation and write it down. Returns the bearer seed for the ticket.

        Each newcomer is to get `grant_uruv` of the inviter's free money.
        """
        if not 1 <= uses <= USES_MAX:
            raise CommandRejected(f"an invitation has 1 to {USES_MAX} uses", hint=f"not {uses}")
        seed = os.urandom(BEARER_SEED_BYTES)
        key = SigningKey(seed).verify_key.encode()
        invitation = Invitation(network, inviter, key, role, uses, expires_ms, grant_uruv)
        try:
            signed = encode(sign_invitation(secrets, suite, invitation))
        except InvalidMessage as error:
            raise CommandRejected(error.message) from None
        self._add(Issued(key, signed, uses, expires_ms), now_ms)
        return seed

    def _add(self, item: Issued, now_ms: int) -> None:
        with self._turn:
            kept = {key: old for key, old in self._issued.items() if not _expired(old, now_ms)}
            if len(kept) >= INVITATIONS_MAX:
                raise CommandRejected(
                    f"{INVITATIONS_MAX} invitations are open",
                    hint="wait until some expire, or issue fewer with more uses",
                )
            self._store({**kept, item.bearer_key: item})

    def forget(self, bearer_key: bytes) -> None:
        """Let nobody in any more with an invitation; it is unknown here from now on."""
        with self._turn:
            kept = {key: item for key, item in self._issued.items() if key != bearer_key}
            if len(kept) < len(self._issued):
                self._store(kept)

    def redeem(self, bearer_key: bytes, author: bytes, *, now_ms: int) -> SignedInvitation:
        """Let an author in. Raises `CommandRejected` with the reason it is told."""
        with self._turn:
            return self._redeem(bearer_key, author, now_ms)

    def _redeem(self, bearer_key: bytes, author: bytes, now_ms: int) -> SignedInvitation:
        item = self._issued.get(bearer_key)
        if item is None:
            raise CommandRejected("this ticket is unknown here", hint="ask for a new one")
        if _expired(item, now_ms):
            raise CommandRejected("this ticket has expired", hint="ask for a new one")
        if author not in item.used_by:
            if len(item.used_by) >= item.uses:
                raise CommandRejected("this ticket is used up", hint="ask for a new one")
            used = msgspec.structs.replace(item, used_by=(*item.used_by, author))
            self._store({**self._issued, bearer_key: used})
        return SIGNED_INVITATION_DECODER.decode(item.signed)

    def _store(self, issued: dict[bytes, Issued]) -> None:
        write_private(self._path, encode(_Book(tuple(issued.values()))))
        self._issued = issued


def was_invited_as_validator(invitation: bytes) -> bool:
    """Whether an encoded `SignedInvitation` gives a seat to who holds it; empty for founders."""
    if not invitation:
        return False
    signed = SIGNED_INVITATION_DECODER.decode(invitation)
    return INVITATION_DECODER.decode(signed.invitation).role == "validator"


def _expired(item: Issued, now_ms: int) -> bool:
    return item.expires_ms != 0 and item.expires_ms <= now_ms


def _load(path: Path) -> dict[bytes, Issued]:
    data = read_private(path, bytes_max=BOOK_BYTES_MAX)
    if data is None:
        return {}
    try:
        book = _decoder.decode(data)
    except InvalidMessage:
        raise StorageError(
            f"{path} is damaged", hint="move it away; open invitations are then void"
        ) from None
    return {item.bearer_key: item for item in book.issued}
