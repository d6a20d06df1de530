"""Settings refer to keys; what is no reference is refused without being quoted."""

from __future__ import annotations

import keyring
import pytest

from meshnode.errors import ConfigError, KeystoreError
from meshnode.key_references import KeyPlaces, check_reference, parse_reference, read_key
from meshnode.sealed_keys import write_sealed_key
from meshnode.sealing import COST_FLOOR
from meshnode.secret import Secret
from tests.support.keyrings import MemoryKeyring

KEY = Secret("sk-canary-reference-0123456789")
PASSPHRASE = Secret("correct horse")


def read(text, **places):
    places = {"environ": {}, **places}
    return read_key(parse_reference(text, setting="k"), KeyPlaces(**places), setting="k")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("env:MOONSHOT_API_KEY", "env"),
        ("keyring:meshnode/moonshot", "keyring"),
        ("file:moonshot", "sealed"),
        ("file:/run/credentials/key", "path"),
        ("file:./key.txt", "path"),
    ],
)
def test_reference_reads_back(text, kind):
    reference = parse_reference(text, setting="k")
    assert (reference.kind, str(reference)) == (kind, text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "env:", "env:A B", "env:1A", "keyring:x", "keyring:/", "file:", "file:Upper"),
        *("file:a\n/b", "http:x", "file:/" + "x" * 5_000),
        KEY.reveal(),
        f"env:{KEY.reveal()}",
        f"file:{KEY.reveal()}",
        f"file:/{KEY.reveal()}",
        f"keyring:meshnode/{KEY.reveal()}",
    ],
)
def test_what_is_no_reference_is_refused_unquoted(text):
    with pytest.raises(ConfigError, match="must be a reference") as caught:
        parse_reference(text, setting="k")
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_key_is_found_wherever_it_is_kept(tmp_path, monkeypatch):
    assert read("env:K", environ={"K": f" {KEY.reveal()}\n"}) == KEY
    ring = MemoryKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    ring.set_password("meshnode", "moonshot", KEY.reveal())
    assert read("keyring:meshnode/moonshot") == KEY
    (tmp_path / "plain").write_text(f"{KEY.reveal()}\n")
    assert read(f"file:{tmp_path}/plain") == KEY
    write_sealed_key(tmp_path, "moonshot", KEY, passphrase=PASSPHRASE, now_ms=0, cost=COST_FLOOR)
    assert read("file:moonshot", home=tmp_path, passphrase=PASSPHRASE) == KEY
    with pytest.raises(KeystoreError, match="no passphrase"):
        read("file:moonshot", home=tmp_path)


def test_reference_to_nothing_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(keyring, "get_keyring", MemoryKeyring)
    places = KeyPlaces(environ={}, home=tmp_path)
    for text, words in (
        ("env:ABSENT", "ABSENT, which is not set"),
        ("keyring:meshnode/absent", "entry meshnode/absent of the key ring"),
        ("file:absent", "entry 'absent' of the encrypted key store"),
        ("file:/absent/key", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_reference(parse_reference(text, setting="k"), places, setting="k")
    with pytest.raises(ConfigError, match="no home folder"):
        read("file:moonshot")


def test_sealed_key_is_checked_without_its_passphrase(tmp_path):
    write_sealed_key(tmp_path, "moonshot", KEY, passphrase=PASSPHRASE, now_ms=0, cost=COST_FLOOR)
    places = KeyPlaces(environ={}, home=tmp_path)
    check_reference(parse_reference("file:moonshot", setting="k"), places, setting="k")


@pytest.mark.parametrize("text", ["two words", "line\nline", "ké", "x" * 513])
def test_what_cannot_be_a_key_is_refused_unquoted(text):
    with pytest.raises(ConfigError, match="no key: env:K") as caught:
        read("env:K", environ={"K": text})
    assert text not in str(caught.value)
