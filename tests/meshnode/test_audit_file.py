"""Exported chains: complete and unchanged, or the place where they break is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.events import Event, extend_audit
from meshnode.audit_file import check_audit, write_audit
from meshnode.errors import CommandRejected, MalformedMessage
from meshnode.market_views import AuditInfo, HistoryEntry

ACCOUNT = bytes(range(32))


def make_entry(index: int, kind: str = "sent", **changes) -> HistoryEntry:
    fields = {
        "commit_index": index,
        "time_ms": 1_700_000_000_000 + index,
        "kind": kind,
        "account": ACCOUNT.hex(),
        "account_name": "alice",
        "subject": bytes([index % 256]).hex() * 32,
        "amount_uruv": 5 * index,
        "detail": "",
    }
    return HistoryEntry(**{**fields, **changes})


def make_audit(entries: list[HistoryEntry], **changes) -> AuditInfo:
    """The chain as nodes make it, over entries from the oldest to the newest."""
    chained = [entry for entry in entries if entry.kind != "refused"]
    digest = bytes(32)
    for index in dict.fromkeys(entry.commit_index for entry in chained):
        group = [entry for entry in chained if entry.commit_index == index]
        events = [
            Event(each.kind, ACCOUNT, bytes.fromhex(each.subject), each.amount_uruv, each.detail)
            for each in group
        ]
        digest = extend_audit(digest, group[0].time_ms, events)
    fields = {
        "account": ACCOUNT.hex(),
        "name": "alice",
        "count": len(chained),
        "digest": digest.hex(),
        "verified": True,
        "entries": tuple(reversed(entries)),
    }
    return AuditInfo(**{**fields, **changes})


ENTRIES = [
    make_entry(3),
    make_entry(3, "staked"),
    make_entry(4, "refused", detail="insufficient_funds"),
    make_entry(9, "contract_settled", detail="price"),
]


def test_exported_chain_holds():
    lines = list(write_audit(make_audit(ENTRIES)))
    assert len(lines) == 4
    head = check_audit(lines)
    assert (head.account, head.name, head.count) == (ACCOUNT.hex(), "alice", 3)
    assert check_audit([*lines, "\n"]) == head


def test_empty_chain_holds():
    assert check_audit(list(write_audit(make_audit([])))).count == 0


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(("sent", "received", "refused"))), max_size=8
    )
)
def test_every_chain_survives_its_file(events):
    entries = [make_entry(index, kind) for index, kind in sorted(events)]
    audit = make_audit(entries)
    assert check_audit(write_audit(audit)).digest == audit.digest


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [
        (1, "amount_uruv", 16),
        (1, "kind", "received"),
        (2, "subject", "ff" * 32),
        (3, "detail", "reward"),
        (3, "time_ms", 1),
        (0, "digest", "00" * 32),
        (0, "account", "00" * 32),
    ],
)
def test_changed_event_breaks_the_chain(number, field, value):
    lines = list(write_audit(make_audit(ENTRIES)))
    lines[number] = json.dumps({**json.loads(lines[number]), field: value})
    with pytest.raises(MalformedMessage, match="do not give the last link"):
        check_audit(lines)


def test_missing_added_and_moved_events_are_found():
    lines = list(write_audit(make_audit(ENTRIES)))
    with pytest.raises(MalformedMessage, match="2 events where 3 are promised"):
        check_audit(lines[:-1])
    with pytest.raises(MalformedMessage, match="4 events where 3"):
        check_audit([*lines, lines[-1]])
    with pytest.raises(MalformedMessage, match="last link"):
        check_audit([lines[0], lines[2], lines[1], lines[3]])
    with pytest.raises(MalformedMessage, match="commit 3 stands behind commit 9"):
        check_audit([lines[0], lines[3], lines[1], lines[2]])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "this is empty"),
        (["x"], "line 1 is not JSON"),
        (["[" * 10_000], "line 1 is not JSON"),
        (["{}"], "first line is not of the form"),
        (["x" * 20_000], "line 1 is longer"),
        (['{"schema": "meshnode.audit-file/1"}'], "AuditHead"),
    ],
)
def test_what_is_no_chain_is_refused(lines, words):
    with pytest.raises(MalformedMessage, match=words):
        check_audit(lines)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("subject", "x", "line 2 names"),
        ("amount_uruv", 2**70, "no node writes"),
        ("detail", "\ud800", "no node writes"),
        ("kind", 5, "AuditLine"),
    ],
)
def test_event_that_no_node_writes_is_refused(field, value, words):
    lines = list(write_audit(make_audit(ENTRIES)))
    lines[1] = json.dumps({**json.loads(lines[1]), field: value})
    with pytest.raises(MalformedMessage, match=words):
        check_audit(lines)


def test_chain_that_is_not_held_whole_is_not_exported():
    audit = make_audit(ENTRIES, count=7, verified=None)
    with pytest.raises(CommandRejected, match="7 events and the node gave 3"):
        list(write_audit(audit))
