"""The passphrase's sources, their order, and their limits."""

from __future__ import annotations

import pytest

from meshnode.errors import KeystoreError
from meshnode.passphrase import choose_passphrase, read_passphrase
from meshnode.secret import Secret


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text("from file\n")
    return path


def test_sources_are_read_in_order(file, tmp_path):
    other = tmp_path / "other"
    other.write_text("other")
    environ = {"MESHNODE_PASSPHRASE_FILE": str(other), "MESHNODE_PASSPHRASE": "direct"}
    assert read_passphrase(file, environ) == Secret("from file")
    assert read_passphrase(None, environ) == Secret("other")
    assert read_passphrase(None, {"MESHNODE_PASSPHRASE": "direct"}) == Secret("direct")
    assert read_passphrase(None, {}) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 2_000])
def test_unusable_file_is_refused_without_its_content(file, content):
    file.write_bytes(content)
    with pytest.raises(KeystoreError, match="passphrase file"):
        read_passphrase(file, {})


def test_missing_file_and_long_variable_are_refused(tmp_path):
    with pytest.raises(KeystoreError, match="cannot be read"):
        read_passphrase(tmp_path / "absent", {})
    with pytest.raises(KeystoreError, match="1024 bytes"):
        read_passphrase(None, {"MESHNODE_PASSPHRASE": "x" * 2_000})


def test_terminal_is_asked_once_for_a_fresh_key():
    questions = []

    def prompt(question):
        questions.append(question)
        return "typed"

    choice = choose_passphrase(None, file=None, environ={}, prompt=prompt)
    assert (choice.passphrase, choice.warning) == (Secret("typed"), "")
    assert len(questions) == 1


def test_empty_answer_and_no_terminal_mean_unencrypted_with_a_warning():
    for prompt in (lambda _: "", None):
        choice = choose_passphrase(None, file=None, environ={}, prompt=prompt)
        assert choice.passphrase is None
        assert "MESHNODE_PASSPHRASE_FILE" in choice.warning


def test_encrypted_key_is_asked_for_and_unencrypted_never():
    choice = choose_passphrase("encrypted", file=None, environ={}, prompt=lambda _: "typed")
    assert choice.passphrase == Secret("typed")
    assert choose_passphrase("encrypted", file=None, environ={}, prompt=None).passphrase is None
    choice = choose_passphrase("unencrypted-demo", file=None, environ={}, prompt=None)
    assert (choice.passphrase, choice.warning) == (None, "")
