"""Pairs of keys: what a profile names, what opens, and what is never shown."""

from __future__ import annotations

from rich.pretty import pretty_repr

from dag.identity import derive_public_keys
from dag.keys import derive_secret_keys
from meshnode.sealed.keys import (
    SealingSecrets,
    derive_sealing_keys,
    find_sealing_keys,
    get_sealing_secrets,
    replace_sealing_secrets,
)
from tests.support.sealing import ALICE, BOB, make_secrets

SECRETS = derive_secret_keys(bytes(range(32)))


def test_pair_of_a_profile_is_that_of_its_secrets():
    named = find_sealing_keys(derive_public_keys(SECRETS, "hybrid"))
    assert named is not None
    assert named == derive_sealing_keys(get_sealing_secrets(SECRETS))
    assert len(named.id) == 16
    assert ALICE.keys.id != BOB.keys.id


def test_author_without_ml_kem_has_no_pair():
    assert find_sealing_keys(derive_public_keys(SECRETS, "ed25519")) is None
    assert derive_sealing_keys(SealingSecrets(bytes(32), bytes(33))) is None


def test_another_pair_changes_nothing_else():
    pair = make_secrets("other")
    replaced = replace_sealing_secrets(SECRETS, pair)
    keys, before = derive_public_keys(replaced, "hybrid"), derive_public_keys(SECRETS, "hybrid")
    assert find_sealing_keys(keys) == derive_sealing_keys(pair)
    assert (keys.ed25519_key, keys.mldsa65_key, keys.libp2p_key) == (
        before.ed25519_key,
        before.mldsa65_key,
        before.libp2p_key,
    )


def test_secrets_are_masked():
    pair = make_secrets("other")
    for text in (repr(pair), str(pair), pretty_repr(pair)):
        assert "masked" in text
        assert repr(pair.x25519_seed)[2:8] not in text
