"""When a relayed connection is bettered, by whom, and what people are told of it."""

from __future__ import annotations

import itertools
import logging
from typing import Any, cast

import pytest

from meshnode.core.entropy import Entropy
from meshnode.discovery.upgrading import (
    AT_ONCE_MAX,
    FIRST_MS,
    OUTCOMES_MAX,
    UPGRADE_MAX_MS,
    UPGRADE_MS,
    Upgrades,
)
from meshnode.errors import DialFailed
from meshnode.transport.libp2p.dcutr import PunchFailed
from tests.support.find_scene import FakeMesh, peer_of

RELAYED = "/ip4/1.2.3.4/tcp/5/p2p/relay/p2p-circuit"


class FakeTransport:
    """Says no where it is told to."""

    def __init__(self):
        self.upgrade_error = ""
        self.punch_error = ""
        self.upgraded: list[str] = []
        self.punched: list[str] = []

    async def upgrade(self, peer, addresses):
        assert addresses == ("/there",)
        self.upgraded.append(peer)
        if self.upgrade_error:
            raise DialFailed(self.upgrade_error)

    async def punch(self, peer):
        self.punched.append(peer)
        if self.punch_error:
            raise PunchFailed(self.punch_error)
        return 2


class Scene:
    def __init__(self, *, punches=True):
        self.mesh = cast("Any", FakeMesh(32))
        self.transport = FakeTransport()
        self.upgrades = Upgrades(self.mesh, self.transport, Entropy(bytes(32)), punches=punches)

    def meet(self, number, *, inbound=True):
        self.mesh.connect(number, RELAYED, inbound=inbound)
        return peer_of(number)

    async def run(self, after_ms=0):
        """Whatever is due is done, one after another."""
        self.mesh.time_ms += after_ms
        due = self.upgrades.take_due(self.mesh.time_ms)
        for peer in due:
            await self.upgrades.attempt(peer)
        return due

    @property
    def way(self):
        return self.upgrades.describe()


async def test_nobody_is_tried_where_all_connections_are_direct():
    scene = Scene()
    scene.mesh.connect(1)
    assert await scene.run(2 * UPGRADE_MS) == []
    assert scene.upgrades.next_deadline() is None
    assert (scene.way.name, scene.way.state) == ("direct", "info")


async def test_peer_that_came_through_a_relay_is_tried_soon_and_dialled_where_it_says_first():
    scene = Scene()
    peer = scene.meet(1)
    assert await scene.run() == []
    assert await scene.run(2 * FIRST_MS) == [peer]
    assert (scene.transport.upgraded, scene.transport.punched) == ([peer], [])
    assert scene.way.state == "ok"
    assert "answers where it says" in scene.way.detail


async def test_both_dial_at_once_where_the_peer_does_not_answer(caplog):
    caplog.set_level(logging.INFO, "meshnode.discovery.upgrading")
    scene = Scene()
    scene.transport.upgrade_error = "no answer"
    peer = scene.meet(1)
    await scene.run()
    await scene.run(2 * FIRST_MS)
    assert scene.transport.punched == [peer]
    assert "1 of 1 tried got through" in scene.way.detail
    assert "both dialled at once, 2 tries" in scene.way.detail
    assert caplog.messages == [f"direct connection with {peer}: both dialled at once, 2 tries"]


async def test_who_has_dialled_waits_for_the_peer_to_begin_and_dials_later_itself():
    scene = Scene()
    scene.transport.upgrade_error = "no answer"
    peer = scene.meet(1, inbound=False)
    await scene.run()
    assert await scene.run(2 * FIRST_MS) == []
    assert await scene.run(2 * UPGRADE_MS) == [peer]
    assert scene.transport.punched == []


async def test_peer_that_has_found_the_way_is_told_of():
    scene = Scene()
    peer = scene.meet(1, inbound=False)
    await scene.run()
    del scene.mesh.ready[peer]  # the relayed connection ends before the direct one begins
    await scene.run()
    scene.mesh.connect(1)
    await scene.run()
    assert scene.way.state == "ok"
    assert f"...{peer[-8:]} got through: the peer has found the way" in scene.way.detail


async def test_what_came_of_an_attempt_stays_told_after_its_connection_is_direct():
    scene = Scene()
    scene.transport.upgrade_error = "no answer"
    scene.meet(1)
    await scene.run()
    await scene.run(2 * FIRST_MS)
    scene.mesh.connect(1)
    await scene.run()
    assert "both dialled at once" in scene.way.detail


async def test_peer_that_left_is_told_of_by_nobody():
    scene = Scene()
    peer = scene.meet(1)
    await scene.run()
    del scene.mesh.ready[peer]
    assert await scene.run(2 * FIRST_MS) == []
    assert "nothing tried yet" in scene.way.detail


async def test_peer_that_is_back_at_its_relay_has_found_no_way():
    scene = Scene()
    peer = scene.meet(1, inbound=False)
    await scene.run()
    del scene.mesh.ready[peer]
    await scene.run()
    scene.meet(1, inbound=False)
    await scene.run()
    assert "nothing tried yet; 1 connected" in scene.way.detail


async def test_failed_attempts_are_further_and_further_apart():
    scene = Scene()
    scene.transport.upgrade_error = scene.transport.punch_error = "nothing came through in 3 tries"
    scene.meet(1)
    await scene.run()
    await scene.run(2 * FIRST_MS)
    assert "0 of 1 tried got through, 1 connected through relays" in scene.way.detail
    assert "nothing came through in 3 tries" in scene.way.detail
    assert (scene.way.state, bool(scene.way.fix)) == ("info", True)
    rests = []
    for _ in range(8):
        rest_ms = scene.upgrades.next_deadline() - scene.mesh.time_ms
        rests.append(rest_ms)
        assert await scene.run(rest_ms - 1) == []
        assert len(await scene.run(1)) == 1
    assert rests[0] < 1.2 * UPGRADE_MS + 1
    assert all(later > 1.3 * earlier for earlier, later in itertools.pairwise(rests[:4]))
    assert rests[-1] <= 1.2 * UPGRADE_MAX_MS + 1


async def test_few_are_tried_at_once_and_none_of_them_twice():
    scene = Scene()
    peers = [scene.meet(number) for number in range(1, AT_ONCE_MAX + 3)]
    scene.upgrades.take_due(scene.mesh.time_ms)
    later_ms = scene.mesh.time_ms + 2 * FIRST_MS
    assert scene.upgrades.take_due(later_ms) == peers[:AT_ONCE_MAX]
    assert scene.upgrades.take_due(later_ms) == []
    assert scene.upgrades.next_deadline() is None, "it ends with one of these"
    await scene.upgrades.attempt(peers[0])
    assert scene.upgrades.take_due(later_ms) == peers[AT_ONCE_MAX : AT_ONCE_MAX + 1]


async def test_peer_that_has_become_direct_meanwhile_is_left_alone():
    scene = Scene()
    peer = scene.meet(1)
    await scene.run()
    assert scene.upgrades.take_due(scene.mesh.time_ms + 2 * FIRST_MS) == [peer]
    scene.mesh.connect(1)
    await scene.upgrades.attempt(peer)
    assert scene.transport.upgraded == []


async def test_only_the_last_outcomes_are_kept():
    scene = Scene()
    for number in range(1, OUTCOMES_MAX + 4):
        scene.meet(number)
        await scene.run()
        await scene.run(2 * FIRST_MS)
    assert f"of {OUTCOMES_MAX} tried" in scene.way.detail


@pytest.mark.parametrize("inbound", [True, False])
async def test_setting_that_is_off_leaves_the_plain_dial_alone(inbound):
    scene = Scene(punches=False)
    scene.transport.upgrade_error = "no answer"
    peer = scene.meet(1, inbound=inbound)
    await scene.run()
    assert await scene.run(2 * FIRST_MS) == []
    assert await scene.run(2 * UPGRADE_MS) == [peer]
    assert scene.transport.punched == []
    assert "`punch_holes` is false" in scene.way.detail
