"""Pairs over time: the current one, those in their grace, and the file that forgets them."""

from __future__ import annotations

import msgspec
import pytest

from dag.kem import PqcryptoKem
from meshnode.errors import KeystoreError
from meshnode.sealed.keys import SealingSecrets
from meshnode.sealed.ring import PAIRS_MAX, KeyRing, Pair, make_ring
from meshnode.sealed.ring_file import FILE_NAME, RingFile, draw_secrets
from tests.support.sealing import draw, make_secrets

KEY = draw("storage key")


def make(name, now_ms=1):
    return make_ring(make_secrets(name), now_ms)


def test_replaced_pair_opens_until_its_grace_is_over():
    first = make("first")
    ring = first.rotate(make_secrets("second"), 100)
    assert first.current_keys is not None and ring.current_keys is not None
    old, new = first.current_keys.id, ring.current_keys.id
    assert old != new
    assert ring.find(old) is not None
    assert ring.forget(149, 50) is ring
    forgotten = ring.forget(150, 50)
    assert forgotten.find(old) is None
    assert forgotten.find(new) is not None
    assert len(forgotten.pairs) == 1
    assert forgotten.current.created_ms == 100


def test_current_pair_is_never_forgotten():
    ring = make("only")
    assert ring.forget(2**50, 0) is ring


def test_ring_holds_so_many_pairs():
    ring = make("0")
    for number in range(2 * PAIRS_MAX):
        ring = ring.rotate(make_secrets(str(number)), 10 + number)
    assert len(ring.pairs) == PAIRS_MAX
    assert [pair.created_ms for pair in ring.pairs] == [
        10 + number for number in range(2 * PAIRS_MAX - 1, PAIRS_MAX - 1, -1)
    ]


def test_pair_of_the_second_library_is_found_too_and_an_unusable_one_is_not():
    secret = PqcryptoKem().make_secret(b"")
    ring = KeyRing((Pair(bytes(32), b"of no library", 2), Pair(bytes(32), secret, 1, 2)))
    assert ring.current_keys is None
    assert PqcryptoKem().derive_public_key(secret) in {
        keys.mlkem768_key
        for keys in (make_ring(SealingSecrets(bytes(32), secret), 1).current_keys,)
        if keys is not None
    }


def test_rings_and_pairs_are_masked():
    ring = make("only")
    assert repr(ring) == "KeyRing(1 pairs)"
    assert repr(ring.current) == "Pair(created_ms=1, retired_ms=0, masked)"


def test_file_keeps_pairs_and_shows_none(tmp_path):
    file = RingFile(tmp_path, KEY)
    assert file.read() is None
    assert file.get_version() == (0, 0)
    ring = file.rotate(make("first"), 100)
    read = file.read()
    assert read is not None
    assert read.pairs == ring.pairs
    assert file.get_version() != (0, 0)
    data = (tmp_path / FILE_NAME).read_bytes()
    assert ring.current.x25519_seed not in data
    assert ring.current.mlkem768_secret not in data
    assert repr(file) == f"RingFile({tmp_path / FILE_NAME})"


def test_rotation_goes_on_from_the_file_and_not_from_what_a_process_remembers(tmp_path):
    file = RingFile(tmp_path, KEY)
    first = make("first")
    file.rotate(first, 100)
    ring = file.rotate(first, 200)
    assert [pair.created_ms for pair in ring.pairs] == [200, 100, 1]


def test_forgetting_erases_from_the_file(tmp_path):
    file = RingFile(tmp_path, KEY)
    file.forget(1, 1)
    assert file.read() is None
    file.rotate(make("first"), 100)
    version = file.get_version()
    file.forget(100, 50)
    assert file.get_version() == version
    file.forget(150, 50)
    read = file.read()
    assert read is not None
    assert [pair.created_ms for pair in read.pairs] == [100]


def test_file_of_another_identity_or_a_damaged_one_is_told(tmp_path):
    RingFile(tmp_path, KEY).write(make("first"))
    with pytest.raises(KeystoreError, match="no sealing keys of this identity"):
        RingFile(tmp_path, draw("another")).read()
    path = tmp_path / FILE_NAME
    path.write_bytes(b"x")
    with pytest.raises(KeystoreError, match="no sealing keys of this identity"):
        RingFile(tmp_path, KEY).read()
    path.chmod(0o644)
    with pytest.raises(KeystoreError, match="read or changed by others"):
        RingFile(tmp_path, KEY).read()


def test_folder_that_cannot_be_written_is_told(tmp_path):
    file = RingFile(tmp_path / "missing", KEY)
    with pytest.raises(KeystoreError, match="cannot be written"):
        file.write(make("first"))
    with pytest.raises(KeystoreError, match="cannot be written"):
        file.rotate(make("first"), 1)


def test_drawn_secrets_are_never_the_same():
    first, second = draw_secrets(), draw_secrets()
    assert first.x25519_seed != second.x25519_seed
    assert first.mlkem768_secret != second.mlkem768_secret
    assert len(msgspec.msgpack.encode(first)) > 96
