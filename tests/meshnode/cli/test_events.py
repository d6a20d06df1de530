"""`meshnode events`: what is shown of each event, and where it begins and ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from meshnode.cli.events import describe_event
from meshnode.errors import NoDaemon
from meshnode.event_views import (
    CommitteeChanged,
    EventsLost,
    ForkFound,
    NoPeers,
    OffenceCounted,
    OrderJoined,
    OrderStopped,
    PeerJoined,
    PeerLeft,
    PeerServing,
    VertexRepeated,
    VertexSeen,
    VerticesOrdered,
)
from tests.support.cli import FakeRemote, run_command
from tests.support.views import make_id, make_vertex

RESULT = VertexSeen(vertex=make_vertex("a1", "alice", 1), own=True)
BLOCK = VertexSeen(vertex=make_vertex("x1", "alice", 1, kind="block", lane=1), own=True)


def make_commit(index, count):
    return VerticesOrdered(
        commit_index=index,
        commit_digest=make_id(f"commit {index}"),
        time_ms=1_700_000_000_000,
        vertices=tuple(make_id(f"{index}/{number}") for number in range(count)),
        leader=make_id("leader"),
    )


@pytest.fixture
def remote(monkeypatch):
    node = FakeRemote(happening=[RESULT, BLOCK, make_commit(7, 1), make_commit(8, 0)])
    monkeypatch.setattr("meshnode.cli.events.connect", lambda home: node)
    return node


def test_events_are_one_line_each_and_leave_blocks_out(capsys, remote):
    outcome = run_command(capsys, "events", "--after", "6")
    assert outcome.code == 0
    first, second, third = outcome.out.splitlines()
    assert first == f"vertex {make_id('a1')[:8]}: result by alice: summary of a1"
    assert second.startswith("commit 7 at ")
    assert second.endswith(f", 1 vertex: {make_id('7/0')[:8]}")
    assert third.endswith(", blocks only")
    assert remote.asked == [{"after": 6}]


def test_events_can_be_commits_only_and_end_by_themselves(capsys, remote):
    lines = run_command(capsys, "events", "--commits", "--limit", "1").out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("commit 7")


def test_events_as_json_are_complete_and_one_document_per_line(capsys, remote):
    lines = run_command(capsys, "events", "--json").out.splitlines()
    assert [json.loads(line)["type"] for line in lines] == [
        "vertex_seen",
        "vertex_seen",
        "vertices_ordered",
        "vertices_ordered",
    ]


def test_events_end_with_a_person_who_has_seen_enough_or_with_the_node(capsys, remote):
    remote.happening = [RESULT, asyncio.CancelledError()]
    assert run_command(capsys, "events").code == 0
    remote.happening = [NoDaemon("the node ended the connection")]
    outcome = run_command(capsys, "events")
    assert outcome.code == 3
    assert "ended the connection" in outcome.err


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (replace(make_commit(1, 0), time_ms=0), ["commit 1, blocks only"]),
        (make_commit(9, 6), ["commit 9", "6 vertices", "and 2 more"]),
        (PeerJoined(peer="p", author=make_id("bob"), name="bob"), ["peer bob is connected"]),
        (PeerLeft(peer="p", author=make_id("bob"), reason="silent"), ["is gone: silent"]),
        (
            PeerServing(
                peer="p",
                author=make_id("bob"),
                models=(),
                slots=1,
                running=0,
                queued=0,
                draining=False,
            ),
            ["serves nothing"],
        ),
        (
            ForkFound(author=make_id("eve"), lane=0, seq=3, first="a", second="b"),
            ["contradicts itself at 3"],
        ),
        (OffenceCounted(peer="p", offence="flood", detail="too much"), ["offence flood: too much"]),
        (NoPeers(tried=()), ["no member answers"]),
        (EventsLost(), ["events were lost"]),
        (CommitteeChanged(epoch=2, commit_index=9), ["epoch 2 begins behind commit 9"]),
        (OrderStopped(reason="round 3 commits both"), ["any more: round 3 commits both"]),
        (OrderJoined(commit_index=9), ["commits up to 9 are not held here", "snapshot"]),
        (VertexRepeated(first="ab" * 32, again="cd" * 32), ["abababab", "again as cdcdcdcd"]),
    ],
)
def test_every_event_has_a_line(event, words):
    line = describe_event(event)
    assert "\n" not in line
    assert all(word in line for word in words)
