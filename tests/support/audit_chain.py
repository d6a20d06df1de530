"""Chains of an account's events, as nodes make them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

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


def make_page(audit: AuditInfo, after: int, limit: int) -> AuditInfo:
    """What a node answers to `after`, places being those in the chain."""
    oldest_first = [entry for entry in reversed(audit.entries) if entry.kind != "refused"]
    page = tuple(oldest_first[after : after + limit])
    is_checked = not after and len(oldest_first) == audit.count
    return replace(
        audit,
        verified=audit.verified if is_checked else None,
        entries=page,
        next_after=after + len(page),
    )


async def read_pages(audit: AuditInfo, limit: int = 2) -> AsyncIterator[AuditInfo]:
    """All pages of a chain, and the empty one behind them."""
    page = make_page(audit, 0, limit)
    yield page
    while page.entries:
        page = make_page(audit, page.next_after or 0, limit)
        yield page


ENTRIES = [
    make_entry(3),
    make_entry(3, "staked"),
    make_entry(4, "refused", detail="insufficient_funds"),
    make_entry(9, "contract_settled", detail="price"),
]
