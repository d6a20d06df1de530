"""Encrypted keys of services open under the home's passphrase, as the entry they were sealed for."""

from __future__ import annotations

import json
import stat

import pytest

from meshnode.errors import KeystoreError
from meshnode.keystore import create_key_store
from meshnode.sealed_keys import (
    check_home_passphrase,
    list_sealed_keys,
    locate_sealed_key,
    read_sealed_key,
    remove_sealed_key,
    write_sealed_key,
)
from meshnode.sealing import KdfCost, seal
from meshnode.secret import Secret

FAST = KdfCost(operations=1, memory_bytes=8_192)
KEY = Secret("sk-canary-sealed-0123456789")
PASSPHRASE = Secret("correct horse")


def write(home, name="moonshot", passphrase=PASSPHRASE):
    write_sealed_key(home, name, KEY, passphrase=passphrase, now_ms=7, cost=FAST)


def read(home, name="moonshot", passphrase: Secret | None = PASSPHRASE):
    return read_sealed_key(home, name, passphrase=passphrase, cost_floor=FAST)


def test_key_is_read_back_and_stands_nowhere_in_the_file(tmp_path):
    write(tmp_path)
    path = locate_sealed_key(tmp_path, "moonshot")
    assert read(tmp_path) == KEY
    assert list_sealed_keys(tmp_path) == ["moonshot"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "canary" not in path.read_text()
    remove_sealed_key(tmp_path, "moonshot")
    assert list_sealed_keys(tmp_path) == []


def test_key_is_refused_without_or_with_another_passphrase(tmp_path):
    write(tmp_path)
    for passphrase, words in ((None, "no passphrase"), (Secret("x"), "passphrase is wrong")):
        with pytest.raises(KeystoreError, match=words) as caught:
            read(tmp_path, passphrase=passphrase)
        assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_renamed_file_gives_no_service_the_key_of_another(tmp_path):
    write(tmp_path)
    locate_sealed_key(tmp_path, "moonshot").rename(locate_sealed_key(tmp_path, "openrouter"))
    with pytest.raises(KeystoreError, match="another entry, 'moonshot'"):
        read(tmp_path, "openrouter")


def test_damaged_file_is_named(tmp_path):
    with pytest.raises(KeystoreError, match="not there"):
        read(tmp_path)
    write(tmp_path)
    path = locate_sealed_key(tmp_path, "moonshot")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"salt": "zz"}))
    with pytest.raises(KeystoreError, match="not an encrypted key"):
        read(tmp_path)
    other = seal(b"\x01", PASSPHRASE, FAST)
    path.write_text(json.dumps(record | {"salt": other.salt, "box": other.box}))
    with pytest.raises(KeystoreError, match="not an encrypted key"):
        read(tmp_path)
    path.write_text("{}")
    with pytest.raises(KeystoreError, match="not an encrypted key"):
        read(tmp_path)
    path.chmod(0o644)
    with pytest.raises(KeystoreError, match="chmod 600"):
        read(tmp_path)


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(KeystoreError, match="keys"):
        write(tmp_path)


def test_home_has_one_passphrase(tmp_path):
    assert not check_home_passphrase(tmp_path, PASSPHRASE)
    write(tmp_path)
    assert check_home_passphrase(tmp_path, PASSPHRASE, cost_floor=FAST)
    with pytest.raises(KeystoreError):
        check_home_passphrase(tmp_path, Secret("other"), cost_floor=FAST)
    identity = Secret("of the identity")
    create_key_store(
        tmp_path / "identity.key", seed=bytes(32), created_ms=0, passphrase=identity, cost=FAST
    )
    assert check_home_passphrase(tmp_path, identity, cost_floor=FAST)
    with pytest.raises(KeystoreError):
        check_home_passphrase(tmp_path, PASSPHRASE, cost_floor=FAST)
