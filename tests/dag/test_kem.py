"""ML-KEM-768: two libraries agree with each other and with the standard's vectors."""

from __future__ import annotations

import hashlib
import sys

import pytest

from dag import kem
from dag.errors import MalformedMessage, UnusableKey
from dag.kem import (
    MLKEM768_CIPHERTEXT_BYTES,
    CryptographyKem,
    Encapsulated,
    PqcryptoKem,
    derive_kem_key,
    get_kem,
    get_secret_kem,
)

# NIST ACVP, ML-KEM-keyGen-FIPS203, parameter set ML-KEM-768, test case 26: d || z, and the beginning
# and the SHA-256 of the public key.
NIST_SEED = bytes.fromhex(
    "E34A701C4C87582F42264EE422D3C684D97611F2523EFE0C998AF05056D693DC"
    "A85768F3486BD32A01BF9A8F21EA938E648EAE4E5448C34C3EB88820B159EEDD"
)
NIST_KEY_START = "6D14A071F7CC452558D5E71A7B087062ECB1386844588246"
NIST_KEY_DIGEST = "7799C9D8EEF172AA78C073514F2F039C240DE8C5CB61BCA82BA0BC46041CE279"
SEED = hashlib.sha512(b"a seed of ML-KEM").digest()


@pytest.fixture
def lacking(monkeypatch):
    """A build of `cryptography` without ML-KEM."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mlkem", None)
    kem.get_kem.cache_clear()
    yield
    kem.get_kem.cache_clear()


def test_public_key_is_that_of_the_standard():
    public_key = CryptographyKem().derive_public_key(NIST_SEED)
    assert public_key.hex().upper().startswith(NIST_KEY_START)
    assert hashlib.sha256(public_key).hexdigest().upper() == NIST_KEY_DIGEST
    found = PqcryptoKem().encapsulate(public_key)
    assert CryptographyKem().decapsulate(NIST_SEED, found.ciphertext) == found.shared


@pytest.mark.parametrize("owner", [CryptographyKem(), PqcryptoKem()], ids=lambda each: each.name)
@pytest.mark.parametrize("other", [CryptographyKem(), PqcryptoKem()], ids=lambda each: each.name)
def test_what_one_library_encapsulates_the_other_finds(owner, other):
    secret = owner.make_secret(SEED)
    public_key = owner.derive_public_key(secret)
    found = other.encapsulate(public_key)
    assert (len(found.shared), len(found.ciphertext)) == (32, MLKEM768_CIPHERTEXT_BYTES)
    assert owner.decapsulate(secret, found.ciphertext) == found.shared
    assert other.encapsulate(public_key).shared != found.shared
    owner.forget_secrets()
    assert owner.decapsulate(secret, found.ciphertext) == found.shared


@pytest.mark.parametrize("provider", [CryptographyKem(), PqcryptoKem()], ids=lambda each: each.name)
def test_changed_ciphertext_gives_another_secret_and_no_error(provider):
    secret = provider.make_secret(SEED)
    found = provider.encapsulate(provider.derive_public_key(secret))
    changed = bytes([found.ciphertext[0] ^ 1]) + found.ciphertext[1:]
    assert provider.decapsulate(secret, changed) != found.shared
    assert provider.decapsulate(secret, changed) == provider.decapsulate(secret, changed)


@pytest.mark.parametrize("provider", [CryptographyKem(), PqcryptoKem()], ids=lambda each: each.name)
def test_key_whose_coefficients_are_not_reduced_is_refused(provider):
    with pytest.raises(MalformedMessage, match="that is none"):
        provider.encapsulate(b"\xff" * 1_184)


def test_library_is_chosen_by_the_form_of_the_secret():
    assert get_kem().name == "cryptography"
    assert get_secret_kem(SEED).name == "cryptography"
    expanded = PqcryptoKem().make_secret(SEED)
    assert get_secret_kem(expanded).name == "pqcrypto"
    assert derive_kem_key(expanded) == PqcryptoKem().derive_public_key(expanded)
    with pytest.raises(UnusableKey, match="33 bytes"):
        get_secret_kem(bytes(33))


def test_second_library_stands_in_and_cannot_use_seeds(lacking):
    assert get_kem().name == "pqcrypto"
    with pytest.raises(UnusableKey, match="cannot be used by pqcrypto"):
        get_secret_kem(SEED)
    assert derive_kem_key(SEED) == b""


def test_secrets_are_not_shown():
    assert "masked" in repr(Encapsulated(b"shared", b"ciphertext"))
    assert "shared" not in repr(Encapsulated(b"shared", b"ciphertext"))
