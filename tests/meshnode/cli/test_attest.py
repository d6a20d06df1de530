"""`market attest`, `revoke`, `attestations`, `hardware`: by choice, in plain words, without secrets."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field

import pytest

from dag.keys import derive_secret_keys
from meshnode.cli import market_attest
from meshnode.config_file import locate_home
from meshnode.errors import CommandRejected
from meshnode.hardware_spec import HardwareSpec, encode_document, read_document, sign_spec
from meshnode.offer_file import EXAMPLE
from tests.support.cli import run_command
from tests.support.trading_remote import (
    VARIANT,
    TradingRemote,
    make_attestation,
    make_instrument,
    make_outcome,
)
from tests.support.views import make_id, make_status

KEY = "sk-proj-abcdefghij0123456789"
SPEC = HardwareSpec(cpu="AMD EPYC 9654", cpu_cores=96)
DOCUMENT = sign_spec(
    SPEC, secrets=derive_secret_keys(bytes(32)), suite="ed25519", network=bytes(32)
)


@dataclass
class AttestingRemote(TradingRemote):
    signed: list[HardwareSpec] = field(default_factory=list)


@pytest.fixture
def remote(monkeypatch, tmp_path):
    node = AttestingRemote(outcome=make_outcome("attest"))
    node.state = make_status(author=DOCUMENT.author)
    monkeypatch.setattr("meshnode.cli.market_attest.connect", lambda home: node)

    def sign(home, spec):
        node.signed.append(spec)
        return DOCUMENT, tmp_path / "document.json"

    monkeypatch.setattr("meshnode.cli.market_attest.sign_hardware", sign)
    return node


@pytest.fixture
def terms(tmp_path):
    path = tmp_path / "LICENSE"
    path.write_text("You may.")
    return str(path)


def attest(capsys, terms, *words):
    return run_command(
        capsys, "market", "attest", VARIANT, "--terms", terms, "--terms-version", "2025-07", *words
    )


def test_attesting_says_what_it_means_and_needs_a_yes(capsys, remote, terms):
    outcome = attest(capsys, terms)
    assert (outcome.code, outcome.out) == (4, "")
    assert "needs your own yes" in outcome.err
    assert "credentials never" in outcome.err
    assert "no\n  program can judge" in outcome.err
    assert [asked["call"] for asked in remote.asked if "call" in asked] == []
    assert remote.signed == []


def test_attestation_is_given_in_the_units_of_the_market(capsys, remote, terms):
    outcome = attest(capsys, terms, "--yes", "--daily-cap", "200000", "--backend", "own_account")
    assert outcome.code == 0
    assert remote.asked == [
        {
            "call": "attest",
            "model": make_id(VARIANT),
            "backend": "own_account",
            "terms_digest": hashlib.sha256(b"You may.").hexdigest(),
            "terms_version": "2025-07",
            "hardware_digest": DOCUMENT.digest,
            "daily_cap_lots": 200,
            "wait_ms": 30_000,
        }
    ]
    assert "on your own account with the model's provider" in outcome.err
    assert "200,000 tokens a day" in outcome.out
    assert f"meshnode market revoke {VARIANT}" in outcome.out
    assert all(len(line) <= 80 for line in outcome.err.splitlines()[:12])
    assert remote.signed == [HardwareSpec()]


def test_file_gives_model_and_hardware(capsys, remote, terms, tmp_path):
    path = tmp_path / "offer.toml"
    path.write_text(EXAMPLE.replace("kimi-k2-instruct/fp8", VARIANT))
    words = ["market", "attest", "--file", str(path), "--terms", terms, "--terms-version", "1"]
    outcome = run_command(capsys, *words, "--yes", "--publish", "--json")
    assert (outcome.code, outcome.document["status"]) == (0, "accepted")
    assert remote.signed[0].accelerator == "NVIDIA H100 80GB"
    published = remote.asked[-1]
    assert published["media_type"] == "application/vnd.meshnode.hardware+json"
    assert read_document(published["content"]) == DOCUMENT
    outcome = run_command(capsys, *words[:2], "other", *words[2:], "--yes")
    assert (outcome.code, "names another model" in outcome.err) == (2, True)


def test_person_is_asked(capsys, remote, terms, monkeypatch):
    monkeypatch.setattr("meshnode.cli.attest_text.is_interactive", lambda: True)
    for answer, code in (("y\n", 4), ("", 4), ("yes\n", 0), ("YES \n", 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        outcome = attest(capsys, terms)
        assert outcome.code == code
        assert f"Open {VARIANT}? Type yes:" in outcome.err
        assert bool(remote.asked) == (code == 0)


def test_terms_of_contribution_are_told(capsys, remote, terms):
    remote.instruments = [make_instrument(policy="contribution_only")]
    assert "what you get is a reward" in attest(capsys, terms, "--yes").err


def test_key_of_another_home_is_refused(capsys, remote, terms):
    remote.state = make_status()
    outcome = attest(capsys, terms, "--yes")
    assert (outcome.code, "is not the running node's" in outcome.err) == (4, True)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["market", "attest"], 2, "an attestation is for a model"),
        (["market", "attest", VARIANT], 2, "names the terms you have read"),
        (
            ["market", "attest", VARIANT, "--terms", "absent", "--terms-version", "1"],
            2,
            "cannot be read",
        ),
        (
            ["market", "attest", VARIANT, "--terms", "/dev/null", "--terms-version", "1"],
            2,
            "are empty or larger",
        ),
        (["market", "attest", VARIANT, "--daily-cap", "0"], 2, "--daily-cap"),
    ],
)
def test_incomplete_attestation_is_refused(capsys, remote, words, code, text):
    outcome = run_command(capsys, *words)
    assert (outcome.code, text in outcome.err) == (code, True)
    assert remote.asked == []


def test_unlisted_model_is_refused(capsys, remote, terms):
    remote.instruments = [make_instrument(variant="other", model="ff" * 32)]
    outcome = attest(capsys, terms, "--yes")
    assert (outcome.code, f"no model '{VARIANT}' is listed" in outcome.err) == (4, True)


def test_credential_is_refused_and_not_repeated(capsys, remote, terms):
    words = ("--terms", terms, "--terms-version", KEY, "--yes")
    outcome = run_command(capsys, "market", "attest", VARIANT, *words)
    assert (outcome.code, remote.asked) == (2, [])
    assert "--terms-version looks like it holds a key" in outcome.err
    assert KEY not in outcome.out + outcome.err


def test_revoking_ends_offers(capsys, remote):
    outcome = run_command(capsys, "market", "revoke", VARIANT)
    assert "offers of it are gone" in outcome.out
    assert remote.asked == [{"call": "revoke", "model": VARIANT, "wait_ms": 30_000}]


def test_attestations_are_listed(capsys, remote):
    remote.attestations = [make_attestation(variant="v" * 128, terms_version="x" * 64)]
    lines = run_command(capsys, "market", "attestations", "--account", "alice").out.splitlines()
    assert "own weights" in lines[2]
    assert all(len(line) <= 80 for line in lines)
    assert remote.asked[0]["account"] == "alice"
    document = run_command(capsys, "market", "attestations", "--json").document
    assert document["attestations"][0]["terms_digest"] == make_id("terms")
    remote.attestations = []
    assert "nobody has opened" in run_command(capsys, "market", "attestations").out


# --- hardware documents ----------------------------------------------------------------------------


def test_hardware_of_a_file_is_checked_and_shown(capsys, tmp_path):
    path = tmp_path / "bob.json"
    path.write_bytes(encode_document(DOCUMENT))
    outcome = run_command(capsys, "market", "hardware", str(path))
    assert f"digest      {DOCUMENT.digest}" in outcome.out
    assert "signature   holds (ed25519)" in outcome.out
    assert "cpu cores                96" in outcome.out
    assert "accelerator" not in outcome.out
    document = run_command(capsys, "market", "hardware", str(path), "--json").document
    assert document["spec"]["cpu_cores"] == 96
    path.write_text(json.dumps({**document, "spec": {"cpu_cores": 97}}))
    outcome = run_command(capsys, "market", "hardware", str(path))
    assert (outcome.code, "is not that of its text" in outcome.err) == (1, True)


def test_hardware_is_signed_with_the_key_of_the_home_and_kept_there(capsys):
    assert run_command(capsys, "init", "--suite", "ed25519").code == 0
    document, path = market_attest.sign_hardware(None, SPEC)
    assert read_document(path.read_bytes()) == document
    for name in (document.digest, document.digest[:8]):
        assert document.digest in run_command(capsys, "market", "hardware", name).out
    outcome = run_command(capsys, "market", "hardware", "ffff0000")
    assert (outcome.code, "no document begins with 'ffff0000'" in outcome.err) == (4, True)
    market_attest.sign_hardware(None, HardwareSpec(cpu_cores=1))
    outcome = run_command(capsys, "market", "hardware", "")
    assert (outcome.code, "2 documents begin" in outcome.err) == (4, True)


def test_home_without_a_network_signs_nothing(home):
    locate_home(None, {"MESHNODE_HOME": str(home)}).mkdir()
    with pytest.raises(CommandRejected, match="belongs to no network"):
        market_attest.sign_hardware(None, SPEC)
