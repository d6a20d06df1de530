"""`keys`: made, listed and ended without a node."""

from __future__ import annotations

import pytest

from meshnode.cli import exits
from meshnode.gateway.keys import match_key, read_keys
from tests.support.cli import run_command


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MESHNODE_HOME", str(tmp_path))
    return tmp_path


def test_key_goes_to_stdout_alone_and_is_never_shown_again(capsys, home):
    made = run_command(capsys, "keys", "create", "agent")
    token = made.out.strip()
    assert (made.code, token.startswith("sk-mesh-")) == (exits.OK, True)
    assert "only time" in made.err
    key = match_key(read_keys(home), token, now_ms=0)
    assert key is not None
    listed = run_command(capsys, "keys", "list")
    assert key.id in listed.out
    assert "chat models" in listed.out
    assert token not in listed.out + listed.err
    assert key.digest not in run_command(capsys, "keys", "list", "--json").out


def test_limits_are_kept_and_shown(capsys, home):
    options = ("--scope", "chat", "--scope", "read", "--requests-per-min", "60")
    more = ("--concurrent", "2", "--ruv-per-day", "0.5", "--expires-days", "30", "--json")
    document = run_command(capsys, "keys", "create", "nightly", *options, *more).document
    assert document["schema"] == "meshnode.api_key/1"
    assert (document["scopes"], document["ruv_per_day"]) == (["chat", "read"], "0.5")
    assert document["expires_ms"] - document["created_ms"] == 30 * 86_400_000
    (key,) = read_keys(home)
    assert (key.requests_per_min, key.concurrent, key.day_uruv) == (60, 2, 500_000)
    shown = " ".join(run_command(capsys, "keys", "list").out.split())
    assert "60/min" in shown
    document = run_command(capsys, "keys", "list", "--json").document
    assert [each["name"] for each in document["keys"]] == ["nightly"]


def test_ended_key_is_told_and_revoked_one_is_gone(capsys, home, monkeypatch):
    run_command(capsys, "keys", "create", "a", "--expires-days", "1")
    run_command(capsys, "keys", "create", "b")
    assert "ended" not in run_command(capsys, "keys", "list").out
    monkeypatch.setattr("time.time_ns", lambda: 10**20)
    assert "ended" in run_command(capsys, "keys", "list").out
    assert "worthless" in run_command(capsys, "keys", "revoke", "a").err
    missing = run_command(capsys, "keys", "revoke", "a")
    assert (missing.code, "there is no key 'a'" in missing.err) == (exits.REFUSED, True)


def test_no_keys_is_said(capsys):
    assert "no keys yet" in run_command(capsys, "keys", "list").out


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_names_are_for_people(capsys, name):
    assert run_command(capsys, "keys", "create", name).code == exits.USAGE
