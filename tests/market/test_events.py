"""The audit trail: whoever holds an account's events can show that none is missing."""

from __future__ import annotations

from market.events import Event, Trail, extend_audit

ALICE, BOB = bytes(32), bytes([1]) * 32


def test_chain_of_an_account_follows_from_its_events():
    trail = Trail()
    events = [(number, Event("sent", ALICE, bytes([number]) * 32, number)) for number in range(5)]
    for time_ms, event in events:
        trail.begin()
        for each in (event, Event("received", BOB, event.subject, event.amount), event):
            trail.note(each)
        trail.end(time_ms)
    digest = bytes(32)
    for time_ms, event in events:
        digest = extend_audit(digest, time_ms, [event, event])
    audit = trail.audits.get(ALICE)
    assert audit is not None
    assert (audit.count, audit.digest) == (10, digest)


def test_refusal_is_told_and_leaves_no_mark():
    trail = Trail()
    trail.begin()
    before = trail.audits.digest()
    trail.refuse(ALICE, bytes(32), "malformed")
    trail.end(1)
    assert trail.events == (Event("refused", ALICE, bytes(32), detail="malformed"),)
    assert trail.audits.digest() == before
    trail.begin()
    assert not trail.events
