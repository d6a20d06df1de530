"""Visits of one node: whom it asks for, what it passes on, what it says of the points."""

from __future__ import annotations

from typing import Any, cast

import pytest

from meshnode.core.entropy import Entropy
from meshnode.core.record_book import RecordBook
from meshnode.discovery.points import FEW_PEERS, MISSING_FIRST_MS, MISSING_MOST_MS, PointVisits
from meshnode.discovery.rendezvous import PeersDesk
from tests.support.find_scene import NETWORK, NOW_MS, FakeMesh, key_of, make_record, peer_of

POINT = 1


class Scene:
    def __init__(self, members=6):
        self.mesh = cast("Any", FakeMesh(members))
        self.theirs = RecordBook(NETWORK, self.mesh.is_member)
        self.own = RecordBook(NETWORK, self.mesh.is_member)
        self.points = PointVisits(
            self.mesh,
            self.own,
            Entropy(bytes(32)),
            own_key=key_of(0),
            read_own=lambda: make_record(0, now_ms=self.mesh.time_ms),
        )

    def serve(self, *, serves=True):
        self.mesh.connect(POINT)
        self.mesh.desks[peer_of(POINT)] = PeersDesk(
            self.theirs,
            serves=serves,
            read_own=lambda: make_record(POINT),
            probe=None,
            now_ms=self.mesh.now_ms,
        )

    async def visit(self):
        if not self.points.visits.points:
            self.points.visits.add(
                NOW_MS, peer_of(POINT), ("/ip4/1.2.3.4/tcp/5/p2p/x",), named=True
            )
        (point,) = self.points.visits.take_due(self.mesh.time_ms)
        await self.points.visit(point)
        return point

    def say(self):
        return self.points.describe([peer_of(POINT)])


@pytest.fixture
async def scene():
    scene = Scene()
    yield scene
    await scene.mesh.close()


async def test_node_with_few_peers_asks_for_all_and_tells_the_core_who_is_where(scene):
    scene.serve()
    for number in (2, 3):
        scene.theirs.admit(NOW_MS, make_record(number))
    point = await scene.visit()
    assert point.answers
    assert {found.peer for found in scene.mesh.found} == {peer_of(2), peer_of(3)}
    assert all(found.signed for found in scene.mesh.found)
    assert scene.theirs.get(key_of(0)) is not None
    assert scene.say()[0].state == "ok"


async def test_node_with_enough_peers_asks_for_those_it_misses(scene):
    scene.serve()
    for number in range(1, FEW_PEERS + 1):
        scene.mesh.connect(number)
        scene.theirs.admit(NOW_MS, make_record(number))
    scene.theirs.admit(NOW_MS, make_record(5))
    scene.points.look_for_missing(NOW_MS)
    await scene.visit()
    assert [found.peer for found in scene.mesh.found] == [peer_of(5)]


async def test_peer_that_is_no_point_is_left_alone_and_not_shown_unless_named(scene):
    scene.serve(serves=False)
    point = await scene.visit()
    assert not point.answers
    (way,) = scene.say()
    assert way.state == "fail"
    assert scene.points.describe([]) == []


async def test_point_that_cannot_be_reached_is_a_failure_with_its_next_step(scene):
    assert scene.say() == []
    scene.points.visits.add(NOW_MS, peer_of(POINT), (), named=True)
    assert scene.say()[0].state == "unknown"
    point = await scene.visit()
    assert point.result.startswith("not connected")
    assert scene.say()[0].fix


async def test_missing_members_are_asked_for_soon_and_then_less_often(scene):
    scene.serve()
    await scene.visit()
    now_ms, waits = NOW_MS, []
    scene.points.look_for_missing(now_ms)
    for _ in range(12):
        due_ms = scene.points.next_deadline()
        waits.append(due_ms - now_ms)
        now_ms = due_ms
        scene.points.look_for_missing(now_ms)
        assert scene.points.visits.next_deadline() <= now_ms
        (point,) = scene.points.visits.take_due(now_ms)
        scene.points.visits.succeeded(now_ms, point, "ok")
    assert waits[0] <= MISSING_FIRST_MS * 6 // 5
    assert max(waits) <= MISSING_MOST_MS * 6 // 5
    assert waits[-1] >= MISSING_MOST_MS * 4 // 5


async def test_nobody_is_missed_in_a_large_mesh():
    scene = Scene(members=40)
    scene.points.look_for_missing(NOW_MS)
    assert scene.points.next_deadline() is None
