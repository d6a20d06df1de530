"""Signatures: two suites, and two libraries behind one small interface.

The suite 'hybrid' joins Ed25519 and ML-DSA-65: a signature is 64 + 3,309 bytes and valid only if
both halves verify, so forging one needs breaking both. The suite 'ed25519' is for research.

Ed25519 comes from PyNaCl, whose libsodium refuses malleable signatures and weak keys; what verifies
must be the same everywhere, so no other rule may be used. ML-DSA-65 comes from `cryptography`, or
from `pqcrypto` where a system's `cryptography` was built without it.

All sizes are checked before bytes reach a library: libsodium's binding does not check the length of
a public key.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Protocol

from nacl import bindings as sodium
from nacl.exceptions import BadSignatureError

from dag.errors import UnusableKey
from dag.keys import (
    ED25519_KEY_BYTES,
    MLDSA65_KEY_BYTES,
    MLDSA65_PAIR_BYTES,
    SEED_BYTES,
    PublicKeys,
    SecretKeys,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

    from dag.genesis import Suite

ED25519_SIGNATURE_BYTES: Final = 64
MLDSA65_SIGNATURE_BYTES: Final = 3_309
HYBRID_SIGNATURE_BYTES: Final = ED25519_SIGNATURE_BYTES + MLDSA65_SIGNATURE_BYTES
PARSED_KEYS_MAX: Final = 256
"""Parsed ML-DSA keys kept; parsing costs 9 us where a verification costs 170."""
EXPANDED_SECRETS_MAX: Final = 4
"""Own secret keys kept in the form they sign in; making it costs 150 us of ML-DSA, 20 of Ed25519."""


class SignatureProvider(Protocol):
    """ML-DSA-65 (FIPS 204, empty context) as one library offers it."""

    @property
    def name(self) -> str:
        """The library."""

    @property
    def secret_bytes(self) -> int:
        """Size of the form of secret key this library uses."""

    def derive_public_key(self, secret: bytes) -> bytes:
        """The 1,952-byte public key of a secret."""

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """A 3,309-byte signature; randomised, so two of one message differ."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a signature is valid; sizes were checked."""


class CryptographyProvider:
    """ML-DSA-65 from `cryptography`; secrets are 32-byte seeds."""

    name: Final = "cryptography"
    secret_bytes: Final = SEED_BYTES

    def __init__(self) -> None:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import mldsa

        try:
            mldsa.MLDSA65PrivateKey.from_seed_bytes(bytes(SEED_BYTES))
        except UnsupportedAlgorithm as error:
            raise UnusableKey("this build of `cryptography` has no ML-DSA-65") from error
        self._mldsa = mldsa
        self._invalid_signature = InvalidSignature
        self._parse = functools.lru_cache(PARSED_KEYS_MAX)(self._parse_public_key)
        self._expand = functools.lru_cache(EXPANDED_SECRETS_MAX)(
            mldsa.MLDSA65PrivateKey.from_seed_bytes
        )

    def _parse_public_key(self, public_key: bytes) -> MLDSA65PublicKey:
        return self._mldsa.MLDSA65PublicKey.from_public_bytes(public_key)

    def derive_public_key(self, secret: bytes) -> bytes:
        """See `SignatureProvider`."""
        return self._expand(secret).public_key().public_bytes_raw()

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """See `SignatureProvider`."""
        return self._expand(secret).sign(message)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """See `SignatureProvider`."""
        try:
            self._parse(public_key).verify(signature, message)
        except self._invalid_signature:
            return False
        return True


class PqcryptoProvider:
    """ML-DSA-65 from `pqcrypto`; secrets are pairs, for it makes no keys from seeds."""

    name: Final = "pqcrypto"
    secret_bytes: Final = MLDSA65_PAIR_BYTES

    def __init__(self) -> None:
        from pqcrypto import InvalidSignatureError
        from pqcrypto.sign import ml_dsa_65

        self._mldsa = ml_dsa_65
        self._invalid_signature = InvalidSignatureError

    def derive_public_key(self, secret: bytes) -> bytes:
        """See `SignatureProvider`."""
        return secret[-MLDSA65_KEY_BYTES:]

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """See `SignatureProvider`."""
        return bytes(self._mldsa.sign(secret[:-MLDSA65_KEY_BYTES], message))

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """See `SignatureProvider`."""
        try:
            self._mldsa.verify(public_key, message, signature)
        except self._invalid_signature:
            return False
        return True


@functools.cache
def get_provider() -> SignatureProvider:
    """The library that verifies ML-DSA here: `cryptography` if it can, else `pqcrypto`."""
    try:
        return CryptographyProvider()
    except (ImportError, UnusableKey):
        return PqcryptoProvider()


@functools.cache
def _get_pair_provider() -> SignatureProvider:
    return PqcryptoProvider()


def get_secret_provider(secret: bytes) -> SignatureProvider:
    """The library that can use this form of secret. Raises `UnusableKey`."""
    if len(secret) == MLDSA65_PAIR_BYTES:
        return _get_pair_provider()
    provider = get_provider()
    if len(secret) != provider.secret_bytes:
        raise UnusableKey(
            f"an ML-DSA-65 secret of {len(secret)} bytes cannot be used by {provider.name}",
            hint="install a `cryptography` that has ML-DSA, or make a new identity",
        )
    return provider


def get_signature_bytes(suite: Suite) -> int:
    """How long a suite's signatures are."""
    return HYBRID_SIGNATURE_BYTES if suite == "hybrid" else ED25519_SIGNATURE_BYTES


def sign_ed25519(seed: bytes, message: bytes) -> bytes:
    """Sign with Ed25519: 64 bytes, deterministic."""
    return sodium.crypto_sign(message, _expand_ed25519(seed))[:ED25519_SIGNATURE_BYTES]


@functools.lru_cache(EXPANDED_SECRETS_MAX)
def _expand_ed25519(seed: bytes) -> bytes:
    _, secret = sodium.crypto_sign_seed_keypair(seed)
    return secret


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is valid."""
    if len(public_key) != ED25519_KEY_BYTES or len(signature) != ED25519_SIGNATURE_BYTES:
        return False
    try:
        sodium.crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def sign_suite(suite: Suite, secrets: SecretKeys, message: bytes) -> bytes:
    """Sign with every algorithm of a suite. Raises `UnusableKey`."""
    signature = sign_ed25519(secrets.ed25519_seed, message)
    if suite == "ed25519":
        return signature
    secret = secrets.mldsa65_secret
    return signature + get_secret_provider(secret).sign(secret, message)


def verify_suite(suite: Suite, keys: PublicKeys, message: bytes, signature: bytes) -> bool:
    """Whether every signature of a suite is valid; the cheap checks go first."""
    if len(signature) != get_signature_bytes(suite):
        return False
    if not verify_ed25519(keys.ed25519_key, message, signature[:ED25519_SIGNATURE_BYTES]):
        return False
    if suite == "ed25519":
        return True
    if len(keys.mldsa65_key) != MLDSA65_KEY_BYTES:
        return False
    return get_provider().verify(keys.mldsa65_key, message, signature[ED25519_SIGNATURE_BYTES:])


def compute_detached_message(domain: bytes, network: bytes, data: bytes) -> bytes:
    """The bytes a signature outside a vertex covers: domain, a zero byte, network id, data."""
    return domain + b"\x00" + network + data
