"""How much of the real work on every hop is done, and how much is remembered.

    bytes    frames are encoded, decoded and every signature is verified by every node
    cached   as `bytes`, but the same frame and the same vertex are decoded once in this process,
             and the same signature is verified once
    objects  as `cached`, but frames are not decoded at all: the message goes beside its frame; every
             64th goes the way of `bytes`, so that a codec that changes things shows

Results name their fidelity. What is remembered is keyed by the exact bytes, verdicts that are
negative too, so no mode can take for valid what another refuses.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from dag.crypto import verify_suite
from dag.errors import InvalidSignature
from dag.vertex import SignedVertex, compute_signed_message, decode_signed
from meshnode.core.admission import Admission, decode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.authors import AuthorDirectory
    from dag.genesis import Suite
    from dag.keys import PublicKeys
    from meshnode.core.inputs import Candidate, Checked
    from meshnode.core.messages import Message

Fidelity = Literal["bytes", "cached", "objects"]
FIDELITIES: Final[tuple[Fidelity, ...]] = ("bytes", "cached", "objects")
VERDICTS_MAX: Final = 1 << 17
VERTICES_MAX: Final = 1 << 15
FRAMES_MAX: Final = 1 << 12
"""What is under way at one moment; a frame that comes again later is decoded again."""
FULL_CHECK_EVERY: Final = 64
"""In mode `objects`, one message in so many is encoded, decoded and verified."""


@lru_cache(VERDICTS_MAX)
def remember_verdict(
    suite: Suite, ed25519_key: bytes, mldsa65_key: bytes, message: bytes, signature: bytes
) -> bool:
    """Whether a signature holds; computed once per process for the same bytes."""
    from dag.keys import PublicKeys

    keys = PublicKeys(ed25519_key, mldsa65_key, b"", b"", b"")
    return verify_suite(suite, keys, message, signature)


@lru_cache(VERTICES_MAX)
def remember_vertex(wire: bytes) -> SignedVertex:
    """A vertex decoded once per process for the same bytes. Raises `InvalidMessage`, unremembered."""
    return decode_signed(wire)


@lru_cache(FRAMES_MAX)
def remember_message(frame: bytes) -> Message:
    """A frame decoded once per process. Raises `InvalidMessage`, unremembered."""
    return decode_message(frame)


def forget() -> None:
    """Remember nothing any more, as at the start of the process."""
    for remember in (remember_verdict, remember_vertex, remember_message):
        remember.cache_clear()


def verify(
    fidelity: Fidelity, suite: Suite, keys: PublicKeys, message: bytes, signature: bytes
) -> bool:
    """Whether a signature holds, by the means of a fidelity."""
    if fidelity == "bytes":
        return verify_suite(suite, keys, message, signature)
    return remember_verdict(suite, keys.ed25519_key, keys.mldsa65_key, message, signature)


class CachedAdmission(Admission):
    """Admission that shares what follows from bytes alone with all nodes of the process."""

    def __init__(
        self,
        network: bytes,
        suite: Suite,
        authors: AuthorDirectory,
        is_stored: Callable[[bytes], bool],
        is_spent: Callable[[str], bool] = bool,
    ) -> None:
        super().__init__(network, suite, authors, is_stored, is_spent=is_spent)
        self._own_suite: Suite = suite

    def check(self, frame: bytes, peer: str = "") -> Checked:
        """See `Admission`."""
        return self.check_message(remember_message(frame), peer)

    def check_vertex(self, wire: bytes) -> Candidate:
        """See `Admission`."""
        return self.check_signed(remember_vertex(wire))

    def check_signature(self, keys: PublicKeys, signed: SignedVertex) -> None:
        """See `Admission`."""
        message = compute_signed_message(signed.id)
        if not verify("cached", self._own_suite, keys, message, signed.signature):
            raise InvalidSignature(f"vertex {signed.id.hex()[:16]} is not signed by its author")


class ObjectAdmission(CachedAdmission):
    """Takes messages as objects."""

    def __init__(
        self,
        network: bytes,
        suite: Suite,
        authors: AuthorDirectory,
        is_stored: Callable[[bytes], bool],
        is_spent: Callable[[str], bool] = bool,
    ) -> None:
        super().__init__(network, suite, authors, is_stored, is_spent)
        self._full = Admission(network, suite, authors, is_stored, is_spent=is_spent)
        self._taken = 0

    def admit(self, message: Message, frame: bytes, peer: str = "") -> Checked:
        """Check a message beside its frame. Raises `InvalidMessage`."""
        self._taken += 1
        if self._taken % FULL_CHECK_EVERY == 0:
            return self._full.check(frame, peer)
        return self.check_message(message, peer)


def make_admission(
    fidelity: Fidelity,
    network: bytes,
    suite: Suite,
    authors: AuthorDirectory,
    is_stored: Callable[[bytes], bool],
    *,
    is_spent: Callable[[str], bool] = bool,
) -> Admission:
    """The door of a host."""
    match fidelity:
        case "bytes":
            return Admission(network, suite, authors, is_stored, is_spent=is_spent)
        case "cached":
            return CachedAdmission(network, suite, authors, is_stored, is_spent)
        case "objects":
            return ObjectAdmission(network, suite, authors, is_stored, is_spent)
