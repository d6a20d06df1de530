"""The keys that receive sealed content: one of X25519 and one of ML-KEM-768, always used together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from nacl import bindings as sodium

from dag.canonical import compute_digest
from dag.kem import derive_kem_key
from dag.keys import MLKEM768_KEY_BYTES, X25519_KEY_BYTES

if TYPE_CHECKING:
    from dag.keys import PublicKeys, SecretKeys

KEY_ID_BYTES: Final = 16
KEY_DOMAIN: Final = b"meshnode/sealed/key/1"


class SealingKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What others seal to, as a profile names it."""

    x25519_key: bytes
    mlkem768_key: bytes

    @property
    def id(self) -> bytes:
        """Names the pair: 16 bytes of its digest."""
        return compute_digest(KEY_DOMAIN, self.x25519_key + self.mlkem768_key)[:KEY_ID_BYTES]


class SealingSecrets(msgspec.Struct, frozen=True, eq=False, array_like=True):
    """What opens content that was sealed to the pair. Never shown."""

    x25519_seed: bytes
    mlkem768_secret: bytes

    def __repr__(self) -> str:
        return "SealingSecrets(masked)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("masked", True)]


def find_sealing_keys(keys: PublicKeys) -> SealingKeys | None:
    """An author's pair; None for one that cannot receive sealed content."""
    if len(keys.mlkem768_key) != MLKEM768_KEY_BYTES or len(keys.x25519_key) != X25519_KEY_BYTES:
        return None
    return SealingKeys(keys.x25519_key, keys.mlkem768_key)


def get_sealing_secrets(secrets: SecretKeys) -> SealingSecrets:
    """The pair among an author's secrets."""
    return SealingSecrets(secrets.x25519_seed, secrets.mlkem768_seed)


def replace_sealing_secrets(secrets: SecretKeys, pair: SealingSecrets) -> SecretKeys:
    """An author's secrets with another pair among them."""
    return msgspec.structs.replace(
        secrets, x25519_seed=pair.x25519_seed, mlkem768_seed=pair.mlkem768_secret
    )


def derive_sealing_keys(secrets: SealingSecrets) -> SealingKeys | None:
    """The public side of a pair; None where no library here can use it."""
    mlkem768_key = derive_kem_key(secrets.mlkem768_secret)
    if not mlkem768_key:
        return None
    return SealingKeys(sodium.crypto_scalarmult_base(secrets.x25519_seed), mlkem768_key)
