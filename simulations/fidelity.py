"""How much of the real work on every hop is done, and how much is remembered.

    bytes    frames are encoded, decoded and every signature is verified by every node
    cached   as `bytes`, but each signature is verified once in this process
    objects  as `cached`, but messages and vertices are decoded once in this process, and every
             64th message goes the way of `bytes`, so that a codec that changes things shows

Results name their fidelity. What is remembered is keyed by the exact bytes, verdicts that are
negative too, so no mode can take for valid what another refuses.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from dag.authors import find_keys
from dag.crypto import verify_suite
from dag.errors import InvalidSignature
from dag.vertex import SignedVertex, compute_signed_message, decode_signed
from meshnode.core.admission import Admission
from meshnode.core.inputs import Candidate, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.authors import AuthorDirectory
    from dag.genesis import Suite
    from dag.keys import PublicKeys
    from meshnode.core.inputs import Checked
    from meshnode.core.messages import Message

Fidelity = Literal["bytes", "cached", "objects"]
FIDELITIES: Final[tuple[Fidelity, ...]] = ("bytes", "cached", "objects")
VERDICTS_MAX: Final = 1 << 17
VERTICES_MAX: Final = 1 << 15
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


def verify(
    fidelity: Fidelity, suite: Suite, keys: PublicKeys, message: bytes, signature: bytes
) -> bool:
    """Whether a signature holds, by the means of a fidelity."""
    if fidelity == "bytes":
        return verify_suite(suite, keys, message, signature)
    return remember_verdict(suite, keys.ed25519_key, keys.mldsa65_key, message, signature)


class CachedAdmission(Admission):
    """Admission whose verdicts on signatures are shared by all nodes of the process."""

    def __init__(
        self,
        network: bytes,
        suite: Suite,
        authors: AuthorDirectory,
        is_stored: Callable[[bytes], bool],
    ) -> None:
        super().__init__(network, suite, authors, is_stored, verify=False)
        self._keys_of = authors
        self._own_suite: Suite = suite

    def check_signed(self, signed: SignedVertex) -> Candidate:
        """See `Admission`."""
        candidate = super().check_signed(signed)
        if candidate.standing is Standing.VERIFIED:
            keys = find_keys(self._keys_of, self._own_suite, signed.vertex)
            assert keys is not None, "admission has just found them"
            message = compute_signed_message(signed.id)
            if not verify("cached", self._own_suite, keys, message, signed.signature):
                raise InvalidSignature(f"vertex {signed.id.hex()[:16]} is not signed by its author")
        return candidate


class ObjectAdmission(CachedAdmission):
    """Takes messages as objects; vertices are decoded once in the process."""

    def __init__(
        self,
        network: bytes,
        suite: Suite,
        authors: AuthorDirectory,
        is_stored: Callable[[bytes], bool],
    ) -> None:
        super().__init__(network, suite, authors, is_stored)
        self._full = Admission(network, suite, authors, is_stored)
        self._taken = 0

    def admit(self, message: Message, frame: bytes) -> Checked:
        """Check a message beside its frame. Raises `InvalidMessage`."""
        self._taken += 1
        if self._taken % FULL_CHECK_EVERY == 0:
            return self._full.check(frame)
        return self.check_message(message)

    def check_vertex(self, wire: bytes) -> Candidate:
        """See `Admission`."""
        return self.check_signed(remember_vertex(wire))


def make_admission(
    fidelity: Fidelity,
    network: bytes,
    suite: Suite,
    authors: AuthorDirectory,
    is_stored: Callable[[bytes], bool],
) -> Admission:
    """The door of a host."""
    match fidelity:
        case "bytes":
            return Admission(network, suite, authors, is_stored)
        case "cached":
            return CachedAdmission(network, suite, authors, is_stored)
        case "objects":
            return ObjectAdmission(network, suite, authors, is_stored)
