"""How two peers come to the keys of one sealed stream; no round trip is spent on it.

The asking side encapsulates to the pair of keys in the serving side's profile, and its question
travels with that at once. The serving side answers with an encapsulation to the pair in the asking
side's profile and with an X25519 key of its own for the occasion.

    ask     = KDF(ss_server || dh(e, S))                       e: the asking side's, for the occasion
    answer  = KDF(chain(ask) || ss_asker || dh(e, f) || dh(A, f))     f: the serving side's

Each KDF is HKDF-SHA-256 whose salt is the digest of everything that either side has shown or knows:
the network, both authors, both transport ids, the nonces of the connection's HELLOs, a number that
no other stream of the connection has, all public keys and ciphertexts. So the secrets are those of
nobody else, in no other place and at no other time, and hold as long as X25519 or ML-KEM does.

What each side proves: the serving side holds the secrets of the pair that its signed profile names,
or it could read nothing; the asking side those of its own, or it could not read the answer, beyond
having signed its HELLO with both algorithms.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
from nacl import bindings as sodium
from nacl.exceptions import RuntimeError as SodiumError

from dag.canonical import compute_digest, encode
from dag.errors import MalformedMessage
from dag.kem import MLKEM768_CIPHERTEXT_BYTES, get_kem, get_secret_kem
from dag.keys import X25519_KEY_BYTES
from meshnode.sealed.keys import KEY_ID_BYTES

if TYPE_CHECKING:
    from dag.kem import Encapsulated
    from meshnode.sealed.keys import SealingKeys, SealingSecrets
    from meshnode.sealed.ring import KeyRing

ASK_DOMAIN: Final = b"meshnode/sealed/ask/1"
ANSWER_DOMAIN: Final = b"meshnode/sealed/answer/1"
SEED_BYTES: Final = 32
"""Of an X25519 key for the occasion."""
NUMBER_MAX: Final = 2**53

_KeyId = Annotated[bytes, msgspec.Meta(min_length=KEY_ID_BYTES, max_length=KEY_ID_BYTES)]
_Ephemeral = Annotated[
    bytes, msgspec.Meta(min_length=X25519_KEY_BYTES, max_length=X25519_KEY_BYTES)
]
_Ciphertext = Annotated[
    bytes,
    msgspec.Meta(min_length=MLKEM768_CIPHERTEXT_BYTES, max_length=MLKEM768_CIPHERTEXT_BYTES),
]


class Open(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=14):
    """Begins a sealed stream; the asking side's first frame."""

    version: int
    number: Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)]
    """Counts the sealed streams of the connection in this direction."""
    server_key: _KeyId
    """Which of the serving side's pairs this is sealed to."""
    ephemeral: _Ephemeral
    ciphertext: _Ciphertext


class Accept(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=16):
    """Answers OPEN; the serving side's first frame."""

    asker_key: _KeyId
    """Which of the asking side's pairs the answer is sealed to: the one of its newest profile there."""
    ephemeral: _Ephemeral
    ciphertext: _Ciphertext


class Binding(msgspec.Struct, frozen=True, array_like=True):
    """Between whom a stream is, and where: both sides know it without being told."""

    network: bytes
    asker: bytes
    server: bytes
    asker_transport: str
    server_transport: str
    session: bytes
    """What the two HELLOs of this connection made sure is new."""


class StreamKeys(NamedTuple):
    """One key for each direction."""

    ask: bytes
    answer: bytes

    def __repr__(self) -> str:
        return "StreamKeys(masked)"


class Asking:
    """The asking side of one handshake."""

    def __init__(
        self,
        binding: Binding,
        *,
        ring: KeyRing,
        server: SealingKeys,
        version: int,
        number: int,
        seed: bytes,
        encapsulated: Encapsulated | None = None,
    ) -> None:
        """`seed`: 32 fresh random bytes. `encapsulated` is drawn unless it is given.

        Raises `MalformedMessage` where the server's profile names keys that are none.
        """
        chosen = encapsulated or get_kem().encapsulate(server.mlkem768_key)
        self._ring = ring
        self._seed = seed
        self.open: Final = Open(
            version=version,
            number=number,
            server_key=server.id,
            ephemeral=sodium.crypto_scalarmult_base(seed),
            ciphertext=chosen.ciphertext,
        )
        self._transcript = _hash_open(binding, self.open, server)
        shared = _exchange(seed, server.x25519_key)
        self.ask_key, self._chain = _derive_ask(self._transcript, chosen.shared, shared)

    def finish(self, accept: Accept) -> StreamKeys:
        """The keys, once the other side has answered. Raises `MalformedMessage`."""
        found = self._ring.find(accept.asker_key)
        if found is None:
            raise MalformedMessage("an answer is sealed to a key that is not held here any more")
        own, own_keys = found
        secret = own.mlkem768_secret
        answer = _derive_answer(
            _hash_accept(self._transcript, accept, own_keys),
            self._chain,
            get_secret_kem(secret).decapsulate(secret, accept.ciphertext),
            _exchange(self._seed, accept.ephemeral),
            _exchange(own.x25519_seed, accept.ephemeral),
        )
        return StreamKeys(self.ask_key, answer)


def accept_open(
    binding: Binding,
    opened: Open,
    *,
    own: SealingSecrets,
    own_keys: SealingKeys,
    asker: SealingKeys,
    seed: bytes,
    encapsulated: Encapsulated | None = None,
) -> tuple[Accept, StreamKeys]:
    """The serving side of a handshake: what to answer, and the keys.

    Whether the keys are the asker's shows with its first frame. Raises `MalformedMessage` for what
    cannot be a key.
    """
    secret = own.mlkem768_secret
    transcript = _hash_open(binding, opened, own_keys)
    ask, chain = _derive_ask(
        transcript,
        get_secret_kem(secret).decapsulate(secret, opened.ciphertext),
        _exchange(own.x25519_seed, opened.ephemeral),
    )
    chosen = encapsulated or get_kem().encapsulate(asker.mlkem768_key)
    accept = Accept(asker.id, sodium.crypto_scalarmult_base(seed), chosen.ciphertext)
    answer = _derive_answer(
        _hash_accept(transcript, accept, asker),
        chain,
        chosen.shared,
        _exchange(seed, opened.ephemeral),
        _exchange(seed, asker.x25519_key),
    )
    return accept, StreamKeys(ask, answer)


def _hash_open(binding: Binding, opened: Open, server: SealingKeys) -> bytes:
    return compute_digest(ASK_DOMAIN, encode((binding, opened, server)))


def _hash_accept(transcript: bytes, accept: Accept, asker: SealingKeys) -> bytes:
    return compute_digest(ANSWER_DOMAIN, encode((transcript, accept, asker)))


def _exchange(secret: bytes, public_key: bytes) -> bytes:
    try:
        return sodium.crypto_scalarmult(secret, public_key)
    except SodiumError:
        # libsodium refuses points of low order: their secret would be known to everybody.
        raise MalformedMessage("an X25519 key that gives no secret") from None


def _derive_ask(transcript: bytes, kem_shared: bytes, shared: bytes) -> tuple[bytes, bytes]:
    extracted = _extract(transcript, kem_shared + shared)
    return _expand(extracted, b"ask"), _expand(extracted, b"chain")


def _derive_answer(transcript: bytes, *secrets: bytes) -> bytes:
    return _expand(_extract(transcript, b"".join(secrets)), b"answer")


def _extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract of RFC 5869 with SHA-256."""
    return hmac.digest(salt, secret, "sha256")


def _expand(extracted: bytes, info: bytes) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-256, to its first 32 bytes."""
    return hmac.digest(extracted, info + b"\x01", "sha256")
