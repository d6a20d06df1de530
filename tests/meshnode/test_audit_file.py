"""Exported chains: complete and unchanged, or the place where they break is told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.audit_file import check_audit, compute_link, write_audit
from meshnode.errors import CommandRejected, MalformedMessage
from meshnode.market_views import AuditInfo
from tests.support.audit_chain import ACCOUNT, ENTRIES, make_audit, make_entry, read_pages


def write_lines(audit, limit=2):
    async def collect():
        return [line async for line in write_audit(read_pages(audit, limit))]

    return asyncio.run(collect())


def find_link(audit, count):
    return asyncio.run(compute_link(read_pages(audit), count))


def test_exported_chain_holds():
    lines = write_lines(make_audit(ENTRIES))
    assert len(lines) == 4
    head = check_audit(lines)
    assert (head.account, head.name, head.count) == (ACCOUNT.hex(), "alice", 3)
    assert check_audit([*lines, "\n"]) == head


def test_empty_chain_holds():
    assert check_audit(write_lines(make_audit([]))).count == 0


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(("sent", "received", "refused"))), max_size=8
    )
)
def test_every_chain_survives_its_file(events):
    entries = [make_entry(index, kind) for index, kind in sorted(events)]
    audit = make_audit(entries)
    for limit in (1, 3, 100):
        assert check_audit(write_lines(audit, limit)).digest == audit.digest


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
    lines = write_lines(make_audit(ENTRIES))
    lines[number] = json.dumps({**json.loads(lines[number]), field: value})
    with pytest.raises(MalformedMessage, match="do not give the last link"):
        check_audit(lines)


def test_missing_added_and_moved_events_are_found():
    lines = write_lines(make_audit(ENTRIES))
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
    lines = write_lines(make_audit(ENTRIES))
    lines[1] = json.dumps({**json.loads(lines[1]), field: value})
    with pytest.raises(MalformedMessage, match=words):
        check_audit(lines)


def test_chain_that_is_not_held_whole_is_not_exported():
    audit = make_audit(ENTRIES, count=7, verified=None)
    with pytest.raises(CommandRejected, match="7 events and the node holds 3"):
        write_lines(audit)


def test_events_behind_the_head_are_left_out():
    async def grow():
        yield replace(make_audit(ENTRIES[:2]), entries=tuple(ENTRIES[:1]))
        yield replace(make_audit(ENTRIES), entries=(ENTRIES[1], ENTRIES[3]))
        pytest.fail("all that the head promises is there")

    async def collect():
        return [line async for line in write_audit(grow())]

    lines = asyncio.run(collect())
    assert (check_audit(lines).count, len(lines)) == (2, 3)


def test_no_pages_make_no_file_and_no_link():
    pages: list[AuditInfo] = []

    async def nothing():
        for page in pages:
            yield page

    async def collect():
        return [line async for line in write_audit(nothing())]

    assert asyncio.run(collect()) == []
    assert asyncio.run(compute_link(nothing(), 1)) is None


def test_link_that_the_pages_do_not_reach_is_unknown():
    async def stop_early():
        yield replace(make_audit(ENTRIES, count=9), entries=tuple(ENTRIES[:1]))

    assert asyncio.run(compute_link(stop_early(), 3)) is None


def test_link_of_a_part_of_the_chain_is_found():
    whole, part = make_audit(ENTRIES), make_audit(ENTRIES[:3])
    assert find_link(whole, 3) == whole.digest
    assert find_link(whole, 2) == part.digest
    assert find_link(whole, 0) == "00" * 32
    assert find_link(whole, 1) not in (whole.digest, part.digest)
    assert find_link(make_audit(ENTRIES, count=7), 3) is None
    assert find_link(part, 3) is None
