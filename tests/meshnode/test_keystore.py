"""The key store opens with its passphrase only, and says nothing else."""

from __future__ import annotations

import json
import stat

import msgspec
import pytest

from meshnode.errors import KeystoreError
from meshnode.keystore import create_key_store, open_key_store, read_key_mode
from meshnode.sealing import KdfCost, seal
from meshnode.secret import Secret

FAST = KdfCost(operations=1, memory_bytes=8_192)
SEED = bytes(range(32))
PASSPHRASE = Secret("correct horse")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "identity.key"


@pytest.fixture
def encrypted(path):
    create_key_store(path, seed=SEED, created_ms=7, passphrase=PASSPHRASE, cost=FAST)
    return path


def edit(path, **changes):
    record = json.loads(path.read_bytes())
    record.update(changes)
    path.write_text(json.dumps(record))


def open_fast(path, passphrase=PASSPHRASE):
    return open_key_store(path, passphrase=passphrase, cost_floor=FAST)


def test_key_store_opens_with_its_passphrase(encrypted):
    stored = open_fast(encrypted)
    assert (stored.seed, stored.created_ms, stored.mode) == (SEED, 7, "encrypted")
    assert read_key_mode(encrypted) == "encrypted"
    assert stat.S_IMODE(encrypted.stat().st_mode) == 0o600


def test_key_store_shows_neither_seed_nor_passphrase(encrypted):
    text = encrypted.read_text()
    assert SEED.hex() not in text
    assert PASSPHRASE.reveal() not in text
    assert SEED.hex() not in repr(open_fast(encrypted))
    assert "seed" not in repr(open_fast(encrypted))


def test_wrong_passphrase_and_damage_give_the_same_line(encrypted):
    with pytest.raises(KeystoreError) as wrong:
        open_fast(encrypted, Secret("correct horsf"))
    box = json.loads(encrypted.read_bytes())["box"]
    edit(encrypted, box=box[:-2] + ("00" if box[-2:] != "00" else "01"))
    with pytest.raises(KeystoreError) as damaged:
        open_fast(encrypted)
    assert str(wrong.value) == str(damaged.value)
    assert "\n" not in str(wrong.value)
    edit(encrypted, box="00")
    with pytest.raises(KeystoreError) as short:
        open_fast(encrypted)
    assert str(short.value) == str(wrong.value)


def test_encrypted_key_store_asks_for_a_passphrase(encrypted):
    with pytest.raises(KeystoreError, match="MESHNODE_PASSPHRASE_FILE"):
        open_fast(encrypted, None)


def test_key_is_never_overwritten(encrypted):
    before = encrypted.read_bytes()
    with pytest.raises(KeystoreError, match="there already"):
        create_key_store(encrypted, seed=SEED, created_ms=0, passphrase=None)
    assert encrypted.read_bytes() == before


def test_unencrypted_mode_says_so_in_clear_words(path):
    create_key_store(path, seed=SEED, created_ms=7, passphrase=None)
    assert "NOT ENCRYPTED" in path.read_text()
    assert '"unencrypted-demo"' in path.read_text()
    stored = open_key_store(path, passphrase=None)
    assert (stored.seed, stored.mode) == (SEED, "unencrypted-demo")
    assert read_key_mode(path) == "unencrypted-demo"


def test_cost_below_the_floor_is_refused(encrypted):
    with pytest.raises(KeystoreError, match="less work per guess"):
        open_key_store(encrypted, passphrase=PASSPHRASE)


@pytest.mark.parametrize("change", [{"operations": 10_000}, {"memory_bytes": 2**40}])
def test_cost_above_the_ceiling_is_refused_before_it_is_paid(encrypted, change):
    edit(encrypted, **change)
    with pytest.raises(KeystoreError, match="asks for more than"):
        open_fast(encrypted)


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"mode": "plain"}, {"salt": "zz"}, {"salt": "00"}, {"extra": 1}, {"box": 3}],
)
def test_file_of_another_form_is_refused(encrypted, change):
    edit(encrypted, **change)
    with pytest.raises(KeystoreError, match="not a key store this version can read"):
        open_fast(encrypted)


@pytest.mark.parametrize("data", [b'{"mode": "\xff', b'{"x":' + b"[" * 4_000])
def test_file_that_upsets_its_parser_is_refused(encrypted, data):
    encrypted.write_bytes(data)
    with pytest.raises(KeystoreError, match="not a key store this version can read"):
        open_fast(encrypted)


def test_seed_of_a_wrong_length_is_refused(path):
    create_key_store(path, seed=SEED, created_ms=7, passphrase=None)
    edit(path, seed="00")
    with pytest.raises(KeystoreError, match="not a key store"):
        open_key_store(path, passphrase=None)
    with pytest.raises(AssertionError):
        create_key_store(path, seed=b"", created_ms=7, passphrase=None)


def test_box_that_holds_something_else_is_refused(encrypted):
    other = seal(msgspec.msgpack.encode("x"), PASSPHRASE, FAST)
    edit(encrypted, salt=other.salt, box=other.box)
    with pytest.raises(KeystoreError, match="not a key store"):
        open_fast(encrypted)


def test_file_readable_by_others_is_refused_with_the_fix(encrypted):
    encrypted.chmod(0o644)
    with pytest.raises(KeystoreError, match="chmod 600"):
        open_fast(encrypted)


def test_missing_key_store_is_named(path):
    assert read_key_mode(path) is None
    with pytest.raises(KeystoreError, match="is not there"):
        open_fast(path)
    with pytest.raises(KeystoreError, match="cannot be written"):
        create_key_store(path / "no" / "folder", seed=SEED, created_ms=0, passphrase=None)
