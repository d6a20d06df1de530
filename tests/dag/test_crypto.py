"""Signatures: both halves count, sizes are checked first, two libraries agree."""

from __future__ import annotations

import sys

import msgspec
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given
from hypothesis import strategies as st
from pqcrypto.sign import ml_dsa_65

from dag import crypto
from dag.crypto import (
    HYBRID_SIGNATURE_BYTES,
    CryptographyProvider,
    PqcryptoProvider,
    compute_detached_message,
    get_provider,
    get_secret_provider,
    sign_ed25519,
    sign_suite,
    verify_ed25519,
    verify_suite,
)
from dag.errors import UnusableKey
from dag.genesis import Suite
from dag.identity import derive_public_keys
from tests.support.dag_builder import make_person

HYBRID = make_person(0, "hybrid")
RESEARCH = make_person(0)
MESSAGE = b"what both signatures cover"

# NIST ACVP, ML-DSA-keyGen-FIPS204, parameter set ML-DSA-65, test cases 26 and 27: seed, and the
# first and last 24 bytes of the public key.
NIST_KEYS = [
    (
        "8AB6448BF58F897D528A8DE9F8E59329AC929A9CDE7EDF3E27E01BC9EF128A67",
        "49DE190622B0681761A9DB044015BF812760429001FDFF5F",
        "ABEBDCE1B816769D66F9BC72DE319E1EC39E8F979E49B61C",
    ),
    (
        "E67D4E94E36225F5E360DBE043099A96078174A054631BC673100D218A71C448",
        "A11E04721B8D823AEBFD8CD4663CC5E864BFB0C33DF9D350",
        None,
    ),
]


@pytest.fixture(scope="module")
def pair_secret():
    """A secret in the form of the library that knows no seeds."""
    public_key, secret = ml_dsa_65.keygen()
    return bytes(secret) + bytes(public_key)


@pytest.mark.parametrize("person", [HYBRID, RESEARCH], ids=["hybrid", "ed25519"])
def test_suite_signature_verifies_and_binds_key_and_message(person):
    suite: Suite = "hybrid" if person is HYBRID else "ed25519"
    other = make_person(1, suite)
    signature = sign_suite(suite, person.secrets, MESSAGE)
    assert len(signature) == crypto.get_signature_bytes(suite)
    assert verify_suite(suite, person.keys, MESSAGE, signature)
    assert not verify_suite(suite, person.keys, MESSAGE + b".", signature)
    assert not verify_suite(suite, other.keys, MESSAGE, signature)
    assert not verify_suite(suite, person.keys, MESSAGE, signature[:-1])


def test_hybrid_needs_both_halves():
    signature = sign_suite("hybrid", HYBRID.secrets, MESSAGE)
    other = sign_suite("hybrid", HYBRID.secrets, b"other")
    assert len(signature) == HYBRID_SIGNATURE_BYTES == 3_373
    assert not verify_suite("hybrid", HYBRID.keys, MESSAGE, signature[:64] + other[64:])
    assert not verify_suite("hybrid", HYBRID.keys, MESSAGE, other[:64] + signature[64:])
    assert verify_suite("ed25519", HYBRID.keys, MESSAGE, signature[:64])
    assert not verify_suite("hybrid", RESEARCH.keys, MESSAGE, signature)


@given(st.integers(0, HYBRID_SIGNATURE_BYTES - 1), st.integers(1, 255))
def test_hybrid_refuses_any_changed_byte(position, flip):
    changed = bytearray(SIGNATURE)
    changed[position] ^= flip
    assert not verify_suite("hybrid", HYBRID.keys, MESSAGE, bytes(changed))


SIGNATURE = sign_suite("hybrid", HYBRID.secrets, MESSAGE)


def test_hybrid_refuses_key_of_another_size():
    keys = msgspec.structs.replace(HYBRID.keys, mldsa65_key=HYBRID.keys.mldsa65_key[:-1])
    assert not verify_suite("hybrid", keys, MESSAGE, SIGNATURE)


def test_ed25519_is_deterministic_and_checks_sizes():
    seed = bytes(32)
    signature = sign_ed25519(seed, MESSAGE)
    key = derive_public_keys(RESEARCH.secrets, "ed25519").ed25519_key
    assert signature == sign_ed25519(seed, MESSAGE)
    assert not verify_ed25519(key[:-1], MESSAGE, signature)
    assert not verify_ed25519(key, MESSAGE, signature[:-1])
    assert not verify_ed25519(bytes(32), MESSAGE, signature)


def test_ed25519_rfc8032_known_answer():
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )
    assert sign_ed25519(seed, b"") == signature
    assert verify_ed25519(key, b"", signature)


@pytest.mark.parametrize(("seed", "first", "last"), NIST_KEYS)
def test_mldsa_keys_follow_from_seeds_as_nist_says(seed, first, last):
    key = CryptographyProvider().derive_public_key(bytes.fromhex(seed)).hex().upper()
    assert key.startswith(first)
    assert last is None or key.endswith(last)


def test_two_libraries_verify_each_other(pair_secret):
    ours, theirs = CryptographyProvider(), PqcryptoProvider()
    seed = HYBRID.secrets.mldsa65_secret
    for signer, secret in ((ours, seed), (theirs, pair_secret)):
        key = signer.derive_public_key(secret)
        signature = signer.sign(secret, MESSAGE)
        for verifier in (ours, theirs):
            assert verifier.verify(key, MESSAGE, signature)
            assert not verifier.verify(key, MESSAGE + b".", signature)


def test_secret_form_chooses_the_library(pair_secret):
    assert get_provider().name == "cryptography"
    assert get_secret_provider(bytes(32)).name == "cryptography"
    assert get_secret_provider(pair_secret).name == "pqcrypto"
    secrets = msgspec.structs.replace(HYBRID.secrets, mldsa65_secret=pair_secret)
    keys = derive_public_keys(secrets, "hybrid")
    assert verify_suite("hybrid", keys, MESSAGE, sign_suite("hybrid", secrets, MESSAGE))


def test_secret_of_unknown_form_is_refused_without_showing_it():
    with pytest.raises(UnusableKey) as caught:
        get_secret_provider(b"secret")
    assert "6 bytes" in str(caught.value)
    assert "secret'" not in str(caught.value)


def test_second_library_serves_where_the_first_lacks_mldsa(monkeypatch):
    def lacks(_seed):
        raise UnsupportedAlgorithm("no")

    class Lacking:
        from_seed_bytes = staticmethod(lacks)

    monkeypatch.setattr(mldsa, "MLDSA65PrivateKey", Lacking)
    get_provider.cache_clear()
    try:
        assert get_provider().name == "pqcrypto"
        with pytest.raises(UnusableKey):
            get_secret_provider(bytes(32))
    finally:
        get_provider.cache_clear()


def test_second_library_serves_where_the_first_is_too_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mldsa", raising=False)
    get_provider.cache_clear()
    try:
        assert get_provider().name == "pqcrypto"
    finally:
        get_provider.cache_clear()


def test_detached_message_separates_domains_and_networks():
    assert compute_detached_message(b"d", b"n" * 32, b"x") == b"d\x00" + b"n" * 32 + b"x"
