"""API keys: shown once, kept as digests, ended at once."""

from __future__ import annotations

import json
import stat

import pytest

from meshnode.errors import CommandRejected, StorageError
from meshnode.gateway import keys
from meshnode.gateway.keys import create_key, match_key, read_keys, revoke_key

NOW_MS = 1_700_000_000_000


def test_key_is_kept_as_a_digest_in_a_private_file(tmp_path):
    key, token = create_key(tmp_path, name="agent", now_ms=NOW_MS)
    path = tmp_path / "api_keys.json"
    assert token.reveal().startswith(f"sk-mesh-{key.id}-")
    assert token.reveal() not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.scopes == ("chat", "models")
    assert read_keys(tmp_path) == (key,)
    assert str(token) == "********"


def test_matching_takes_the_whole_key_and_its_time(tmp_path):
    key, token = create_key(tmp_path, name="a", now_ms=NOW_MS, expires_ms=NOW_MS + 10)
    create_key(tmp_path, name="b", now_ms=NOW_MS, scopes=("read", "chat"))
    found = read_keys(tmp_path)
    assert match_key(found, token.reveal(), now_ms=NOW_MS) == key
    assert match_key(found, token.reveal(), now_ms=NOW_MS + 10) is None
    assert match_key(found, f"{token.reveal()}x", now_ms=NOW_MS) is None
    assert found[1].scopes == ("chat", "read")


def test_revoked_key_is_gone_by_id_or_name(tmp_path):
    first, _ = create_key(tmp_path, name="a", now_ms=NOW_MS)
    create_key(tmp_path, name="b", now_ms=NOW_MS)
    assert revoke_key(tmp_path, first.id) == first
    assert revoke_key(tmp_path, "b").name == "b"
    assert read_keys(tmp_path) == ()
    with pytest.raises(CommandRejected):
        revoke_key(tmp_path, "b")


def test_names_are_unique_among_keys_that_hold(tmp_path):
    create_key(tmp_path, name="a", now_ms=NOW_MS, expires_ms=NOW_MS + 1)
    with pytest.raises(CommandRejected):
        create_key(tmp_path, name="a", now_ms=NOW_MS)
    create_key(tmp_path, name="a", now_ms=NOW_MS + 1)
    assert len(read_keys(tmp_path)) == 1


def test_keys_are_bounded_in_number(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "KEYS_MAX", 1)
    create_key(tmp_path, name="a", now_ms=NOW_MS)
    with pytest.raises(CommandRejected):
        create_key(tmp_path, name="b", now_ms=NOW_MS)


@pytest.mark.parametrize("text", ["{", json.dumps({"version": 2, "keys": []}), "[" * 100_000])
def test_damaged_file_is_refused(tmp_path, text):
    path = tmp_path / "api_keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(StorageError):
        read_keys(tmp_path)


def test_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "api_keys.lock").mkdir()
    with pytest.raises(StorageError):
        create_key(tmp_path, name="a", now_ms=NOW_MS)
