"""Chains of an account's events, as nodes make them."""

from __future__ import annotations

from market.events import Event, extend_audit
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
