"""`market close | finalise | dispute | verdict`: said once, and only where it can hold."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import pytest

from market.commands import Close, Dispute, Finalise, VerdictMotion
from tests.support.cli import run_command
from tests.support.trading_remote import TradingRemote, make_contract, make_outcome
from tests.support.views import make_id

CONTRACT = bytes.fromhex(make_id("contract"))
BEGINNING = make_id("contract")[:6]
REASON = "half of the answer is missing"


@pytest.fixture
def remote(monkeypatch):
    node = TradingRemote()
    node.stand_in(monkeypatch)
    node.state = replace(node.state, author=make_id("alice"))
    return node


def said(remote):
    return [command for asked in remote.asked for command in asked.get("commands", ())]


def be(remote, name, **changes):
    """This node is `name`, and the contract is as told."""
    remote.state = replace(remote.state, author=make_id(name))
    remote.contracts = [make_contract(**changes)]


# --- closing and finalising ------------------------------------------------------------------------


def test_buyer_closes(capsys, remote):
    outcome = run_command(capsys, "market", "close", BEGINNING, "--timeout", "7")
    assert (outcome.code, said(remote)) == (0, [Close(CONTRACT)])
    assert remote.asked[-1]["wait_ms"] == 7_000
    assert "0.024 ruv of 0.06 ruv are due so far" in outcome.out
    document = run_command(capsys, "market", "close", BEGINNING, "--json").document
    assert document["status"] == "accepted"


def test_finalise_says_whether_the_other_side_has(capsys, remote):
    be(remote, "alice", phase="claimable")
    assert "once the other side" in run_command(capsys, "market", "finalise", BEGINNING).out
    be(remote, "alice", phase="claimable", provider_final=True)
    assert "settled for 0.024 ruv" in run_command(capsys, "market", "finalise", BEGINNING).out
    be(remote, "bob", phase="claimable", buyer_final=True)
    assert "settled for 0.024 ruv" in run_command(capsys, "market", "finalise", BEGINNING).out
    assert said(remote) == [Finalise(CONTRACT)] * 3


@pytest.mark.parametrize(
    ("name", "phase", "words", "message"),
    [
        ("bob", "delivering", ("close", BEGINNING), "is closed by its buyer"),
        ("carol", "delivering", ("close", BEGINNING), "is of others"),
        ("alice", "claimable", ("close", BEGINNING), "only one that is delivering"),
        ("carol", "claimable", ("finalise", BEGINNING), "is of others"),
        ("alice", "settled", ("finalise", BEGINNING), "only one that is claimable"),
        ("carol", "claimable", ("dispute", BEGINNING, "--reason", "x", "--yes"), "is of others"),
        (
            "alice",
            "locked",
            ("dispute", BEGINNING, "--reason", "x", "--yes"),
            "delivering or claimable",
        ),
        ("alice", "claimable", ("verdict", BEGINNING, "--provider", "5"), "only one that is disp"),
    ],
)
def test_what_nobody_would_take_is_not_said(capsys, remote, *, name, phase, words, message):
    be(remote, name, phase=phase)
    outcome = run_command(capsys, "market", *words)
    assert (outcome.code, message in outcome.err, said(remote)) == (4, True, [])


def test_refusal_is_told_with_its_code(capsys, remote):
    remote.outcome = make_outcome(
        "close", status="refused", code="wrong_phase", message="too late", hint="look at it"
    )
    outcome = run_command(capsys, "market", "close", BEGINNING)
    assert (outcome.code, "wrong_phase: too late" in outcome.err) == (4, True)
    assert "look at it" in outcome.err


# --- disputing -------------------------------------------------------------------------------------


def test_dispute_tells_what_it_means_before_it_is_said(capsys, remote, tmp_path):
    evidence = tmp_path / "log.txt"
    evidence.write_bytes(b"what came")
    words = ("market", "dispute", BEGINNING, "--reason", f" {REASON} ", "--yes")
    outcome = run_command(capsys, *words, "--evidence", str(evidence))
    digest = hashlib.sha256(b"what came").digest()
    assert (outcome.code, said(remote)) == (0, [Dispute(CONTRACT, REASON, digest)])
    for text in ("alice from bob", "are a bond", digest.hex()[:16], REASON, "0.024 ruv so far"):
        assert text in outcome.err
    assert all(len(line) <= 80 for line in (outcome.out + outcome.err).splitlines())


def test_dispute_without_a_file_has_its_reason_as_evidence(capsys, remote):
    run_command(capsys, "market", "dispute", BEGINNING, "--reason", REASON, "--yes")
    assert said(remote)[0].evidence_digest == hashlib.sha256(REASON.encode()).digest()


@pytest.mark.parametrize(("typed", "code"), [("yes\n", 0), ("Yes \n", 0), ("y\n", 4), ("", 4)])
def test_dispute_asks_a_person(capsys, remote, monkeypatch, typed, code):
    monkeypatch.setattr("meshnode.cli.market_contract.is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    outcome = run_command(capsys, "market", "dispute", BEGINNING, "--reason", REASON)
    assert (outcome.code, len(said(remote))) == (code, int(not code))
    assert "Type yes" in outcome.err


def test_dispute_without_a_person_needs_yes(capsys, remote, monkeypatch):
    monkeypatch.setattr("meshnode.cli.market_contract.is_interactive", lambda: False)
    outcome = run_command(capsys, "market", "dispute", BEGINNING, "--reason", REASON)
    assert (outcome.code, "agree by `--yes`" in outcome.err, said(remote)) == (4, True, [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a reason of 1 to 256"),
        (("--reason", "  "), "a reason of 1 to 256"),
        (("--reason", "x" * 257), "257 characters where 256"),
        (("--reason", "api_key=hunter2"), "looks like it holds a key"),
        (("--reason", "x", "--evidence", "absent.txt"), "cannot be read: No such file"),
        (("--reason", "x", "--evidence", "empty.txt"), "is empty"),
    ],
)
def test_dispute_refuses_what_shows_nothing(
    capsys, remote, monkeypatch, tmp_path, *, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").touch()
    outcome = run_command(capsys, "market", "dispute", BEGINNING, "--yes", *words)
    assert (outcome.code, message in outcome.err, remote.asked) == (2, True, [])
    assert "hunter2" not in outcome.err


# --- verdicts --------------------------------------------------------------------------------------


def test_verdict_is_moved_whole(capsys, remote):
    be(remote, "carol", phase="disputed")
    outcome = run_command(
        capsys, "market", "verdict", BEGINNING, "--provider", "25", "--method", "replay",
        "--compared", "40", "--matched", "12", "--model-digest", "5e" * 32, "--fraud",
    )  # fmt: skip
    motion = VerdictMotion(CONTRACT, 2_500, 40, 12, "replay", b"\x5e" * 32, True)
    assert (outcome.code, said(remote)) == (0, [motion])
    assert "25 % of 0.024 ruv are the provider's" in outcome.out
    assert "loses all it bonded" in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())


def test_verdict_by_hand_names_no_weights(capsys, remote):
    be(remote, "carol", phase="disputed")
    outcome = run_command(capsys, "market", "verdict", BEGINNING, "--provider", "0")
    motion = VerdictMotion(CONTRACT, 0, 0, 0, "by hand", b"", False)
    assert (outcome.code, said(remote)) == (0, [motion])
    assert "bonded" not in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a verdict needs --provider"),
        (("--provider", "101"), "100"),
        (("--provider", "1", "--matched", "2", "--compared", "1"), "never more --matched"),
        (("--provider", "1", "--model-digest", "5e"), "no SHA-256"),
        (("--provider", "1", "--model-digest", "zz"), "no SHA-256"),
        (("--provider", "1", "--method", "x" * 300), "--method has 300 characters"),
    ],
)
def test_verdict_refuses_what_cannot_be_judged(capsys, remote, words, message):
    be(remote, "carol", phase="disputed")
    outcome = run_command(capsys, "market", "verdict", BEGINNING, *words)
    assert (outcome.code, message in outcome.err, said(remote)) == (2, True, [])
