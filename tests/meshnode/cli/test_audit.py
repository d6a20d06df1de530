"""`market audit`: an account's chain, shown, exported, and checked by whoever gets the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshnode.errors import NoDaemon
from tests.support.audit_chain import ENTRIES, make_audit, make_entry
from tests.support.cli import run_command
from tests.support.trading_remote import TradingRemote


@pytest.fixture
def remote(monkeypatch):
    node = TradingRemote(audit=make_audit(ENTRIES))
    monkeypatch.setattr("meshnode.cli.market_audit.connect", lambda home: node)
    return node


def test_chain_is_shown(capsys, remote):
    outcome = run_command(capsys, "market", "audit", "alice")
    assert "chain       holds" in outcome.out
    assert "contract settled" in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    assert remote.asked == [{"call": "audit", "account": "alice", "limit": 10, "after": None}]
    document = run_command(capsys, "market", "audit", "--json").document
    assert (document["schema"], document["count"]) == ("meshnode.market-audit/1", 3)


@pytest.mark.parametrize(
    ("verified", "code", "text"), [(None, 0, "older events are not held"), (False, 1, "BROKEN")]
)
def test_chain_that_cannot_be_vouched_for_is_told(capsys, remote, verified, code, text):
    remote.audit = make_audit([], verified=verified)
    outcome = run_command(capsys, "market", "audit")
    assert (outcome.code, text in outcome.out) == (code, True)


def test_exported_file_is_checked_against_the_node(capsys, remote, tmp_path):
    path = str(tmp_path / "alice.jsonl")
    outcome = run_command(capsys, "market", "audit", "--export", path)
    assert outcome.out == f"wrote 3 events to {path}\n"
    outcome = run_command(capsys, "market", "audit", "--verify", path)
    assert (outcome.code, "it is the chain that this node knows" in outcome.out) == (0, True)
    remote.audit = make_audit([*ENTRIES, ENTRIES[-1].__class__.from_json(
        {**ENTRIES[-1].to_json(), "commit_index": 12}
    )])  # fmt: skip
    document = run_command(capsys, "market", "audit", "--verify", path, "--json").document
    assert (document["agreed"], document["count"]) == (True, 3)
    remote.audit = make_audit([*ENTRIES[:3], make_entry(9, "contract_refunded")])
    outcome = run_command(capsys, "market", "audit", "--verify", path)
    assert (outcome.code, "NOT the chain" in outcome.out) == (1, True)
    remote.audit = make_audit(ENTRIES, count=9)
    outcome = run_command(capsys, "market", "audit", "--verify", path)
    assert (outcome.code, "was not checked" in outcome.err) == (0, True)


def test_long_chain_is_read_page_by_page(capsys, remote, tmp_path):
    remote.page_max = 2
    path = tmp_path / "alice.jsonl"
    assert run_command(capsys, "market", "audit", "alice", "--export", str(path)).code == 0
    assert [asked["after"] for asked in remote.asked] == [0, 2]
    # By its id from the second page on: a name can be given away in between.
    assert [asked["account"] for asked in remote.asked] == ["alice", remote.audit.account]
    assert list(tmp_path.iterdir()) == [path]
    remote.asked.clear()
    outcome = run_command(capsys, "market", "audit", "--verify", str(path))
    assert "it is the chain that this node knows" in outcome.out


def test_device_is_written_to_and_stays_a_device(capsys, remote):
    assert run_command(capsys, "market", "audit", "--export", "/dev/null").code == 0
    assert not Path("/dev/null").is_file()


def test_file_is_checked_without_a_node(capsys, remote, tmp_path, monkeypatch):
    path = tmp_path / "alice.jsonl"
    text = run_command(capsys, "market", "audit", "--export", "-").out
    path.write_text(text)

    def refuse(home):
        raise NoDaemon("no node runs")

    monkeypatch.setattr("meshnode.cli.market_audit.connect", refuse)
    outcome = run_command(capsys, "market", "audit", "--verify", str(path))
    assert outcome.code == 0
    assert "3 events of alice" in outcome.out
    assert "no node could tell" in outcome.err
    document = run_command(capsys, "market", "audit", "--verify", str(path), "--json").document
    assert document["agreed"] is None
    path.write_text(text.replace("staked", "sent"))
    outcome = run_command(capsys, "market", "audit", "--verify", str(path))
    assert (outcome.code, "do not give the last link" in outcome.err) == (1, True)
    path.write_bytes(b"\xff\n")
    assert run_command(capsys, "market", "audit", "--verify", str(path)).code == 1


def test_export_as_json_tells_where(capsys, remote, tmp_path):
    path = tmp_path / "x.jsonl"
    document = run_command(capsys, "market", "audit", "--export", str(path), "--json").document
    assert document["file"] == str(path)
    assert json.loads(path.read_text().splitlines()[0])["schema"] == "meshnode.audit-file/1"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--verify", "absent"], 4, "cannot be read"),
        (["--verify", "x", "--export", "y"], 2, "goes alone"),
        (["alice", "--verify", "x"], 2, "goes alone"),
        (["--export", "/nowhere/at/all"], 4, "cannot be written"),
    ],
)
def test_file_that_cannot_be_had_is_told(capsys, remote, words, code, text):
    outcome = run_command(capsys, "market", "audit", *words)
    assert (outcome.code, text in outcome.err) == (code, True)


def test_chain_that_is_not_whole_is_not_exported(capsys, remote, tmp_path):
    remote.audit = make_audit(ENTRIES, count=9)
    path = tmp_path / "x.jsonl"
    outcome = run_command(capsys, "market", "audit", "--export", str(path))
    assert (outcome.code, path.exists()) == (4, False)
